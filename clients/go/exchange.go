package glock

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	// maxLine is the longest command that the daemon takes whole, without its line feed.
	maxLine = 4095
	// writeTimeout bounds a write to a daemon that does not read; commands are short, so it means that it is gone.
	writeTimeout = 10 * time.Second
	// replyTimeout bounds the first replies on a connection, and that of Unlock, which takes no context.
	replyTimeout = 10 * time.Second
)

// request is a command that waits for its reply. All but done is guarded by the session's mu until done is closed.
type request struct {
	last    func(line string) bool   // tells the last line of the reply; nil: it has one line
	granted func(line string) *Lock  // makes the lock as the reply is read, so that a loss right behind it finds one
	taken   func(line string)        // notes an item as the reply is read, likewise; mu is held
	late    func(line string) string // what is to be sent if the reply comes when nobody wants it any more; "": nothing
	listing bool                     // the reply's lines may look like anything

	lines []string
	lock  *Lock
	err   error
	done  chan struct{}
}

func newRequest(last func(line string) bool) *request {
	return &request{last: last, done: make(chan struct{})}
}

// acquire asks for a hold. If ctx ends first, it takes the request back.
func (s *Session) acquire(ctx context.Context, words string, want hold) (*Lock, error) {
	if err := sendable(words + want.name); err != nil {
		return nil, err
	}
	want.name = normalise(want.name)
	if err := s.take(ctx); err != nil {
		return nil, err
	}
	defer s.give()
	request := newRequest(nil)
	request.granted = func(line string) *Lock { return s.grant(want, line) }
	if err := s.exchange(ctx, request, s.undo(words, want), words+want.name); err != nil {
		return nil, err
	}
	if request.lock == nil {
		if err := refusal(request.lines[0]); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w (%q)", ErrRefused, request.lines[0])
	}
	return request.lock, nil
}

// undo is what to send when nobody wants the reply to a request for a hold any more. The daemon serves a connection in
// order and cancel at once, so these leave the hold as it was before the request, whether it was granted meanwhile or not.
func (s *Session) undo(words string, want hold) (commands []string) {
	if words != "g " && words != "sg " { // the oldest daemon's, which never wait and know no cancel
		commands = append(commands, "cancel")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holds[want] == nil {
		commands = append(commands, want.release())
	}
	return commands
}

// grant notes what a reply gives. mu is held.
func (s *Session) grant(want hold, reply string) *Lock {
	holders := leading(reply)
	if holders < 1 {
		return nil
	}
	lock := s.holds[want]
	if lock == nil {
		lock = &Lock{session: s, hold: want, lost: make(chan struct{})}
		s.holds[want] = lock
	}
	lock.holders = int(holders)
	return lock
}

// release gives a hold back. Whatever comes of it, the session no longer counts on it.
func (s *Session) release(ctx context.Context, what hold) error {
	if err := sendable(what.release()); err != nil {
		return err
	}
	what.name = normalise(what.name)
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.give()
	s.mu.Lock()
	if lock := s.holds[what]; lock != nil {
		lock.err = ErrNotHeld
		delete(s.holds, what)
	}
	s.mu.Unlock()
	request := newRequest(nil)
	if err := s.exchange(ctx, request, nil, what.release()); err != nil {
		return err
	}
	return refusal(request.lines[0])
}

func (s *Session) number(ctx context.Context, command string) (int64, error) {
	reply, err := s.ask(ctx, command)
	if err != nil {
		return 0, err
	}
	return leading(reply), nil
}

func (s *Session) document(ctx context.Context, command string) (json.RawMessage, error) {
	reply, err := s.ask(ctx, command)
	if err != nil {
		return nil, err
	}
	_, document, _ := strings.Cut(reply, " ")
	return json.RawMessage(document), nil
}

func (s *Session) listing(ctx context.Context, word, name string) ([]string, error) {
	if normalise(name) == "" {
		return nil, fmt.Errorf("%w: the lock of no name cannot be listed", ErrBadName)
	}
	lines, err := s.lines(ctx, word+name)
	for number, line := range lines {
		lines[number] = strings.TrimPrefix(line, normalise(name)+": ")
	}
	return lines, err
}

// lines is the reply to a command whose reply has any number of lines and no end. A question about a lock that nobody
// can know of is sent behind it; the answer marks the end.
func (s *Session) lines(ctx context.Context, command string) ([]string, error) {
	end := "0 Lock Not Locked: " + s.nonce
	request := newRequest(func(line string) bool { return line == end })
	request.listing = true
	if err := s.perform(ctx, request, command, "i "+s.nonce); err != nil {
		return nil, err
	}
	lines := request.lines[:len(request.lines)-1]
	if len(lines) == 1 && lines[0] == "0 disabled" { // no line of a listing: those have a colon
		return nil, refusal(lines[0])
	}
	return lines, nil
}

// ask carries out a command that has one line of reply, and gives that, or the error that it stands for.
func (s *Session) ask(ctx context.Context, command string) (string, error) {
	request := newRequest(nil)
	if err := s.perform(ctx, request, command); err != nil {
		return "", err
	}
	return request.lines[0], refusal(request.lines[0])
}

// perform is exchange for those who have not taken their turn yet.
func (s *Session) perform(ctx context.Context, request *request, commands ...string) error {
	for _, command := range commands {
		if err := sendable(command); err != nil {
			return err
		}
	}
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.give()
	return s.exchange(ctx, request, nil, commands...)
}

// take waits until no other goroutine's command is on its way.
func (s *Session) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Session) give() { <-s.turn }

