package glock

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrBusy says that somebody else holds the lock, or that a limited shared lock is full.
	ErrBusy = errors.New("glock: lock is busy")
	// ErrDeadlock says that waiting could never have ended, since those in the way wait for this session.
	ErrDeadlock = errors.New("glock: waiting would be a deadlock")
	// ErrNotHeld says that this session does not hold the lock.
	ErrNotHeld = errors.New("glock: lock is not held")
	// ErrLost says that a hold ended without being released: its lease ran out or its connection ended.
	ErrLost = errors.New("glock: lock lost")
	// ErrClosed says that the session, and with it whatever it held, has ended.
	ErrClosed = errors.New("glock: session closed")
	// ErrBadName says that a name cannot be sent: it holds a line feed, or the command would be longer than 4095 bytes.
	ErrBadName = errors.New("glock: bad name")
	// ErrNotAuthorised says that the daemon wants a secret, or another one.
	ErrNotAuthorised = errors.New("glock: not authorised")
	// ErrRefused says that the daemon answered no for another reason, which the error's text tells.
	ErrRefused = errors.New("glock: refused")
)

// refusals tells what negative replies mean.
var refusals = []struct {
	prefix string
	err    error
}{
	{"0 Lock Get Failure: ", ErrBusy},
	{"0 Shared Lock Get Failure: ", ErrBusy},
	{"0 Lock Get Deadlock: ", ErrDeadlock},
	{"0 Shared Lock Get Deadlock: ", ErrDeadlock},
	{"0 Lock Release Failure: ", ErrNotHeld},
	{"0 Shared Lock Release Failure: ", ErrNotHeld},
	{"0 Lock Lease Failure: ", ErrNotHeld},
	{"0 Lock Token: ", ErrNotHeld},
	{"0 Item Take Failure: ", ErrBusy},
	{"0 Item Done Failure: ", ErrNotHeld},
	{"0 Item Fail Failure: ", ErrNotHeld},
	{"0 Item Give Failure: ", ErrNotHeld},
	{"0 Item Keep Failure: ", ErrNotHeld},
	{"0 Not Booked: ", ErrBusy},
	{"0 Unbook Failure: ", ErrNotHeld},
	{"0 Not Authorised", ErrNotAuthorised},
}

// answers are those replies that begin with 0 and are plain answers to a question.
var answers = []string{"0 Lock Not Locked: ", "0 Shared Lock Not Locked: ", "0 Lock Token Stale: ", "0 Item Put Failure: ", "0 []"}

// refusal is the error that a reply stands for, or nil. What is no answer is an error, also if it comes from a daemon that
// says more than this client knows, or from no glockd at all.
func refusal(reply string) error {
	if leading(reply) > 0 {
		return nil
	}
	for _, answer := range answers {
		if strings.HasPrefix(reply, answer) {
			return nil
		}
	}
	for _, refusal := range refusals {
		if strings.HasPrefix(reply, refusal.prefix) {
			return fmt.Errorf("%w (%q)", refusal.err, reply)
		}
	}
	return fmt.Errorf("%w (%q)", ErrRefused, reply)
}
