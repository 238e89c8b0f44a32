// Calls the engine's test server as Go programs do, with grpc-go and messages that are plain bytes.
//
// Usage: go run . ADDRESS. Prints "ok", or what went wrong.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const largest = 4 << 20

// plain is a codec of messages that are bytes already.
type plain struct{}

func (plain) Marshal(message any) ([]byte, error) { return *message.(*[]byte), nil }

func (plain) Unmarshal(data []byte, message any) error {
	*message.(*[]byte) = bytes.Clone(data)
	return nil
}

func (plain) Name() string { return "proto" }

func check(good bool, what string, values ...any) {
	if !good {
		fmt.Println("wrong:", fmt.Sprintf(what, values...))
		os.Exit(1)
	}
}

type client struct{ connection *grpc.ClientConn }

func connect(address string) client {
	connection, err := grpc.NewClient(
		address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(
			grpc.ForceCodec(plain{}), grpc.MaxCallRecvMsgSize(2*largest), grpc.MaxCallSendMsgSize(2*largest),
		),
	)
	check(err == nil, "connect: %v", err)
	return client{connection}
}

func (c client) call(ctx context.Context, method string, message []byte, options ...grpc.CallOption) ([]byte, error) {
	var answer []byte
	err := c.connection.Invoke(ctx, "/test.Echo/"+method, &message, &answer, options...)
	return answer, err
}

func (c client) must(method string, message []byte) []byte {
	answer, err := c.call(context.Background(), method, message)
	check(err == nil, "%s: %v", method, err)
	return answer
}

// waiting is how many calls wait, and how many have been given up.
func (c client) waiting() (now, gone int) {
	fmt.Sscanf(string(c.must("Waiting", nil)), "%d %d", &now, &gone)
	return now, gone
}

func echoes(c client, atOnce, calls int) {
	var all sync.WaitGroup
	for worker := range atOnce {
		all.Go(func() {
			for number := range calls / atOnce {
				message := bytes.Repeat([]byte{byte(worker), byte(number)}, number%50*10)
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				answer, err := c.call(ctx, "Echo", message)
				cancel()
				check(err == nil && bytes.Equal(answer, message), "echo %d of %d: %v", number, worker, err)
			}
		})
	}
	all.Wait()
}

func waits(c client, count int) {
	var all sync.WaitGroup
	for number := range count {
		all.Go(func() {
			message := []byte(strconv.Itoa(number))
			check(bytes.Equal(c.must("Wait", message), message), "wait %d", number)
		})
	}
	for now, _ := c.waiting(); now < count; now, _ = c.waiting() {
		time.Sleep(time.Millisecond)
	}
	check(string(c.must("Free", nil)) == strconv.Itoa(count), "not all are freed")
	all.Wait()
}

func givesUp(c client) {
	_, before := c.waiting()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		_, err := c.call(ctx, "Wait", nil)
		done <- err
	}()
	for now, _ := c.waiting(); now == 0; now, _ = c.waiting() {
		time.Sleep(time.Millisecond)
	}
	cancel()
	check(status.Code(<-done) == codes.Canceled, "not cancelled")
	ctx, cancel = context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err := c.call(ctx, "Wait", nil)
	check(status.Code(err) == codes.DeadlineExceeded, "deadline: %v", err)
	for _, gone := c.waiting(); gone < before+2; _, gone = c.waiting() {
		time.Sleep(time.Millisecond)
	}
}

func main() {
	c := connect(os.Args[1])
	for _, atOnce := range []int{1, 8, 50} {
		echoes(c, atOnce, 400)
	}
	waits(c, 150)
	givesUp(c)
	for _, size := range []int{0, 1, 16384, 65536, largest} {
		message := bytes.Repeat([]byte{7}, size)
		check(bytes.Equal(c.must("Echo", message), message), "a message of %d bytes", size)
	}
	var all sync.WaitGroup
	for worker := range 50 {
		all.Go(func() {
			message := bytes.Repeat([]byte{byte(worker)}, largest)
			check(bytes.Equal(c.must("Echo", message), message), "one of many messages of 4 MiB")
		})
	}
	all.Wait()
	_, err := c.call(context.Background(), "Echo", make([]byte, largest+1))
	check(status.Code(err) == codes.ResourceExhausted, "too large: %v", err)
	_, err = c.call(context.Background(), "Refuse", []byte("50 % café"))
	check(status.Code(err) == codes.PermissionDenied && status.Convert(err).Message() == "50 % café", "%v", err)
	_, err = c.call(context.Background(), "Nope", nil)
	check(status.Code(err) == codes.Unimplemented, "%v", err)
	var trailer metadata.MD
	ctx := metadata.AppendToOutgoingContext(context.Background(), "want", "7", "want-bin", "\x00\xff")
	_, err = c.call(ctx, "Trailers", nil, grpc.Trailer(&trailer))
	check(err == nil && trailer["want"][0] == "7" && trailer["want-bin"][0] == "\x00\xff", "%v %v", err, trailer)
	check(c.connection.Close() == nil, "close")
	fmt.Println("ok")
}
