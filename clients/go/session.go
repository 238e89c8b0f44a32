package glock

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Forever as the length of a lease takes the lease off.
const Forever = time.Duration(math.MaxInt64)

// Session is one connection to the daemon: one holder, who holds any number of locks until the connection ends.
//
// A session is safe for many goroutines, but it is one holder: what it holds already is granted again at once, and while
// one goroutine waits for a lock the others' commands come later, since the daemon serves a connection in order. Where
// goroutines are to exclude each other, use a Client. In return the daemon refuses a deadlock between sessions.
type Session struct {
	conn  net.Conn
	nonce string        // no line but our own sentinel ends with it
	turn  chan struct{} // holds one item while a command is on its way

	mu       sync.Mutex
	pending  []*request // commands sent and not yet answered, oldest first
	holds    map[hold]*Lock
	items    map[item]*Item
	notified bool          // the daemon was told to push a line when it takes a lock back
	quiet    int           // quarters of the interval of Alive since the daemon has last said anything
	watched  chan struct{} // closed when another call of Alive replaces the watch; nil: no watch
	err      error         // why the session ended; nil while it lives
	ended    chan struct{} // closed then
}

// hold is what a session can have: the exclusive and the shared lock of one name are two.
type hold struct {
	shared bool
	name   string
}

// Connect opens a session with the daemon at server: tcp://host:port, unix:///path, tls://host:port, or "" for the
// environment variable GLOCK_SERVER, else DefaultServer. If the environment variable GLOCK_SECRET is set, it is presented. The
// context bounds the connecting only.
//
// Of tcp:// the host alone will do, with or without a port (else 9999), and of unix:// the path. A tls:// address takes
// ?ca=FILE, the authorities to trust instead of the system's, cert=FILE and key=FILE, this client's own certificate, and
// host=NAME, which the daemon's certificate must be for.
func Connect(ctx context.Context, server string) (*Session, error) {
	conn, err := dial(ctx, server)
	if err != nil {
		return nil, err
	}
	return greeted(ctx, conn, "", "", 0)
}

// greeted is a session on a new connection, after all that is to be said first.
func greeted(ctx context.Context, conn net.Conn, secret, name string, alive time.Duration) (*Session, error) {
	s := NewSession(conn)
	if err := s.greet(ctx, secret, name, alive); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Session) greet(parent context.Context, secret, name string, alive time.Duration) (err error) {
	ctx, cancel := context.WithTimeout(parent, replyTimeout)
	defer cancel()
	if secret == "" {
		secret = os.Getenv("GLOCK_SECRET")
	}
	err = s.Auth(ctx, secret)
	if err == nil && name != "" {
		err = s.Iam(ctx, name)
	}
	if err == nil && alive != 0 {
		err = s.Alive(ctx, alive)
	}
	if ctx.Err() != nil && parent.Err() == nil {
		return fmt.Errorf("%w: no reply within %v", ErrClosed, replyTimeout)
	}
	return err
}

// NewSession is a session on a connection that the caller made.
func NewSession(conn net.Conn) *Session {
	nonce := make([]byte, 16)
	if _, err := rand.Read(nonce); err != nil {
		panic(err) // crypto/rand: no random numbers, no secure program
	}
	s := &Session{
		conn: conn, nonce: hex.EncodeToString(nonce), turn: make(chan struct{}, 1), ended: make(chan struct{}),
		holds: map[hold]*Lock{}, items: map[item]*Item{},
	}
	go s.read()
	return s
}

// Close ends the session; the daemon frees what it held. Locks still held are lost.
func (s *Session) Close() error {
	s.end(ErrClosed)
	return nil
}

// Err tells why the session ended, or nil while it lives.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Lock takes the lock of that name, and waits in line for it until ctx is done. A session that holds it already is
// granted it again and still releases it once.
//
// Errors: ctx's own, and then nothing is held and the place in line is given up; ErrDeadlock; ErrBadName; ErrClosed.
func (s *Session) Lock(ctx context.Context, name string) (*Lock, error) {
	return s.acquire(ctx, "wait inf ", hold{false, name})
}

// TryLock takes the lock if nobody has it, else fails with ErrBusy at once. It needs no more than the oldest daemon.
func (s *Session) TryLock(ctx context.Context, name string) (*Lock, error) {
	return s.acquire(ctx, "g ", hold{false, name})
}

