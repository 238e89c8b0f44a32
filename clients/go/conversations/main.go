// Command conversations plays the conversations that all clients share against a daemon: conversations SERVER FILE.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"sort"
	"strings"
	"time"

	glock "github.com/glockd/glockd/clients/go"
)

const (
	untilTimeout = 10 * time.Second
	untilPause   = 10 * time.Millisecond
)

type result = map[string]any

type step struct {
	Client  string
	Do      string
	Name    string
	Pool    string
	Item    string
	Wait    any
	Limit   int
	Seconds any
	Token   any
	Start   any
	Slip    any
	Shared  bool
	Booking any
	Send    string
	Hear    []string
	Later   string
	Is      result
	Until   result
	Over    result
	Keep    map[string]string
}

type started struct {
	cancel context.CancelFunc
	result chan result
}

type client struct {
	session *glock.Session
	locks   map[string]*glock.Lock
	items   map[string]*glock.Item
	marked  map[string]int64
}

type conversation struct {
	Title string
	Steps []step

	server  string
	clients map[string]*client
	started map[string]*started
	kept    map[string]any
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: conversations SERVER FILE")
		os.Exit(2)
	}
	var list struct {
		Format        int
		Conversations []*conversation
	}
	text, err := os.ReadFile(os.Args[2])
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	if err == nil && list.Format != 1 {
		err = fmt.Errorf("%s: format %d, want 1", os.Args[2], list.Format)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	session, err := glock.Connect(context.Background(), os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	session.Close()
	passed, failed := 0, 0
	for _, conversation := range list.Conversations {
		conversation.server = os.Args[1]
		if err := conversation.play(); err != nil {
			failed++
			fmt.Printf("failed: %s: %v\n", conversation.Title, err)
		} else {
			passed++
		}
	}
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if failed > 0 {
		os.Exit(1)
	}
}

func (c *conversation) play() error {
	c.clients, c.started, c.kept = map[string]*client{}, map[string]*started{}, map[string]any{}
	defer func() {
		for _, client := range c.clients {
			client.session.Close()
		}
	}()
	for number, step := range c.Steps {
		if err := c.carryOut(step); err != nil {
			return fmt.Errorf("step %d (%s %s %s): %w", number+1, step.Client, step.Do, step.Name, err)
		}
	}
	return nil
}

func (c *conversation) carryOut(step step) error {
	if step.Client != "" && c.clients[step.Client] == nil {
		session, err := glock.Connect(context.Background(), c.server)
		if err != nil {
			return err
		}
		c.clients[step.Client] = &client{session: session, locks: map[string]*glock.Lock{}, items: map[string]*glock.Item{}}
	}
	deadline := time.Now().Add(untilTimeout)
	for {
		got, err := c.perform(step)
		if err != nil {
			return err
		}
		for variable, field := range step.Keep {
			c.kept[variable] = got[field]
		}
		err = c.compare(step, got)
		if err == nil || step.Until == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(untilPause)
	}
}

func (c *conversation) compare(step step, got result) error {
	for _, wanted := range []result{step.Is, step.Until} {
		for field, value := range wanted {
			if want := c.value(value); !reflect.DeepEqual(got[field], want) {
				return fmt.Errorf("%s is %v, want %v in %v", field, got[field], want, got)
			}
		}
	}
	for field, value := range step.Over {
		larger, ok := got[field].(float64)
		if smaller, known := c.value(value).(float64); !ok || !known || larger <= smaller {
			return fmt.Errorf("%s is %v, want more than %v", field, got[field], c.value(value))
		}
	}
	return nil
}

// value puts kept variables in the place of their names.
func (c *conversation) value(value any) any {
	switch value := value.(type) {
	case string:
		if kept, found := c.kept[strings.TrimPrefix(value, "$")]; found && strings.HasPrefix(value, "$") {
			return kept
		}
	case []any:
		values := make([]any, len(value))
		for number, item := range value {
			values[number] = c.value(item)
		}
		return values
	}
	return value
}

func (c *conversation) perform(step step) (result, error) {
	client := c.clients[step.Client]
	switch step.Do {
	case "await":
		return <-c.started[step.Later].result, nil
	case "cancel":
		c.started[step.Later].cancel()
		return nil, nil
	case "hang_up":
		delete(c.clients, step.Client)
		return nil, client.session.Close()
	}
	if step.Later != "" {
		ctx, cancel := context.WithCancel(context.Background())
		started := &started{cancel, make(chan result, 1)}
		c.started[step.Later] = started
		go func() {
			got, err := c.ask(ctx, client, step)
			if err != nil {
				got = result{"ok": false, "error": err.Error()}
			}
			started.result <- got
		}()
		return nil, nil
	}
	got, err := c.ask(context.Background(), client, step)
	return plain(got), err
}

// ask carries out a step through the client's API and gives its result, or an error if that is none a step may have.
func (c *conversation) ask(ctx context.Context, client *client, step step) (result, error) {
	s := client.session
	switch step.Do {
	case "lock", "read", "shared":
		lock, err := acquire(ctx, s, step)
		if err != nil {
			return failure(err)
		}
		client.locks[step.Name] = lock
		return plain(result{"ok": true, "count": lock.Holders()}), nil
	case "put", "take", "done", "fail", "give", "keep", "pool", "lost_item":
		return work(ctx, client, step)
	case "book", "unbook", "bookings":
		number, _ := c.value(step.Booking).(float64)
		return windows(ctx, s, step, uint64(number))
	case "release":
		return success(s.Release(ctx, step.Name))
	case "release_shared":
		return success(s.ReleaseShared(ctx, step.Name))
	case "lease":
		length, finite := seconds(step.Seconds)
		if !finite {
			length = glock.Forever
		}
		return success(s.Lease(ctx, step.Name, length))
	case "iam":
		return success(s.Iam(ctx, step.Name))
	case "ping":
		return success(s.Ping(ctx))
	case "inspect":
		locked, err := s.Inspect(ctx, step.Name)
		return orFailure(result{"locked": locked}, err)
	case "inspect_shared":
		count, err := s.InspectShared(ctx, step.Name)
		return orFailure(result{"locked": count > 0, "count": count}, err)
	case "holders":
		holders, err := s.Holders(ctx, step.Name)
		return orFailure(result{"holders": append([]string{}, holders...), "count": len(holders)}, err)
	case "holders_shared":
		holders, err := s.HoldersShared(ctx, step.Name)
		return orFailure(result{"holders": append([]string{}, holders...), "count": len(holders)}, err)
	case "token":
		token, err := s.Token(ctx, step.Name)
		return orFailure(result{"ok": true, "token": token}, err)
	case "check":
		token, _ := c.value(step.Token).(float64)
		current, err := s.Check(ctx, step.Name, uint64(token))
		return orFailure(result{"current": current}, err)
	case "me":
		address, name, err := s.Me(ctx)
		return orFailure(result{"address": address, "name": name}, err)
	case "version":
		version, err := s.Version(ctx)
		return orFailure(result{"ok": strings.HasPrefix(version, "glockd ")}, err)
	case "bound":
		bound, err := s.Bound(ctx)
		return orFailure(result{"ok": bound > 0}, err)
	case "who":
		who, err := s.Who(ctx, step.Name)
		names := []string{}
		for _, name := range who {
			names = append(names, name)
		}
		sort.Strings(names)
		return orFailure(result{"names": names}, err)
	case "lost":
		lock := client.locks[step.Name]
		if lock == nil {
			return nil, fmt.Errorf("%q was never held", step.Name)
		}
		select {
		case <-lock.Lost():
			return result{"lost": true}, nil
		default:
			return result{"lost": false}, nil
		}
	case "stats", "mark", "grown":
		stats, err := s.Stats(ctx)
		if step.Do == "mark" {
			client.marked = stats
		}
		got := result{}
		for key := range step.Is {
			got[key] = 0
		}
		for key := range step.Until {
			got[key] = 0
		}
		for key, count := range stats {
			if step.Do == "grown" {
				count -= client.marked[key]
			}
			got[key] = count
		}
		return got, err
	case "raw":
		heard, err := s.Raw(ctx, step.Send, len(step.Hear))
		if err == nil && !reflect.DeepEqual(append([]string{}, heard...), step.Hear) {
			err = fmt.Errorf("heard %q, want %q", heard, step.Hear)
		}
		return nil, err
	}
	return nil, fmt.Errorf("unknown step %q", step.Do)
}

// windows carries out the steps about windows.
func windows(ctx context.Context, s *glock.Session, step step, number uint64) (result, error) {
	switch step.Do {
	case "book":
		length, _ := seconds(step.Seconds)
		start, _ := seconds(step.Start)
		slip, _ := seconds(step.Slip)
		window := glock.Window{Name: step.Name, Length: length, In: start, Slip: slip, Shared: step.Shared}
		booked, err := s.Book(ctx, window)
		begin, end := booked.Begin.Format(time.RFC3339), booked.End.Format(time.RFC3339)
		return orFailure(plain(result{"ok": true, "booking": booked.Number, "begin": begin, "end": end}), err)
	case "unbook":
		return success(s.Unbook(ctx, number))
	}
	booked, err := s.Bookings(ctx, step.Name)
	states, modes := []string{}, []string{}
	for _, one := range booked {
		states, modes = append(states, one.State), append(modes, one.Mode)
	}
	return orFailure(plain(result{"count": len(booked), "states": states, "modes": modes}), err)
}

// work carries out the steps about work lists.
func work(ctx context.Context, client *client, step step) (result, error) {
	s, key := client.session, step.Pool+" "+step.Item
	switch step.Do {
	case "put":
		isNew, err := s.Put(ctx, step.Pool, step.Item)
		return orFailure(result{"put": isNew}, err)
	case "take":
		item, err := take(ctx, s, step)
		if err != nil {
			return failure(err)
		}
		client.items[item.Pool()+" "+item.Name()] = item
		return plain(result{"ok": true, "item": item.Name(), "attempt": item.Attempt()}), nil
	case "done":
		return success(s.Done(ctx, step.Pool, step.Item))
	case "fail":
		return success(s.Fail(ctx, step.Pool, step.Item))
	case "give":
		return success(s.Give(ctx, step.Pool, step.Item))
	case "keep":
		length, finite := seconds(step.Seconds)
		if !finite {
			length = glock.Forever
		}
		return success(s.Keep(ctx, step.Pool, step.Item, length))
	case "pool":
		counts, err := s.Pool(ctx, step.Pool)
		if err != nil {
			return failure(err)
		}
		return plain(result{
			"free": counts.Free, "held": counts.Held, "waiting": counts.Waiting, "done": counts.Done,
			"failed": counts.Failed, "orphaned": counts.Orphaned,
		}), nil
	}
	select {
	case <-client.items[key].Lost():
		return result{"lost": true}, nil
	default:
		return result{"lost": false}, nil
	}
}

func take(ctx context.Context, s *glock.Session, step step) (*glock.Item, error) {
	length, finite := seconds(step.Wait)
	if finite && length == 0 {
		return s.TryTake(ctx, step.Pool)
	}
	if finite {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, length)
		defer cancel()
	}
	return s.Take(ctx, step.Pool)
}

