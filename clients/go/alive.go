package glock

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

const (
	// minAlive is the shortest interval that Alive takes.
	minAlive = time.Millisecond
	// maxQuiet is how many quarters of the interval may pass without a sign: 2.5 intervals, and the quarter it began in.
	maxQuiet = 11
)

// Alive has the daemon show every interval, rounded up to whole seconds, that it is alive, also while this session waits.
// Proxies between then see no silent connection, which many of them end after a time; and if nothing at all comes for two
// and a half intervals, the session ends (ErrClosed), and its locks are lost. Another call changes the interval.
//
// ErrRefused if the interval is shorter than a millisecond, or if the daemon does not take it.
func (s *Session) Alive(ctx context.Context, interval time.Duration) error {
	if interval < minAlive {
		return fmt.Errorf("%w: alive %v, want at least %v", ErrRefused, interval, minAlive)
	}
	if _, err := s.ask(ctx, "alive "+inSeconds(interval)); err != nil {
		return err
	}
	if rest := interval % time.Second; rest > 0 && interval < Forever-time.Second {
		interval += time.Second - rest
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watched != nil {
		close(s.watched)
	}
	s.quiet, s.watched = 0, make(chan struct{})
	go s.watch(interval, s.watched)
	return nil
}

// watch ends the session if the daemon no longer shows that it is alive. It counts its own steps instead of looking at a
// clock: a machine that has slept takes one step when it wakes up, and not all that it missed.
func (s *Session) watch(interval time.Duration, replaced <-chan struct{}) {
	ticker := time.NewTicker(interval / 4)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-replaced:
			return
		case <-s.ended:
			return
		}
		s.mu.Lock()
		s.quiet++
		silent := s.quiet >= maxQuiet
		s.mu.Unlock()
		if silent {
			s.end(fmt.Errorf("%w: no sign of life for two and a half times %v", ErrClosed, interval))
			return
		}
	}
}

// inSeconds is a length of time as the daemon wants it.
func inSeconds(length time.Duration) string {
	return strconv.FormatFloat(length.Seconds(), 'f', -1, 64)
}