// Read takes the lock together with other readers, while nobody has it by Lock, and waits in line until ctx is done.
func (s *Session) Read(ctx context.Context, name string) (*Lock, error) {
	return s.acquire(ctx, "read inf ", hold{false, name})
}

// TryRead is Read without waiting: it fails with ErrBusy if somebody has the lock, or waits for it, by Lock.
func (s *Session) TryRead(ctx context.Context, name string) (*Lock, error) {
	return s.acquire(ctx, "read 0 ", hold{false, name})
}

// Shared takes the shared lock of that name, which any number of sessions may hold and which has nothing to do with the
// exclusive one. It never waits; Lock.Holders tells how many hold it.
func (s *Session) Shared(ctx context.Context, name string) (*Lock, error) {
	return s.acquire(ctx, "sg ", hold{true, name})
}

// SharedLimit takes the shared lock once fewer than limit hold it, and waits in line until ctx is done.
func (s *Session) SharedLimit(ctx context.Context, name string, limit int) (*Lock, error) {
	return s.acquire(ctx, fmt.Sprintf("share inf %d ", limit), hold{true, name})
}

// TrySharedLimit is SharedLimit without waiting: it fails with ErrBusy if limit sessions hold the lock.
func (s *Session) TrySharedLimit(ctx context.Context, name string, limit int) (*Lock, error) {
	return s.acquire(ctx, fmt.Sprintf("share 0 %d ", limit), hold{true, name})
}

// Release gives back a lock got by Lock or Read, by its name; ErrNotHeld if this session does not hold it.
func (s *Session) Release(ctx context.Context, name string) error {
	return s.release(ctx, hold{false, name})
}

// ReleaseShared gives back a shared lock, by its name; ErrNotHeld if this session does not hold it.
func (s *Session) ReleaseShared(ctx context.Context, name string) error {
	return s.release(ctx, hold{true, name})
}

// Inspect tells whether anybody holds the lock, reader or not.
func (s *Session) Inspect(ctx context.Context, name string) (locked bool, err error) {
	number, err := s.number(ctx, "i "+name)
	return number > 0, err
}

// InspectShared tells how many hold the shared lock.
func (s *Session) InspectShared(ctx context.Context, name string) (holders int, err error) {
	number, err := s.number(ctx, "si "+name)
	return int(number), err
}

// Token is the fencing token of this session's hold: larger than that of every earlier grant of any lock.
// ErrNotHeld if it has none.
func (s *Session) Token(ctx context.Context, name string) (uint64, error) {
	number, err := s.number(ctx, "token "+name)
	return uint64(number), err
}

// Check tells whether token is the one now in force for the lock. It is for whoever guards the resource itself.
func (s *Session) Check(ctx context.Context, name string, token uint64) (current bool, err error) {
	number, err := s.number(ctx, fmt.Sprintf("check %d %s", token, name))
	return number == 1, err
}

// Lease makes the daemon take the lock back after that time, unless it is told again by then; Forever takes the lease
// off. ErrNotHeld if this session does not hold the lock. What a lease takes back closes the lock's Lost channel.
func (s *Session) Lease(ctx context.Context, name string, length time.Duration) error {
	if err := s.notify(ctx); err != nil {
		return err
	}
	_, err := s.ask(ctx, "lease "+leaseSeconds(length)+" "+name)
	return err
}

// notify has the daemon say when it takes something back.
func (s *Session) notify(ctx context.Context) error {
	s.mu.Lock()
	notified := s.notified
	s.mu.Unlock()
	if notified {
		return nil
	}
	if _, err := s.ask(ctx, "notify on"); err != nil {
		return err
	}
	s.mu.Lock()
	s.notified = true
	s.mu.Unlock()
	return nil
}

func leaseSeconds(length time.Duration) string {
	if length == Forever {
		return "inf"
	}
	return inSeconds(length)
}

// Holders lists who holds the lock: chosen names, or addresses of those who chose none.
func (s *Session) Holders(ctx context.Context, name string) ([]string, error) {
	return s.listing(ctx, "d ", name)
}

// HoldersShared lists who holds the shared lock, in the order in which they got it.
func (s *Session) HoldersShared(ctx context.Context, name string) ([]string, error) {
	return s.listing(ctx, "sd ", name)
}

