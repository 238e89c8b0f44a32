package glock

import (
	"errors"
	"net"
	"testing"
)

func TestWhatWasGrantedJustBeforeCloseIsNoLongerGivenOut(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	s := NewSession(ours)
	client := &Client{}
	client.mu.Lock()
	client.lend(s)
	client.mu.Unlock()
	lock := s.grant(hold{false, "late"}, "1 Lock Get Success: late")
	client.Close()
	if _, err := client.granted(s); !errors.Is(err, ErrClosed) {
		t.Fatalf("got %v", err)
	}
	if !errors.Is(lock.Err(), ErrLost) {
		t.Fatalf("the lock: %v", lock.Err())
	}
}
