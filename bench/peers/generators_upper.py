"""The uppercase echo on generators and a selector, written by hand: step 6 of the ladder in Python."""

import argparse
import selectors
import socket
from collections import deque

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class SelectorLoop:
    def __init__(self):
        self.selector = selectors.DefaultSelector()
        self.ready = deque()

    def create_task(self, task):
        self.ready.append(task)

    def run_forever(self, main):
        self.create_task(main)
        while True:
            for _ in range(len(self.ready)):
                self.step(self.ready.popleft())
            for key, _ in self.selector.select(0 if self.ready else None):
                self.selector.unregister(key.fileobj)
                self.step(key.data)

    def step(self, task):
        """Runs a task until it yields the socket and the event to wait for."""
        try:
            fileobj, event = next(task)
        except StopIteration:
            return
        self.selector.register(fileobj, event, task)

    def sock_accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
                sock.setblocking(False)
                return sock
            except BlockingIOError:
                yield listener, READ

    def sock_recv(self, sock, size):
        while True:
            try:
                return sock.recv(size)
            except BlockingIOError:
                yield sock, READ

    def sock_sendall(self, sock, data):
        while data:
            try:
                data = data[sock.send(data):]
            except BlockingIOError:
                yield sock, WRITE


def main(loop, port, size):
    with socket.create_server(("127.0.0.1", port), backlog=1024) as listener:
        listener.setblocking(False)
        while True:
            sock = yield from loop.sock_accept(listener)
            loop.create_task(serve(loop, sock, size))


def serve(loop, sock, size):
    with sock:
        try:
            while data := (yield from loop.sock_recv(sock, size)):
                yield from loop.sock_sendall(sock, data.upper())
        except ConnectionError:
            pass


parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--buffer", type=int, default=1024)
args = parser.parse_args()
selector_loop = SelectorLoop()
selector_loop.run_forever(main(selector_loop, args.port, args.buffer))
