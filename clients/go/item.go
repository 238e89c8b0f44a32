package glock

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Item is an item of a work list that is this session's. It lasts until Done, Fail or Give, or until it is lost.
type Item struct {
	session *Session
	key     item
	attempt int
	lost    chan struct{}
	back    func() // hands the session back to the client it was borrowed from; nil: it is the caller's

	err error // why it is no longer held; guarded by the session's mu
}

// item is what tells an item from others: names of lists are one word.
type item struct{ pool, name string }

// Pool is what there is of a work list, in numbers.
type Pool struct {
	Pool     string `json:"pool"`
	Free     int    `json:"free"`
	Held     int    `json:"held"`
	Waiting  int    `json:"waiting"`
	Done     int    `json:"done"`
	Failed   int    `json:"failed"`
	Orphaned int    `json:"orphaned"`
}

// Name is the item as the daemon understood it: white space at the ends is gone, and runs of it are one space.
func (i *Item) Name() string { return i.key.name }

// Pool is the list that it is of.
func (i *Item) Pool() string { return i.key.pool }

// Attempt is how often it has been taken, this time included.
func (i *Item) Attempt() int { return i.attempt }

// Lost is closed when the item was taken away without Done, Fail or Give, because the connection ended or the time of
// Keep did. It is or will be somebody else's.
func (i *Item) Lost() <-chan struct{} { return i.lost }

// Err is nil while the item is held, wraps ErrLost once it is lost, and is ErrNotHeld after its end was told.
func (i *Item) Err() error {
	i.session.mu.Lock()
	defer i.session.mu.Unlock()
	return i.err
}

// Context is a context that also ends when the item is lost. Call cancel as soon as the work is done.
func (i *Item) Context(parent context.Context) (ctx context.Context, cancel context.CancelFunc) {
	return unless(parent, i.lost)
}

// Done says that the item is finished, and gone. It fails with ErrLost if the item was lost before, with ErrNotHeld if its
// end was told already, and with ErrRefused, and the item is held as before, if the daemon cannot record it.
func (i *Item) Done() error { return i.finish("done") }

// Fail gives the item up: it is gone, and counted as failed. Errors as those of Done.
func (i *Item) Fail() error { return i.finish("fail") }

// Give puts the item back, behind those tried less. Errors as those of Done.
func (i *Item) Give() error { return i.finish("give") }

// Keep makes the daemon take the item back after that time, unless it is told again by then; Forever ends that.
func (i *Item) Keep(ctx context.Context, length time.Duration) error {
	if err := i.Err(); err != nil {
		return err
	}
	return i.session.Keep(ctx, i.key.pool, i.key.name, length)
}

func (i *Item) finish(verb string) error {
	if err := i.Err(); err != nil {
		i.giveBack()
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), replyTimeout) // none is taken, so that it can be deferred
	defer cancel()
	err := i.session.finish(ctx, verb, i.key)
	if ctx.Err() != nil {
		i.session.end(ErrClosed) // whoever waits for the item must not wait for an answer that does not come
	}
	if reason := i.session.Err(); err != nil && reason != nil {
		err = fmt.Errorf("%w: %v", ErrLost, reason)
	} else if errors.Is(err, ErrNotHeld) { // its time was over while the word was on its way
		err = fmt.Errorf("%w: %v", ErrLost, err)
	}
	if i.Err() != nil {
		i.giveBack()
	}
	return err
}

func (i *Item) giveBack() {
	if i.back != nil {
		i.back()
	}
}

// lose is called with the session's mu held.
func (i *Item) lose(reason error) {
	i.err = reason
	close(i.lost)
}
