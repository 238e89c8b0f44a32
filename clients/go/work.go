package glock

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Put offers an item to whoever takes one. It is not new if it is there already, free or taken, or if there is no room.
func (s *Session) Put(ctx context.Context, pool, name string) (isNew bool, err error) {
	key, err := itemKey(pool, name)
	if err != nil {
		return false, err
	}
	number, err := s.number(ctx, "put "+key.pool+" "+key.name)
	return number > 0, err
}

// Take takes any item of the list, those tried least first, then the oldest, and waits in line until ctx is done; also for
// one of a list that is still empty.
//
// Errors: ctx's own, and then nothing is taken and the place in line is given up; ErrBadName; ErrBusy if this session has as many
// as it may; ErrClosed.
func (s *Session) Take(ctx context.Context, pool string) (*Item, error) {
	return s.takeItem(ctx, "inf", pool)
}

// TryTake takes an item if one is free, else fails with ErrBusy at once.
func (s *Session) TryTake(ctx context.Context, pool string) (*Item, error) {
	return s.takeItem(ctx, "0", pool)
}

// Done says of an item of this session's that it is finished, and gone; ErrNotHeld if it is not this session's.
func (s *Session) Done(ctx context.Context, pool, name string) error {
	return s.finishNamed(ctx, "done", pool, name)
}

// Fail gives an item of this session's up: it is gone, and counted as failed; ErrNotHeld if it is not this session's.
func (s *Session) Fail(ctx context.Context, pool, name string) error {
	return s.finishNamed(ctx, "fail", pool, name)
}

// Give puts an item of this session's back; ErrNotHeld if it is not this session's.
func (s *Session) Give(ctx context.Context, pool, name string) error {
	return s.finishNamed(ctx, "give", pool, name)
}

// Keep makes the daemon take an item of this session's back after that time, unless it is told again by then; Forever ends
// that. ErrNotHeld if it is not this session's. What is taken back closes the item's Lost channel.
func (s *Session) Keep(ctx context.Context, pool, name string, length time.Duration) error {
	key, err := itemKey(pool, name)
	if err != nil {
		return err
	}
	if err := s.notify(ctx); err != nil {
		return err
	}
	_, err = s.ask(ctx, "keep "+leaseSeconds(length)+" "+key.pool+" "+key.name)
	return err
}

// Pool tells what there is of a list; zeros if there is none of that name.
func (s *Session) Pool(ctx context.Context, pool string) (counts Pool, err error) {
	if pool, err = poolName(pool); err != nil {
		return counts, err
	}
	document, err := s.document(ctx, "pool "+pool)
	if err == nil {
		err = json.Unmarshal(document, &counts)
	}
	return counts, err
}

// Pools tells the same of every list.
func (s *Session) Pools(ctx context.Context) (all []Pool, err error) {
	document, err := s.document(ctx, "pool")
	if err == nil {
		err = json.Unmarshal(document, &all)
	}
	return all, err
}

// Put offers an item to whoever takes one. It is not new if it is there already, free or taken, or if there is no room.
func (c *Client) Put(ctx context.Context, pool, name string) (isNew bool, err error) {
	err = c.Do(ctx, func(s *Session) error {
		isNew, err = s.Put(ctx, pool, name)
		return err
	})
	return isNew, err
}

// Take takes any item of the list, and waits in line for one until ctx is done. It is the caller's alone, also among goroutines
// of this Client, until Done, Fail or Give, or until it is lost. Errors as those of Session.Take, and those of Client.Lock.
func (c *Client) Take(ctx context.Context, pool string) (*Item, error) {
	return c.takeItem(ctx, func(s *Session) (*Item, error) { return s.Take(ctx, pool) })
}

// TryTake takes an item if one is free, else fails with ErrBusy at once.
func (c *Client) TryTake(ctx context.Context, pool string) (*Item, error) {
	return c.takeItem(ctx, func(s *Session) (*Item, error) { return s.TryTake(ctx, pool) })
}

