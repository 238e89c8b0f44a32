// Package glock is a client of glockd, the lock daemon: named locks that last as long as the connection they were taken on.
//
// A Client is for programs whose goroutines exclude each other and other programs; each lock has a connection of its
// own, from a pool. A Session is one connection, one holder of many locks.
//
//	client := &glock.Client{Server: "tcp://127.0.0.1:9999"}
//	lock, err := client.Lock(ctx, "job")
//	if err != nil {
//		return err
//	}
//	defer lock.Unlock()
package glock

import (
	"context"
	"net"
	"sync"
	"time"
)

// maxIdle is how many connections without a lock a Client keeps for later.
const maxIdle = 8

// Client takes locks for many goroutines. Its zero value is ready for use.
type Client struct {
	// Server is the daemon's address as for Connect; "" means the environment variable GLOCK_SERVER, and without that
	// DefaultServer.
	Server string
	// Secret is presented to a daemon that wants one; "" means the environment variable GLOCK_SECRET, and without that none.
	Secret string
	// Name is what each connection calls itself in the daemon's listings; "" for its address.
	Name string
	// Alive is how often the daemon shows on each connection that it is alive, as Session.Alive tells; 0: never.
	Alive time.Duration
	// Dial makes the connections; nil: to Server.
	Dial func(ctx context.Context) (net.Conn, error)

	mu     sync.Mutex
	idle   []*Session
	lent   map[*Session]struct{}
	ending chan struct{} // closed by Close; nil until somebody needs it
	closed bool
}

// Lock takes the lock of that name, and waits in line for it until ctx is done: first come, first served. The lock is the
// caller's alone, also among goroutines of this Client, until Unlock or until it is lost.
//
// Errors: ctx's own, and then nothing is held; ErrBadName; ErrClosed after Close; ErrClosed or net's errors if there is no
// daemon.
func (c *Client) Lock(ctx context.Context, name string) (*Lock, error) {
	return c.lock(ctx, func(s *Session) (*Lock, error) { return s.Lock(ctx, name) })
}

// TryLock takes the lock if nobody has it, else fails with ErrBusy at once.
func (c *Client) TryLock(ctx context.Context, name string) (*Lock, error) {
	return c.lock(ctx, func(s *Session) (*Lock, error) { return s.TryLock(ctx, name) })
}

// Read takes the lock together with other readers, while nobody has it by Lock, and waits in line until ctx is done.
func (c *Client) Read(ctx context.Context, name string) (*Lock, error) {
	return c.lock(ctx, func(s *Session) (*Lock, error) { return s.Read(ctx, name) })
}

// TryRead is Read without waiting: it fails with ErrBusy if somebody has the lock, or waits for it, by Lock.
func (c *Client) TryRead(ctx context.Context, name string) (*Lock, error) {
	return c.lock(ctx, func(s *Session) (*Lock, error) { return s.TryRead(ctx, name) })
}

// Shared takes the shared lock of that name, which any number may hold and which has nothing to do with the exclusive
// one. It never waits; Lock.Holders tells how many hold it.
func (c *Client) Shared(ctx context.Context, name string) (*Lock, error) {
	return c.lock(ctx, func(s *Session) (*Lock, error) { return s.Shared(ctx, name) })
}

// SharedLimit takes the shared lock once fewer than limit hold it, and waits in line until ctx is done.
func (c *Client) SharedLimit(ctx context.Context, name string, limit int) (*Lock, error) {
	return c.lock(ctx, func(s *Session) (*Lock, error) { return s.SharedLimit(ctx, name, limit) })
}

// TrySharedLimit is SharedLimit without waiting: it fails with ErrBusy if limit hold the lock.
func (c *Client) TrySharedLimit(ctx context.Context, name string, limit int) (*Lock, error) {
	return c.lock(ctx, func(s *Session) (*Lock, error) { return s.TrySharedLimit(ctx, name, limit) })
}

// Check tells whether token is the one now in force for the lock. It is for whoever guards the resource itself.
func (c *Client) Check(ctx context.Context, name string, token uint64) (current bool, err error) {
	err = c.Do(ctx, func(s *Session) error {
		current, err = s.Check(ctx, name, token)
		return err
	})
	return current, err
}