// Iam chooses a name for this session in listings; "" takes it back. It gives no rights and need not be unique.
func (s *Session) Iam(ctx context.Context, name string) error {
	_, err := s.ask(ctx, "iam "+name)
	return err
}

// Me tells the address by which the daemon knows this session, and the name it chose, or the address again.
func (s *Session) Me(ctx context.Context) (address, name string, err error) {
	reply, err := s.ask(ctx, "me")
	if err != nil {
		return "", "", err
	}
	if fields := strings.SplitN(reply, " ", 3); len(fields) == 3 {
		return fields[1], fields[2], nil
	}
	return "", "", fmt.Errorf("%w (%q)", ErrRefused, reply)
}

// Who lists the sessions that chose the name, as address and name; with "" all that chose any.
func (s *Session) Who(ctx context.Context, name string) (map[string]string, error) {
	lines, err := s.lines(ctx, "who "+name)
	if err != nil {
		return nil, err
	}
	names := make(map[string]string, len(lines))
	for _, line := range lines {
		if fields := strings.SplitN(line, ": ", 2); len(fields) == 2 {
			names[fields[0]] = fields[1]
		}
	}
	return names, nil
}

// Stats are the daemon's counters.
func (s *Session) Stats(ctx context.Context) (map[string]int64, error) {
	// The counters are sorted, and this one is the last in every version of the daemon.
	request := newRequest(func(line string) bool { return strings.HasPrefix(line, "shared_orphans: ") })
	err := s.perform(ctx, request, "q")
	if err != nil {
		return nil, err
	}
	stats := make(map[string]int64, len(request.lines))
	for _, line := range request.lines {
		if fields := strings.SplitN(line, ": ", 2); len(fields) == 2 {
			if stats[fields[0]], err = strconv.ParseInt(fields[1], 10, 64); err != nil {
				return nil, fmt.Errorf("%w (%q)", ErrRefused, line)
			}
		}
	}
	return stats, nil
}

// Explain tells, as JSON, who holds the lock and who waits for it, and since when, among exclusive and shared locks.
func (s *Session) Explain(ctx context.Context, name string) (json.RawMessage, error) {
	return s.document(ctx, "explain "+name)
}

// History tells, as JSON, the latest events of the lock, oldest first; with "" those of all locks.
func (s *Session) History(ctx context.Context, name string) (json.RawMessage, error) {
	return s.document(ctx, "history "+name)
}

// Ping asks whether the daemon is alive.
func (s *Session) Ping(ctx context.Context) error {
	_, err := s.ask(ctx, "ping")
	return err
}

// Version is the daemon's own, such as "glockd 1.0.0".
func (s *Session) Version(ctx context.Context) (string, error) {
	reply, err := s.ask(ctx, "version")
	if err != nil {
		return "", err
	}
	return strings.TrimPrefix(reply, "1 "), nil
}

// Bound is the time within which the daemon finds out that a peer has vanished without a word.
func (s *Session) Bound(ctx context.Context) (time.Duration, error) {
	seconds, err := s.number(ctx, "bound")
	return time.Duration(seconds) * time.Second, err
}

// Auth presents the secret that the daemon wants before anything else; ErrNotAuthorised if it is another one, ErrBadName if
// there is a line end in it. White space around it, such as a file's line end, is no part of it; of nothing, nothing is sent.
func (s *Session) Auth(ctx context.Context, secret string) error {
	secret = strings.TrimSpace(secret)
	if strings.ContainsAny(secret, "\n\r") {
		return fmt.Errorf("%w: a secret cannot hold a line end", ErrBadName)
	}
	if secret == "" {
		return nil
	}
	_, err := s.ask(ctx, "auth "+normalise(secret))
	return err
}

// Raw sends one line and returns the given number of lines of its reply, without line ends. An invalid command has no
// reply. Locks taken this way are held, but no Lock stands for them.
func (s *Session) Raw(ctx context.Context, line string, lines int) ([]string, error) {
	if lines < 0 {
		return nil, fmt.Errorf("%w: a reply has no %d lines", ErrRefused, lines)
	}
	if lines == 0 {
		return nil, s.perform(ctx, nil, line)
	}
	seen := 0
	request := newRequest(func(string) bool { seen++; return seen == lines })
	err := s.perform(ctx, request, line)
	return request.lines, err
}
