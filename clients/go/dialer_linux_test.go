package glock

import (
	"context"
	"net"
	"syscall"
	"testing"
)

func TestADaemonThatVanishesIsFoundOutWithinTheBound(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	s, err := Connect(context.Background(), "tcp://"+listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	raw, err := s.conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	option := func(number int) (value int) {
		var failure error
		err := raw.Control(func(fd uintptr) {
			value, failure = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, number)
		})
		if err != nil || failure != nil {
			t.Fatal(err, failure)
		}
		return value
	}
	bound := option(syscall.TCP_KEEPIDLE) + option(syscall.TCP_KEEPINTVL)*option(syscall.TCP_KEEPCNT)
	if bound > 30 {
		t.Fatalf("found out after %d s", bound)
	}
}
