// The uppercase echo on Go's net package: one goroutine a connection, on as many threads as it has cores.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"syscall"
	"time"
)

// The first byte of a message that asks for work; peer.rs has the same ones.
const (
	compute = '%'
	block   = '#'
)

type server struct {
	buffer int
	// How long a message computes, and how long it blocks its thread.
	work, block time.Duration
}

func main() {
	port := flag.Int("port", 0, "the port of 127.0.0.1 to listen on")
	size := flag.Int("buffer", 1024, "bytes a read may take")
	// Go sets TCP_NODELAY by itself; the switch is taken so that all peers take the same ones.
	flag.Bool("nodelay", true, "has no effect")
	work := flag.Int("work", 0, "microseconds that a message which begins with % computes")
	block := flag.Int("block", 0, "microseconds that a message which begins with # blocks its thread")
	flag.Parse()
	s := server{
		buffer: *size,
		work:   time.Duration(*work) * time.Microsecond,
		block:  time.Duration(*block) * time.Microsecond,
	}

	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		log.Fatal(err)
	}
	for {
		stream, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go s.serve(stream)
	}
}

func (s server) serve(stream net.Conn) {
	defer stream.Close()
	buffer := make([]byte, s.buffer)
	for {
		count, err := stream.Read(buffer)
		s.workOn(buffer[:count])
		uppercase(buffer[:count])
		if count > 0 {
			if _, err := stream.Write(buffer[:count]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// Does the work that the first byte of a message asks for.
func (s server) workOn(message []byte) {
	if len(message) == 0 {
		return
	}
	switch message[0] {
	case compute:
		for start := time.Now(); time.Since(start) < s.work; {
		}
	case block:
		// time.Sleep would park the goroutine alone. A signal of the runtime may cut a sleep short.
		left := syscall.NsecToTimespec(s.block.Nanoseconds())
		for syscall.Nanosleep(&left, &left) == syscall.EINTR {
		}
	}
}

func uppercase(bytes []byte) {
	for i, b := range bytes {
		if b >= 'a' && b <= 'z' {
			bytes[i] = b - 'a' + 'A'
		}
	}
}