// Do lends a session that holds nothing, for any question. It must hold nothing afterwards, or it is closed.
func (c *Client) Do(ctx context.Context, ask func(s *Session) error) error {
	session, _, err := c.borrow(ctx)
	if err != nil {
		return err
	}
	defer c.back(session)
	return ask(session)
}

// Close ends all connections, from whichever goroutine it is called. Who waits gets ErrClosed, whoever has a lock has lost it,
// and nothing is granted afterwards.
func (c *Client) Close() error {
	c.mu.Lock()
	sessions := c.idle
	for session := range c.lent {
		sessions = append(sessions, session)
	}
	c.idle, c.lent = nil, nil
	if !c.closed {
		c.closed = true
		close(c.end())
	}
	c.mu.Unlock()
	for _, session := range sessions {
		session.Close()
	}
	return nil
}

// end is the channel that Close closes. mu is held.
func (c *Client) end() chan struct{} {
	if c.ending == nil {
		c.ending = make(chan struct{})
	}
	return c.ending
}

func (c *Client) lock(ctx context.Context, take func(s *Session) (*Lock, error)) (*Lock, error) {
	var taken *Lock
	back, err := c.acquire(ctx, func(s *Session) error {
		lock, err := take(s)
		taken = lock
		return err
	})
	if err != nil {
		return nil, err
	}
	taken.back = back
	return taken, nil
}

// acquire has something taken on a session, and gives what gives that session back.
func (c *Client) acquire(ctx context.Context, take func(s *Session) error) (back func(), err error) {
	for {
		session, used, err := c.borrow(ctx)
		if err != nil {
			return nil, err
		}
		err = take(session)
		if err == nil {
			return c.granted(session)
		}
		c.back(session)
		if used && session.Err() != nil && ctx.Err() == nil {
			continue // it died while idle; it held nothing, so another will do
		}
		return nil, err
	}
}

// granted gives what gives the session back, once. What was granted while the client was closed is lost already.
func (c *Client) granted(session *Session) (back func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	var once sync.Once
	return func() { once.Do(func() { c.back(session) }) }, nil
}

// borrow gives a session that holds nothing and has no reply to come, and tells whether it was used before.
func (c *Client) borrow(ctx context.Context) (session *Session, used bool, err error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, false, ErrClosed
	}
	session, ending := c.unused(), c.end()
	c.mu.Unlock()
	if session != nil {
		return session, true, nil
	}
	connecting, cancel := unless(ctx, ending)
	defer cancel()
	session, err = c.connect(connecting)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		if session != nil {
			session.Close()
		}
		return nil, false, ErrClosed
	}
	c.lend(session)
	return session, false, err
}

// unused lends an idle session, or nil if there is none. mu is held.
func (c *Client) unused() *Session {
	for number := len(c.idle) - 1; number >= 0; number-- {
		session := c.idle[number]
		if session.answering() {
			continue
		}
		c.idle = append(c.idle[:number], c.idle[number+1:]...)
		if session.Err() == nil {
			c.lend(session)
			return session
		}
	}
	return nil
}

// lend notes who has to be ended by Close. mu is held.
func (c *Client) lend(session *Session) {
	if session == nil {
		return
	}
	if c.lent == nil {
		c.lent = map[*Session]struct{}{}
	}
	c.lent[session] = struct{}{}
}

// unless is a context that also ends when the channel is closed.
func unless(parent context.Context, ending <-chan struct{}) (ctx context.Context, cancel context.CancelFunc) {
	ctx, cancel = context.WithCancel(parent)
	go func() {
		select {
		case <-ending:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

func (c *Client) connect(ctx context.Context) (*Session, error) {
	open := c.Dial
	if open == nil {
		open = func(ctx context.Context) (net.Conn, error) { return dial(ctx, c.Server) }
	}
	conn, err := open(ctx)
	if err != nil {
		return nil, err
	}
	return greeted(ctx, conn, c.Secret, c.Name, c.Alive)
}

// back takes a session back that was lent.
func (c *Client) back(session *Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.lent, session)
	if c.closed || len(c.idle) >= maxIdle || session.holding() {
		session.Close()
		return
	}
	c.idle = append(c.idle, session)
}

// holding tells whether the session holds any lock or item.
func (s *Session) holding() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.holds)+len(s.items) > 0
}

// answering tells whether replies that nobody waits for any more are still to come.
func (s *Session) answering() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pending) > 0
}