// exchange sends commands and waits for the reply; without a request it does not. If ctx ends first, it sends undo, and
// whatever replies are still to come are read by the way and dropped.
func (s *Session) exchange(ctx context.Context, request *request, undo []string, commands ...string) error {
	if err := s.send(request, commands...); err != nil || request == nil {
		return err
	}
	select {
	case <-request.done:
		return request.err
	case <-ctx.Done():
	}
	s.mu.Lock()
	select {
	case <-request.done: // it came just now
		s.mu.Unlock()
		return request.err
	default:
	}
	request.granted = nil
	if request.taken != nil {
		request.taken = nil
		if late := request.late; late != nil {
			request.taken = func(line string) { s.later(late(line)) }
		}
	}
	s.mu.Unlock()
	for _, command := range undo {
		if err := s.send(newRequest(nil), command); err != nil {
			break // the session has ended, and the request with it
		}
	}
	return ctx.Err()
}

// later sends a command as soon as it is its turn; "": none.
func (s *Session) later(command string) {
	if command == "" {
		return
	}
	go func() {
		if s.take(context.Background()) == nil {
			defer s.give()
			_ = s.send(newRequest(nil), command) // if the session has ended, nothing is held
		}
	}()
}

// send writes commands, whose reply is the request's.
func (s *Session) send(request *request, commands ...string) error {
	s.mu.Lock()
	if s.err != nil {
		defer s.mu.Unlock()
		return s.err
	}
	if request != nil {
		s.pending = append(s.pending, request)
	}
	s.mu.Unlock()
	for _, command := range commands {
		// One write a command: the original glockd takes only one out of each read.
		err := s.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		if err == nil {
			_, err = s.conn.Write([]byte(command + "\n"))
		}
		if err != nil {
			s.end(fmt.Errorf("%w: %v", ErrClosed, err))
			return s.Err()
		}
	}
	return nil
}

// read hears the daemon until the connection ends.
func (s *Session) read() {
	reader := bufio.NewReader(s.conn)
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			s.end(fmt.Errorf("%w: %v", ErrClosed, err))
			return
		}
		s.hear(strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"))
	}
}

// hear is given each line from the daemon: a pushed one, or the next of the oldest request's reply.
func (s *Session) hear(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quiet = 0 // whatever the daemon says shows that it is alive
	if s.pushed(line) || len(s.pending) == 0 {
		return
	}
	request := s.pending[0]
	request.lines = append(request.lines, line)
	if request.last != nil && !request.last(line) {
		return
	}
	if request.granted != nil {
		request.lock = request.granted(line)
	}
	if request.taken != nil {
		request.taken(line)
	}
	s.pending = s.pending[1:]
	close(request.done)
}

// pushed tells whether the line is "! alive", "! lost NAME REASON" or "! item POOL ITEM REASON" rather than part of a reply,
// and acts on it. No reply begins like that, but a line of a listing may, with a colon in it; there it is a push if it is the
// first, or names what is held here and not its holder behind it. mu is held.
func (s *Session) pushed(line string) bool {
	if line == "! alive" {
		return true
	}
	text, found := cut(line, "! ")
	if !found {
		return false
	}
	what, text, _ := strings.Cut(text, " ")
	space := strings.LastIndex(text, " ")
	lost := false
	if space >= 0 && (what == "lost" || what == "item") {
		lost = s.lose(what, text[:space], fmt.Errorf("%w: %s", ErrLost, text[space+1:]))
	}
	return lost || len(s.pending) == 0 || !s.pending[0].listing
}

// lose notes that a lock or an item is not held any more, and tells whether it was. mu is held.
func (s *Session) lose(what, name string, reason error) bool {
	if what == "item" {
		pool, name, _ := strings.Cut(name, " ")
		held := s.items[item{pool, name}]
		if held != nil {
			delete(s.items, held.key)
			held.lose(reason)
		}
		return held != nil
	}
	lock := s.holds[hold{false, name}]
	if lock != nil {
		delete(s.holds, lock.hold)
		lock.lose(reason)
	}
	return lock != nil
}

// end closes the connection, fails every request and loses every lock; only the first call counts.
func (s *Session) end(reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return
	}
	s.err = reason
	close(s.ended)
	s.conn.Close()
	for _, request := range s.pending {
		request.err = reason
		close(request.done)
	}
	s.pending = nil
	for _, lock := range s.holds {
		lock.lose(fmt.Errorf("%w: %v", ErrLost, reason))
	}
	for _, held := range s.items {
		held.lose(fmt.Errorf("%w: %v", ErrLost, reason))
	}
	s.holds, s.items = nil, map[item]*Item{}
}

// release is the command that gives the hold back.
func (h hold) release() string {
	if h.shared {
		return "sr " + h.name
	}
	return "r " + h.name
}

// normalise is what the daemon does with a name: runs of Unicode's white space become one space, none stays at the ends.
func normalise(name string) string { return strings.Join(strings.Fields(name), " ") }

// sendable refuses what would not arrive as the one command it is.
func sendable(command string) error {
	if strings.Contains(command, "\n") {
		return fmt.Errorf("%w: it holds a line feed", ErrBadName)
	}
	if len(command) > maxLine {
		return fmt.Errorf("%w: the command would be longer than %d bytes", ErrBadName, maxLine)
	}
	return nil
}

// leading is the number that a reply begins with, or 0.
func leading(reply string) int64 {
	word, _, _ := strings.Cut(reply, " ")
	number, err := strconv.ParseInt(word, 10, 64)
	if err != nil {
		return 0
	}
	return number
}
