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
)

// maxIdle is how many connections without a lock a Client keeps for later.
const maxIdle = 8

// Client takes locks for many goroutines. Its zero value is ready for use.
type Client struct {
	// Server is the daemon's address as for Connect; "" means the environment variable GLOCK_SERVER, and without that
	// DefaultServer.
	Server string
	// Secret is presented to a daemon that wants one.
	Secret string
	// Name is what each connection calls itself in the daemon's listings; "" for its address.
	Name string
	// Dial makes the connections; nil: to Server.
	Dial func(ctx context.Context) (net.Conn, error)

	mu     sync.Mutex
	idle   []*Session
	closed bool
}

// Lock takes the lock of that name, and waits in line for it until ctx is done: first come, first served. The lock is the
// caller's alone, also among goroutines of this Client, until Unlock or until it is lost.
//
// Errors: ctx's own, and then nothing is held; ErrBadName; ErrClosed or net's errors if there is no daemon.
func (c *Client) Lock(ctx context.Context, name string) (*Lock, error) {
	return c.acquire(ctx, func(s *Session) (*Lock, error) { return s.Lock(ctx, name) })
}

// TryLock takes the lock if nobody has it, else fails with ErrBusy at once.
func (c *Client) TryLock(ctx context.Context, name string) (*Lock, error) {
	return c.acquire(ctx, func(s *Session) (*Lock, error) { return s.TryLock(ctx, name) })
}

// Read takes the lock together with other readers, while nobody has it by Lock, and waits in line until ctx is done.
func (c *Client) Read(ctx context.Context, name string) (*Lock, error) {
	return c.acquire(ctx, func(s *Session) (*Lock, error) { return s.Read(ctx, name) })
}

// TryRead is Read without waiting: it fails with ErrBusy if somebody has the lock, or waits for it, by Lock.
func (c *Client) TryRead(ctx context.Context, name string) (*Lock, error) {
	return c.acquire(ctx, func(s *Session) (*Lock, error) { return s.TryRead(ctx, name) })
}

// Shared takes the shared lock of that name, which any number may hold and which has nothing to do with the exclusive
// one. It never waits; Lock.Holders tells how many hold it.
func (c *Client) Shared(ctx context.Context, name string) (*Lock, error) {
	return c.acquire(ctx, func(s *Session) (*Lock, error) { return s.Shared(ctx, name) })
}

// SharedLimit takes the shared lock once fewer than limit hold it, and waits in line until ctx is done.
func (c *Client) SharedLimit(ctx context.Context, name string, limit int) (*Lock, error) {
	return c.acquire(ctx, func(s *Session) (*Lock, error) { return s.SharedLimit(ctx, name, limit) })
}

// TrySharedLimit is SharedLimit without waiting: it fails with ErrBusy if limit hold the lock.
func (c *Client) TrySharedLimit(ctx context.Context, name string, limit int) (*Lock, error) {
	return c.acquire(ctx, func(s *Session) (*Lock, error) { return s.TrySharedLimit(ctx, name, limit) })
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

// Close ends the idle connections, and those of locks when they are unlocked. Locks can no longer be taken.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, session := range c.idle {
		session.Close()
	}
	c.idle = nil
	return nil
}

func (c *Client) acquire(ctx context.Context, take func(s *Session) (*Lock, error)) (*Lock, error) {
	for {
		session, used, err := c.borrow(ctx)
		if err != nil {
			return nil, err
		}
		lock, err := take(session)
		if err == nil {
			var once sync.Once
			lock.back = func() { once.Do(func() { c.back(session) }) }
			return lock, nil
		}
		c.back(session)
		if used && session.Err() != nil && ctx.Err() == nil {
			continue // it died while idle; it held nothing, so another will do
		}
		return nil, err
	}
}

// borrow gives a session that holds nothing and has no reply to come, and tells whether it was used before.
func (c *Client) borrow(ctx context.Context) (session *Session, used bool, err error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, false, ErrClosed
	}
	for number := len(c.idle) - 1; number >= 0; number-- {
		session := c.idle[number]
		if session.answering() {
			continue
		}
		c.idle = append(c.idle[:number], c.idle[number+1:]...)
		if session.Err() == nil {
			c.mu.Unlock()
			return session, true, nil
		}
	}
	c.mu.Unlock()
	session, err = c.connect(ctx)
	return session, false, err
}

func (c *Client) connect(ctx context.Context) (session *Session, err error) {
	if c.Dial == nil {
		session, err = Connect(ctx, c.Server)
	} else if conn, dialErr := c.Dial(ctx); dialErr != nil {
		err = dialErr
	} else {
		session = NewSession(conn)
	}
	if err == nil && c.Secret != "" {
		err = session.Auth(ctx, c.Secret)
	}
	if err == nil && c.Name != "" {
		err = session.Iam(ctx, c.Name)
	}
	if err != nil && session != nil {
		session.Close()
	}
	return session, err
}

// back takes a session back that was lent.
func (c *Client) back(session *Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.idle) >= maxIdle || session.holding() {
		session.Close()
		return
	}
	c.idle = append(c.idle, session)
}

// holding tells whether the session holds any lock.
func (s *Session) holding() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.holds) > 0
}

// answering tells whether replies that nobody waits for any more are still to come.
func (s *Session) answering() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pending) > 0
}
