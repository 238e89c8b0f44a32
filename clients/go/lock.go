package glock

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Lock is a hold of a lock, exclusive, as a reader, or shared. It lasts until Unlock, or until it is lost.
type Lock struct {
	session *Session
	hold    hold
	lost    chan struct{}
	back    func() // hands the session back to the client it was borrowed from; nil: it is the caller's

	// Guarded by the session's mu.
	holders int
	token   uint64 // 0 until asked for
	err     error  // why it is no longer held
}

// Name is the lock's name as the daemon understood it: white space at the ends is gone, and runs of it are one space.
func (l *Lock) Name() string { return l.hold.name }

// Holders is how many held the lock when it was granted, this one included: always 1 unless it is read or shared.
func (l *Lock) Holders() int {
	l.session.mu.Lock()
	defer l.session.mu.Unlock()
	return l.holders
}

// Lost is closed when the hold has ended without Unlock, because the connection ended or a lease ran out. Whoever relies
// on the lock must stop then.
func (l *Lock) Lost() <-chan struct{} { return l.lost }

// Err is nil while the lock is held, wraps ErrLost once it is lost, and is ErrNotHeld after Unlock.
func (l *Lock) Err() error {
	l.session.mu.Lock()
	defer l.session.mu.Unlock()
	return l.err
}

// Context is a context that also ends when the lock is lost. Call cancel as soon as the work is done.
func (l *Lock) Context(parent context.Context) (ctx context.Context, cancel context.CancelFunc) {
	return unless(parent, l.lost)
}

// Token is the hold's fencing token: larger than that of every earlier grant of any lock. Hand it to whatever the lock
// protects, so that it can turn away a late comer with a smaller one. Shared locks have none: ErrRefused.
func (l *Lock) Token(ctx context.Context) (uint64, error) {
	if err := l.exclusive("token"); err != nil {
		return 0, err
	}
	l.session.mu.Lock()
	token := l.token
	l.session.mu.Unlock()
	if token != 0 {
		return token, nil
	}
	token, err := l.session.Token(ctx, l.hold.name)
	if err != nil {
		return 0, err
	}
	l.session.mu.Lock()
	l.token = token
	l.session.mu.Unlock()
	return token, nil
}

// Lease makes the daemon take the lock back after that time, unless it is told again by then; Forever takes the lease
// off. It is for holders that may hang while their connection lives. Shared locks have none: ErrRefused.
func (l *Lock) Lease(ctx context.Context, length time.Duration) error {
	if err := l.exclusive("lease"); err != nil {
		return err
	}
	return l.session.Lease(ctx, l.hold.name, length)
}

// Unlock gives the lock back. It fails with ErrLost if it was lost before, and with ErrNotHeld if it was given back already.
func (l *Lock) Unlock() error {
	if l.back != nil {
		defer l.back()
	}
	if err := l.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), replyTimeout) // none is taken, so that it can be deferred
	defer cancel()
	err := l.session.release(ctx, l.hold)
	if ctx.Err() != nil {
		l.session.end(ErrClosed) // whoever waits for the lock must not wait for an answer that does not come
	}
	if reason := l.session.Err(); err != nil && reason != nil {
		return fmt.Errorf("%w: %v", ErrLost, reason)
	}
	if errors.Is(err, ErrNotHeld) { // the lease ran out while the release was on its way
		return fmt.Errorf("%w: %v", ErrLost, err)
	}
	return err
}

// exclusive fails for a lock that is not held, and for a shared one, which the daemon would take for its namesake.
func (l *Lock) exclusive(what string) error {
	if l.hold.shared {
		return fmt.Errorf("%w: a shared lock has no %s", ErrRefused, what)
	}
	return l.Err()
}

// lose is called with the session's mu held.
func (l *Lock) lose(reason error) {
	l.err = reason
	close(l.lost)
}