func acquire(ctx context.Context, s *glock.Session, step step) (*glock.Lock, error) {
	length, finite := seconds(step.Wait)
	if finite && length > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, length)
		defer cancel()
	}
	try := finite && length == 0
	switch {
	case step.Do == "lock" && try:
		return s.TryLock(ctx, step.Name)
	case step.Do == "lock":
		return s.Lock(ctx, step.Name)
	case step.Do == "read" && try:
		return s.TryRead(ctx, step.Name)
	case step.Do == "read":
		return s.Read(ctx, step.Name)
	case step.Limit == 0:
		return s.Shared(ctx, step.Name)
	case try:
		return s.TrySharedLimit(ctx, step.Name, step.Limit)
	default:
		return s.SharedLimit(ctx, step.Name, step.Limit)
	}
}

// seconds reads a number of seconds, none meaning 0, or "inf", which is not finite.
func seconds(value any) (length time.Duration, finite bool) {
	if value == "inf" {
		return 0, false
	}
	number, _ := value.(float64)
	return time.Duration(number * float64(time.Second)), true
}

func success(err error) (result, error) { return orFailure(result{"ok": true}, err) }

func orFailure(got result, err error) (result, error) {
	if err != nil {
		return failure(err)
	}
	return got, nil
}

func failure(err error) (result, error) {
	for name, kind := range map[string]error{
		"busy": glock.ErrBusy, "deadlock": glock.ErrDeadlock, "not held": glock.ErrNotHeld, "bad name": glock.ErrBadName,
		"timeout": context.DeadlineExceeded, "cancelled": context.Canceled,
	} {
		if errors.Is(err, kind) {
			return result{"ok": false, "error": name}, nil
		}
	}
	return nil, err
}

// plain makes a result of Go's types one of JSON's.
func plain(got result) (made result) {
	text, err := json.Marshal(got)
	if err == nil {
		err = json.Unmarshal(text, &made)
	}
	if err != nil {
		panic(err)
	}
	return made
}
