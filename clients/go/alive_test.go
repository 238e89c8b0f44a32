package glock_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	glock "github.com/glockd/glockd/clients/go"
)

// answering is a session with a daemon that answers commands so, if at all, and else says what comes through pushed.
func answering(t *testing.T, reply map[string]string, pushed <-chan string) (s *glock.Session, heard <-chan string) {
	ours, theirs := net.Pipe()
	s = glock.NewSession(ours)
	t.Cleanup(func() { s.Close(); theirs.Close() })
	commands := make(chan string)
	go func() {
		reader := bufio.NewReader(theirs)
		for {
			command, err := reader.ReadString('\n')
			if err != nil {
				return
			}
			commands <- command
			word, name, _ := strings.Cut(command, " ")
			fmt.Fprint(theirs, strings.ReplaceAll(reply[word], "NAME", name))
		}
	}()
	go func() {
		for line := range pushed {
			fmt.Fprintln(theirs, line)
		}
	}()
	return s, commands
}

func TestADaemonThatNoLongerShowsThatItLivesIsLost(t *testing.T) {
	pushed := make(chan string)
	defer close(pushed)
	s, heard := answering(t, map[string]string{"alive": "1 ok\n"}, pushed)
	const interval = time.Second
	asked := begins(func() error { return s.Alive(within(t), interval) })
	if command := <-heard; command != "alive 1\n" {
		t.Fatalf("sent %q", command)
	}
	must(t, <-asked)
	ends := begins(func() error { _, err := s.Lock(context.Background(), "go awaited"); return err })
	<-heard
	for began := time.Now(); time.Since(began) < 3*interval; time.Sleep(interval / 10) {
		pushed <- "! alive"
	}
	must(t, s.Err())
	last := time.Now()
	wants(t, <-ends, glock.ErrClosed)
	if quiet := time.Since(last); quiet < 2*interval {
		t.Fatalf("given up after %v", quiet)
	}
}

func TestTheLastIntervalIsTheOneThatCounts(t *testing.T) {
	s, heard := answering(t, map[string]string{"alive": "1 ok\n"}, nil)
	for _, interval := range []time.Duration{20 * time.Millisecond, glock.Forever} {
		asked := begins(func() error { return s.Alive(within(t), interval) })
		<-heard
		must(t, <-asked)
	}
	time.Sleep(3500 * time.Millisecond) // more than the first would have allowed
	must(t, s.Err())
}

func TestASignOfLifeIsNoPartOfAReply(t *testing.T) {
	s := scripted(t, "! alive\n1 pong", "! alive\nconnections: 1\n! alive\nshared_orphans: 0")
	must(t, s.Ping(within(t)))
	stats, err := s.Stats(within(t))
	must(t, err)
	if len(stats) != 2 {
		t.Fatal(stats)
	}
}

func TestASignOfLifeIsNoLineOfAListing(t *testing.T) {
	s, heard := answering(t, map[string]string{
		"d": "! alive\na: first\n! alive\na: ! alive\n", "i": "! alive\n0 Lock Not Locked: NAME",
	}, nil)
	asked := begins(func() error {
		holders, err := s.Holders(within(t), "a")
		if got := strings.Join(holders, ","); err == nil && got != "first,! alive" {
			err = fmt.Errorf("got %q", got)
		}
		return err
	})
	<-heard
	<-heard
	must(t, <-asked)
}

func TestARealDaemonShowsThatItLivesToHoldersAndWaiters(t *testing.T) {
	client := &glock.Client{Alive: time.Second}
	defer client.Close()
	lock, err := client.Lock(within(t), "go living")
	must(t, err)
	ctx, cancel := context.WithTimeout(within(t), 3500*time.Millisecond) // more than may pass without a sign
	defer cancel()
	_, err = client.Lock(ctx, "go living")
	wants(t, err, context.DeadlineExceeded)
	must(t, lock.Unlock())
}

func TestAnIntervalThatIsNoneIsRefused(t *testing.T) {
	client := &glock.Client{Alive: -time.Second}
	_, err := client.TryLock(within(t), "go alive")
	wants(t, err, glock.ErrRefused)
	wants(t, session(t, "").Alive(within(t), 0), glock.ErrRefused)
}