// Pools tells what there is of every list.
func (c *Client) Pools(ctx context.Context) (all []Pool, err error) {
	err = c.Do(ctx, func(s *Session) error {
		all, err = s.Pools(ctx)
		return err
	})
	return all, err
}

func (c *Client) takeItem(ctx context.Context, take func(s *Session) (*Item, error)) (*Item, error) {
	var taken *Item
	back, err := c.acquire(ctx, func(s *Session) error {
		item, err := take(s)
		taken = item
		return err
	})
	if err != nil {
		return nil, err
	}
	taken.back = back
	return taken, nil
}

func (s *Session) takeItem(ctx context.Context, wait, pool string) (*Item, error) {
	pool, err := poolName(pool)
	if err != nil {
		return nil, err
	}
	if err := s.take(ctx); err != nil {
		return nil, err
	}
	defer s.give()
	request := newRequest(nil)
	var taken *Item
	request.taken = func(line string) { taken = s.noteItem(pool, line) }
	request.late = func(line string) string {
		if name, attempt := takenBy(line); attempt > 0 {
			return "give " + pool + " " + name
		}
		return ""
	}
	var undo []string
	if wait != "0" {
		undo = []string{"cancel"}
	}
	if err := s.exchange(ctx, request, undo, "take "+wait+" "+pool); err != nil {
		return nil, err
	}
	if taken == nil {
		if err := refusal(request.lines[0]); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w (%q)", ErrRefused, request.lines[0])
	}
	return taken, nil
}

// noteItem notes what a reply gives. mu is held.
func (s *Session) noteItem(pool, line string) *Item {
	name, attempt := takenBy(line)
	if attempt < 1 {
		return nil
	}
	taken := &Item{session: s, key: item{pool, name}, attempt: attempt, lost: make(chan struct{})}
	s.items[taken.key] = taken
	return taken
}

// takenBy is the item that a reply gives, and which attempt it is; 0: it gives none.
func takenBy(line string) (name string, attempt int) {
	_, text, _ := strings.Cut(line, " ")
	if name, found := cut(text, "Item Take Success: "); found {
		return name, int(leading(line))
	}
	return "", 0
}

func (s *Session) finishNamed(ctx context.Context, verb, pool, name string) error {
	key, err := itemKey(pool, name)
	if err != nil {
		return err
	}
	return s.finish(ctx, verb, key)
}

// finish says what became of an item. Unless the daemon could not carry that out, the session no longer counts on it.
func (s *Session) finish(ctx context.Context, verb string, key item) error {
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.give()
	request := newRequest(nil)
	request.taken = func(line string) {
		err := refusal(line)
		if held := s.items[key]; held != nil && (err == nil || isNotHeld(line)) {
			delete(s.items, key)
			held.err = ErrNotHeld
		}
	}
	if err := s.exchange(ctx, request, nil, verb+" "+key.pool+" "+key.name); err != nil {
		return err
	}
	return refusal(request.lines[0])
}

// isNotHeld tells whether a reply says that an item is not this session's.
func isNotHeld(line string) bool {
	for _, what := range []string{"Done", "Fail", "Give"} {
		if strings.HasPrefix(line, "0 Item "+what+" Failure: ") {
			return true
		}
	}
	return false
}

// poolName is the name of a list as the daemon knows it: one word.
func poolName(pool string) (string, error) {
	if err := sendable(pool); err != nil {
		return "", err
	}
	name := normalise(pool)
	if name == "" || strings.Contains(name, " ") {
		return "", fmt.Errorf("%w: a list's name is one word", ErrBadName)
	}
	return name, nil
}

func itemKey(pool, name string) (key item, err error) {
	if key.pool, err = poolName(pool); err != nil {
		return key, err
	}
	if err := sendable(name); err != nil {
		return key, err
	}
	if key.name = normalise(name); key.name == "" {
		return key, fmt.Errorf("%w: an item is not empty", ErrBadName)
	}
	return key, nil
}
