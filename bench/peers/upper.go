// The uppercase echo on Go's net package: one goroutine a connection.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
)

func main() {
	port := flag.Int("port", 0, "the port of 127.0.0.1 to listen on")
	size := flag.Int("buffer", 1024, "bytes a read may take")
	// Go sets TCP_NODELAY by itself; the switch is taken so that all peers take the same ones.
	flag.Bool("nodelay", true, "has no effect")
	flag.Parse()

	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		log.Fatal(err)
	}
	for {
		stream, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go serve(stream, *size)
	}
}

func serve(stream net.Conn, size int) {
	defer stream.Close()
	buffer := make([]byte, size)
	for {
		count, err := stream.Read(buffer)
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

func uppercase(bytes []byte) {
	for i, b := range bytes {
		if b >= 'a' && b <= 'z' {
			bytes[i] = b - 'a' + 'A'
		}
	}
}
