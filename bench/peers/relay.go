// A relay on Go's net package: io.Copy in each direction, which splices between two TCP sockets.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net"
)

func main() {
	port := flag.Int("port", 0, "the port of 127.0.0.1 to listen on")
	target := flag.Int("target", 0, "the port of 127.0.0.1 to connect to")
	flag.Parse()
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		log.Fatal(err)
	}
	for {
		client, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go relay(client.(*net.TCPConn), fmt.Sprintf("127.0.0.1:%d", *target))
	}
}

func relay(client *net.TCPConn, target string) {
	defer client.Close()
	connection, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	server := connection.(*net.TCPConn)
	defer server.Close()
	done := make(chan bool)
	go func() {
		io.Copy(server, client)
		server.CloseWrite()
		done <- true
	}()
	io.Copy(client, server)
	client.CloseWrite()
	<-done
}
