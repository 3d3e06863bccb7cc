// The uppercase echo on Go's net package: one goroutine for each connection, on as many threads as cores.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"syscall"
	"time"
)

// The first byte of a message that requests work, as in peer.rs.
const (
	compute = '%'
	block   = '#'
)

type server struct {
	buffer int
	// The time to compute on a message, and to block the thread.
	work, block time.Duration
}

func main() {
	port := flag.Int("port", 0, "the port of 127.0.0.1 to listen on")
	size := flag.Int("buffer", 1024, "the most bytes of one read")
	// Without effect, as Go sets TCP_NODELAY itself; all peers accept the same options.
	flag.Bool("nodelay", true, "has no effect")
	work := flag.Int("work", 0, "microseconds to compute on a message that begins with %")
	block := flag.Int("block", 0, "microseconds to block the thread on a message that begins with #")
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

// Does the work that the first byte of a message requests.
func (s server) workOn(message []byte) {
	if len(message) == 0 {
		return
	}
	switch message[0] {
	case compute:
		for start := time.Now(); time.Since(start) < s.work; {
		}
	case block:
		// time.Sleep would park only the goroutine. A signal of the runtime may interrupt the sleep.
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
