package glock_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	glock "github.com/glockd/glockd/clients/go"
)

// begins calls each in a goroutine of its own, and gives where they tell how they ended.
func begins(calls ...func() error) <-chan error {
	ends := make(chan error, len(calls))
	for _, call := range calls {
		go func(call func() error) { ends <- call() }(call)
	}
	return ends
}

// waiters waits until so many stand in line for the lock.
func waiters(t *testing.T, s *glock.Session, name string, count int) {
	t.Helper()
	for {
		explained, err := s.Explain(within(t), name)
		must(t, err)
		if strings.Count(string(explained), `"place":`) == count {
			return
		}
	}
}

func TestCloseEndsEveryWaitAndGrantsNothingAfterwards(t *testing.T) {
	other := session(t, "")
	_, err := other.Lock(within(t), "go close")
	must(t, err)
	for _, server := range []string{os.Getenv("GLOCK_SERVER"), os.Getenv("GLOCK_ADMIN")} {
		client := &glock.Client{Server: server}
		ctx := within(t)
		ends := begins(
			func() error { _, err := client.Lock(ctx, "go close"); return err },
			func() error { _, err := client.Read(ctx, "go close"); return err },
			func() error {
				return client.Do(ctx, func(s *glock.Session) error { _, err := s.Lock(ctx, "go close"); return err })
			},
		)
		waiters(t, other, "go close", 3)
		must(t, client.Close())
		for range [3]int{} {
			wants(t, <-ends, glock.ErrClosed)
		}
		waiters(t, other, "go close", 0)
		_, err := client.TryLock(ctx, "go close other")
		wants(t, err, glock.ErrClosed)
	}
}

func TestCloseLosesWhatIsHeldAndTellsWhoeverWatches(t *testing.T) {
	client, other := &glock.Client{}, session(t, "")
	lock, err := client.Lock(within(t), "go close held")
	must(t, err)
	work, stop := lock.Context(context.Background())
	defer stop()
	must(t, client.Close())
	<-lock.Lost()
	<-work.Done()
	wants(t, lock.Unlock(), glock.ErrLost)
	_, err = other.Lock(within(t), "go close held")
	must(t, err)
}

func TestCloseEndsConnectingAndCallsThatHang(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	connecting := make(chan struct{})
	clients := []*glock.Client{
		{Server: "tcp://" + listener.Addr().String()},
		{Server: "tcp://" + listener.Addr().String(), Name: "go never answered"},
		{Dial: func(ctx context.Context) (net.Conn, error) {
			close(connecting)
			<-ctx.Done()
			return nil, ctx.Err()
		}},
	}
	for number, client := range clients {
		ctx := within(t)
		ends := begins(func() error { _, err := client.TryLock(ctx, "go hangs"); return err })
		if number < 2 {
			conn, err := listener.Accept()
			must(t, err)
			_, err = conn.Read(make([]byte, 1)) // the command is under way
			must(t, err)
			defer conn.Close()
		} else {
			<-connecting
		}
		must(t, client.Close())
		wants(t, <-ends, glock.ErrClosed)
	}
}

func TestALockGrantedWhileTheClientIsClosedIsNone(t *testing.T) {
	holder := session(t, "")
	for round := 0; round < 100; round++ {
		lock, err := holder.Lock(within(t), "go close race")
		must(t, err)
		client, ctx := &glock.Client{}, within(t)
		ends := begins(func() error {
			lock, err := client.Lock(ctx, "go close race")
			if err != nil {
				return err
			}
			<-lock.Lost() // granted before, and lost by Close
			return glock.ErrClosed
		})
		waiters(t, holder, "go close race", 1)
		must(t, lock.Unlock())
		must(t, client.Close())
		wants(t, <-ends, glock.ErrClosed)
	}
}

func TestALockDependsOnNoOtherProcess(t *testing.T) {
	program := exec.Command(os.Args[0])
	program.Env = append(os.Environ(), "GLOCK_TEST_HOLDS=go child")
	said, err := program.StdoutPipe()
	must(t, err)
	must(t, program.Start())
	var child int
	_, err = fmt.Fscanf(said, "held, child %d\n", &child)
	must(t, err)
	defer func() {
		process, _ := os.FindProcess(child)
		must(t, process.Kill()) // it has lived until now
	}()
	must(t, program.Process.Kill())
	other := session(t, "")
	_, err = other.Lock(within(t), "go child")
	must(t, err)
	program.Wait()
}

// holds takes a lock and starts another program, tells so, and works on.
func holds(name string) {
	_, err := (&glock.Client{}).Lock(context.Background(), name)
	child := exec.Command("sleep", "60")
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("held, child %d\n", child.Process.Pid)
	time.Sleep(time.Minute)
	os.Exit(0)
}

func TestWaitsAreOfAnySize(t *testing.T) {
	holder, waiter := session(t, ""), session(t, "")
	for _, length := range []time.Duration{glock.Forever, 290 * 365 * 24 * time.Hour, time.Nanosecond} {
		lock, err := holder.Lock(within(t), "go years")
		must(t, err)
		ctx, cancel := context.WithTimeout(context.Background(), length)
		ends := begins(func() error {
			lock, err := waiter.Lock(ctx, "go years")
			if err == nil {
				err = lock.Unlock()
			}
			return err
		})
		if length > time.Hour {
			waiters(t, holder, "go years", 1)
			must(t, lock.Lease(within(t), length))
			must(t, lock.Unlock())
			must(t, <-ends)
		} else {
			wants(t, <-ends, context.DeadlineExceeded)
			must(t, lock.Unlock())
		}
		cancel()
	}
}
