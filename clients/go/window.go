package glock

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// stamp is how the daemon writes moments.
const stamp = "2006-01-02T15:04:05Z"

// Window is what is to be booked: a name for a stretch of time. Windows have their own names, apart from those of locks.
type Window struct {
	Name   string
	Length time.Duration
	Start  time.Time     // when it is to begin; if that is zero, In counts
	In     time.Duration // from now, by the daemon's clock
	Slip   time.Duration // by how much later it may be, if it is in somebody's way
	Shared bool          // beside others that are shared
}

// Booking is a window that is booked. It outlives who has booked it, and a restart of the daemon.
type Booking struct {
	Number     uint64 // never used again
	Name       string
	Begin, End time.Time
	Shared     bool
}

// Booked is a window as it is listed.
type Booked struct {
	Number uint64    `json:"id"`
	Name   string    `json:"name"`
	Mode   string    `json:"mode"` // exclusive or shared
	Begin  time.Time `json:"start"`
	End    time.Time `json:"end"`
	State  string    `json:"state"` // pending or running
	By     string    `json:"by"`
	Task   string    `json:"task"` // the one that it belongs to over HTTP, if any
}

// Book books a window.
//
// Errors: ErrBusy if there is no room, or if it lies further ahead than the daemon books; ErrBadName; ErrRefused if the daemon has
// no windows. Nothing has changed then.
func (s *Session) Book(ctx context.Context, window Window) (Booking, error) {
	command, err := window.command()
	if err != nil {
		return Booking{}, err
	}
	reply, err := s.ask(ctx, command)
	if err != nil {
		return Booking{}, err
	}
	return booking(reply, window)
}

// Unbook gives a window back that has not begun, or ends it; ErrNotHeld if it is over, or was booked from another address.
func (s *Session) Unbook(ctx context.Context, number uint64) error {
	_, err := s.ask(ctx, "unbook "+strconv.FormatUint(number, 10))
	return err
}

// Bookings lists the windows of a name that are on or to come, by their beginning; of "" those of all names.
func (s *Session) Bookings(ctx context.Context, name string) (all []Booked, err error) {
	if err := sendable(name); err != nil {
		return nil, err
	}
	document, err := s.document(ctx, strings.TrimSpace("bookings "+normalise(name)))
	if err == nil {
		err = json.Unmarshal(document, &all)
	}
	return all, err
}

// Book books a window. Errors as those of Session.Book.
func (c *Client) Book(ctx context.Context, window Window) (booked Booking, err error) {
	err = c.Do(ctx, func(s *Session) error {
		booked, err = s.Book(ctx, window)
		return err
	})
	return booked, err
}

// Unbook gives a window back that has not begun, or ends it; ErrNotHeld if it is over, or was booked from another address.
func (c *Client) Unbook(ctx context.Context, number uint64) error {
	return c.Do(ctx, func(s *Session) error { return s.Unbook(ctx, number) })
}

// Bookings lists the windows of a name that are on or to come, by their beginning; of "" those of all names.
func (c *Client) Bookings(ctx context.Context, name string) (all []Booked, err error) {
	err = c.Do(ctx, func(s *Session) error {
		all, err = s.Bookings(ctx, name)
		return err
	})
	return all, err
}

func (w Window) command() (string, error) {
	if err := sendable(w.Name); err != nil {
		return "", err
	}
	name := normalise(w.Name)
	if name == "" {
		return "", fmt.Errorf("%w: a window has a name", ErrBadName)
	}
	verb, start := "book", "now"
	if w.Shared {
		verb = "sbook"
	}
	if !w.Start.IsZero() {
		at := w.Start.UTC().Truncate(time.Second)
		if at.Before(w.Start) { // none begins before it was wanted
			at = at.Add(time.Second)
		}
		start = at.Format(stamp)
	} else if w.In > 0 {
		start = "+" + inSeconds(w.In)
	}
	return strings.Join([]string{verb, start, inSeconds(w.Length), inSeconds(w.Slip), name}, " "), nil
}

func booking(reply string, window Window) (Booking, error) {
	words := strings.Fields(strings.Replace(reply, " Shared Booked ", " Booked ", 1))
	if len(words) > 4 && words[1] == "Booked" {
		number, wrong := strconv.ParseUint(words[0], 10, 64)
		begin, early := time.Parse(stamp, words[2])
		end, late := time.Parse(stamp, strings.TrimSuffix(words[3], ":"))
		if wrong == nil && early == nil && late == nil {
			return Booking{number, normalise(window.Name), begin, end, window.Shared}, nil
		}
	}
	return Booking{}, fmt.Errorf("%w (%q)", ErrRefused, reply)
}
