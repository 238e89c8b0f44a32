package glock_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	glock "github.com/glockd/glockd/clients/go"
)

// The daemon that GLOCK_SERVER names; GLOCK_ADMIN is its Unix socket, which lets kick. GLOCK_GUARDED is another one, which
// wants the secret s3cret.
func TestMain(m *testing.M) {
	if name := os.Getenv("GLOCK_TEST_HOLDS"); name != "" {
		holds(name)
	}
	for _, name := range []string{"GLOCK_SERVER", "GLOCK_ADMIN", "GLOCK_GUARDED"} {
		if os.Getenv(name) == "" {
			fmt.Fprintln(os.Stderr, "want", name)
			os.Exit(2)
		}
	}
	os.Exit(m.Run())
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func session(t *testing.T, server string) *glock.Session {
	t.Helper()
	s, err := glock.Connect(within(t), server)
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wants(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
}

// kick ends whoever holds the lock.
func kick(t *testing.T, name string) {
	t.Helper()
	operator := session(t, os.Getenv("GLOCK_ADMIN"))
	holders, err := operator.Holders(within(t), name)
	must(t, err)
	if len(holders) != 1 {
		t.Fatalf("holders of %q: %q", name, holders)
	}
	reply, err := operator.Raw(within(t), "kick "+holders[0], 1)
	must(t, err)
	if !strings.HasPrefix(reply[0], "1 Kicked: ") {
		t.Fatal(reply[0])
	}
}

func TestGoroutinesOfOneClientExcludeEachOther(t *testing.T) {
	client := &glock.Client{}
	defer client.Close()
	counter := 0 // the race detector sees whoever comes in without the lock
	var group sync.WaitGroup
	for number := 0; number < 20; number++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for round := 0; round < 5; round++ {
				lock, err := client.Lock(within(t), "go counter")
				if err != nil {
					t.Error(err)
					return
				}
				counter++
				if err := lock.Unlock(); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	group.Wait()
	if counter != 100 {
		t.Fatalf("counted %d, want 100", counter)
	}
}

func TestReadersShareAndTokensGrow(t *testing.T) {
	client := &glock.Client{}
	defer client.Close()
	first, err := client.Read(within(t), "go book")
	must(t, err)
	second, err := client.TryRead(within(t), "go book")
	must(t, err)
	if second.Holders() != 2 {
		t.Fatalf("%d readers, want 2", second.Holders())
	}
	_, err = client.TryLock(within(t), "go book")
	wants(t, err, glock.ErrBusy)
	earlier, err := first.Token(within(t))
	must(t, err)
	later, err := second.Token(within(t))
	must(t, err)
	if later <= earlier {
		t.Fatalf("token %d after %d", later, earlier)
	}
	current, err := client.Check(within(t), "go book", later)
	must(t, err)
	must(t, first.Unlock())
	must(t, second.Unlock())
	stale, err := client.Check(within(t), "go book", later)
	must(t, err)
	if !current || stale {
		t.Fatalf("token in force: %v while held, %v afterwards", current, stale)
	}
}

func TestSharedLocksMayHaveALimit(t *testing.T) {
	client := &glock.Client{}
	defer client.Close()
	for want := 1; want <= 2; want++ {
		lock, err := client.SharedLimit(within(t), "go seats", 2)
		must(t, err)
		defer lock.Unlock()
		if lock.Holders() != want {
			t.Fatalf("%d holders, want %d", lock.Holders(), want)
		}
	}
	_, err := client.TrySharedLimit(within(t), "go seats", 2)
	wants(t, err, glock.ErrBusy)
	_, err = client.TrySharedLimit(within(t), "go seats", 0)
	wants(t, err, glock.ErrRefused)
	more, err := client.Shared(within(t), "go seats")
	must(t, err)
	must(t, more.Unlock())
}

func TestASharedLockHasNeitherTokenNorLeaseWhateverItsNamesakeHas(t *testing.T) {
	s := session(t, "")
	_, err := s.Lock(within(t), "go namesake")
	must(t, err)
	shared, err := s.Shared(within(t), "go namesake")
	must(t, err)
	_, err = shared.Token(within(t))
	wants(t, err, glock.ErrRefused)
	wants(t, shared.Lease(within(t), 0), glock.ErrRefused)
}

func TestALockIsLostWithItsConnection(t *testing.T) {
	client := &glock.Client{}
	defer client.Close()
	lock, err := client.Lock(within(t), "go lost")
	must(t, err)
	must(t, lock.Err())
	work, cancel := lock.Context(within(t))
	defer cancel()
	kick(t, "go lost")
	<-lock.Lost()
	<-work.Done()
	wants(t, lock.Err(), glock.ErrLost)
	wants(t, lock.Unlock(), glock.ErrLost)
	_, err = lock.Token(within(t))
	wants(t, err, glock.ErrLost)
	again, err := client.Lock(within(t), "go lost")
	must(t, err)
	must(t, again.Unlock())
	wants(t, again.Unlock(), glock.ErrNotHeld)
}

func TestALockIsLostWithItsLease(t *testing.T) {
	client := &glock.Client{}
	defer client.Close()
	lock, err := client.Lock(within(t), "go lease")
	must(t, err)
	must(t, lock.Lease(within(t), 20*time.Millisecond))
	<-lock.Lost()
	wants(t, lock.Err(), glock.ErrLost)
	wants(t, lock.Lease(within(t), time.Second), glock.ErrLost)
	wants(t, lock.Unlock(), glock.ErrLost)
}

func TestAConnectionThatDiedWhileIdleIsReplaced(t *testing.T) {
	client := &glock.Client{Name: "go idle client"}
	defer client.Close()
	lock, err := client.Lock(within(t), "go idle")
	must(t, err)
	must(t, lock.Unlock())
	operator := session(t, os.Getenv("GLOCK_ADMIN"))
	reply, err := operator.Raw(within(t), "kick go idle client", 1)
	must(t, err)
	if reply[0] != "1 Kicked: go idle client" {
		t.Fatal(reply[0])
	}
	lock, err = client.Lock(within(t), "go idle")
	must(t, err)
	must(t, lock.Unlock())
}

func TestAContextThatEndsGivesTheWaitUp(t *testing.T) {
	client := &glock.Client{}
	defer client.Close()
	lock, err := client.Lock(within(t), "go patience")
	must(t, err)
	ctx, cancel := context.WithTimeout(within(t), 20*time.Millisecond)
	defer cancel()
	_, err = client.Lock(ctx, "go patience")
	wants(t, err, context.DeadlineExceeded)
	_, err = client.Lock(ctx, "go patience")
	wants(t, err, context.DeadlineExceeded)
	must(t, lock.Unlock())
	lock, err = client.Lock(within(t), "go patience")
	must(t, err)
	must(t, lock.Unlock())
}

// The grant may be on its way, or already here, when the context ends.
func TestACancelledWaitLeavesNothingHeld(t *testing.T) {
	holder, waiter := session(t, ""), session(t, "")
	granted := 0
	for round := 0; round < 500; round++ {
		lock, err := holder.Lock(within(t), "go race")
		must(t, err)
		ctx, cancel := context.WithCancel(within(t))
		outcome := make(chan error, 1)
		go func() {
			lock, err := waiter.Lock(ctx, "go race")
			if err == nil {
				err = lock.Unlock()
			}
			outcome <- err
		}()
		for queued := false; !queued; {
			explained, err := holder.Explain(within(t), "go race")
			must(t, err)
			queued = strings.Contains(string(explained), `"place":1`)
		}
		go func() {
			time.Sleep(time.Duration(rand.Intn(200)) * time.Microsecond)
			cancel()
		}()
		must(t, lock.Unlock())
		if err := <-outcome; err == nil {
			granted++
		} else {
			wants(t, err, context.Canceled)
		}
		cancel()
		must(t, waiter.Ping(within(t))) // the daemon has acted on what came before
		locked, err := holder.Inspect(within(t), "go race")
		must(t, err)
		if locked {
			t.Fatalf("round %d: still held", round)
		}
	}
	t.Logf("granted first in %d of 500 rounds", granted)
}

func TestASessionServesManyGoroutines(t *testing.T) {
	s := session(t, "")
	var group sync.WaitGroup
	for number := 0; number < 50; number++ {
		group.Add(1)
		go func(name string) {
			defer group.Done()
			if _, err := s.TryLock(within(t), name); err != nil {
				t.Error(err)
			}
			if holders, err := s.Holders(within(t), name); err != nil || len(holders) != 1 {
				t.Error(holders, err)
			}
			if err := s.Release(within(t), name); err != nil {
				t.Error(err)
			}
		}(fmt.Sprint("go many ", number))
	}
	group.Wait()
}

func TestBadArgumentsNeverReachTheWire(t *testing.T) {
	s := session(t, "")
	for _, name := range []string{"a\nr b", strings.Repeat("x", 4096), strings.Repeat("ß", 2048)} {
		_, err := s.TryLock(within(t), name)
		wants(t, err, glock.ErrBadName)
		wants(t, s.Release(within(t), name), glock.ErrBadName)
		_, err = s.Holders(within(t), name)
		wants(t, err, glock.ErrBadName)
		_, err = s.Raw(within(t), "i "+name, 1)
		wants(t, err, glock.ErrBadName)
	}
	_, err := s.Holders(within(t), " ")
	wants(t, err, glock.ErrBadName)
	wants(t, s.Lease(within(t), "a", -time.Second), glock.ErrRefused)
	_, err = s.Raw(within(t), "ping", -1)
	wants(t, err, glock.ErrRefused)
	for _, server := range []string{"http://localhost/", "unix://", "ws://localhost", "a,b", "tls://localhost:1?ca=/nowhere"} {
		if _, err := glock.Connect(within(t), server); err == nil {
			t.Errorf("connected to %q", server)
		}
	}
	must(t, s.Ping(within(t)))
}

// scripted is a session with a daemon that says these lines, each when it has heard one, and then hangs up. Its bytes come
// one by one.
func scripted(t *testing.T, replies ...string) *glock.Session {
	ours, theirs := net.Pipe()
	s := glock.NewSession(ours)
	t.Cleanup(func() { s.Close() })
	go func() {
		defer theirs.Close()
		commands := bufio.NewReader(theirs)
		for _, reply := range replies {
			if _, err := commands.ReadString('\n'); err != nil {
				return
			}
			for _, letter := range []byte(reply + "\n") {
				if _, err := theirs.Write([]byte{letter}); err != nil {
					return
				}
			}
		}
	}()
	return s
}

func TestAnUnlockThatComesTooLateSaysThatTheLockWasLost(t *testing.T) {
	s := scripted(t, "1 Lock Get Success: late", "! lost late lease\n0 Lock Release Failure: late", "not asked for")
	lock, err := s.TryLock(within(t), "late")
	must(t, err)
	wants(t, lock.Unlock(), glock.ErrLost)
}

func TestADaemonThatHangsUpEndsWaitsAndLocks(t *testing.T) {
	s := scripted(t, "1 Lock Get Success: held", "")
	lock, err := s.TryLock(within(t), "held")
	must(t, err)
	_, err = s.Lock(within(t), "awaited")
	wants(t, err, glock.ErrRefused) // an empty line is no answer
	_, err = s.Lock(within(t), "awaited")
	wants(t, err, glock.ErrClosed)
	<-lock.Lost()
}

func TestWhatIsNoAnswerIsNotTakenForNo(t *testing.T) {
	for _, reply := range []string{"0 Only TLS Here", "0 Idle Too Long", "HTTP/1.1 400 Bad Request", "", "0"} {
		_, err := scripted(t, reply).Inspect(within(t), "question")
		wants(t, err, glock.ErrRefused)
		_, err = scripted(t, reply).Check(within(t), "question", 1)
		wants(t, err, glock.ErrRefused)
	}
}

func TestADaemonMayWantASecret(t *testing.T) {
	guarded := os.Getenv("GLOCK_GUARDED")
	client := &glock.Client{Server: guarded, Secret: "s3cret"}
	defer client.Close()
	lock, err := client.Lock(within(t), "go secret")
	must(t, err)
	must(t, lock.Unlock())
	for _, secret := range []string{"", "wrong"} {
		client := &glock.Client{Server: guarded, Secret: secret}
		_, err := client.Lock(within(t), "go secret")
		wants(t, err, glock.ErrNotAuthorised)
	}
}

func TestAClosedClientAndSessionSaySo(t *testing.T) {
	client := &glock.Client{}
	must(t, client.Close())
	must(t, client.Close())
	_, err := client.Lock(within(t), "go closed")
	wants(t, err, glock.ErrClosed)
	s := session(t, "")
	lock, err := s.Lock(within(t), "go closed")
	must(t, err)
	must(t, s.Close())
	<-lock.Lost()
	wants(t, s.Ping(within(t)), glock.ErrClosed)
	wants(t, s.Err(), glock.ErrClosed)
}
