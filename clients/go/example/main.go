// Command example takes a lock, works, and gives it back.
package main

import (
	"context"
	"fmt"
	"log"
	"time"

	glock "github.com/glockd/glockd/clients/go"
)

func main() {
	client := &glock.Client{} // the daemon that GLOCK_SERVER names
	defer client.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	lock, err := client.Lock(ctx, "nightly backup") // waits in line until ctx is done
	if err != nil {
		log.Fatal(err)
	}
	token, err := lock.Token(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("holding", lock.Name(), "with a token:", token > 0)

	work, stop := lock.Context(context.Background()) // ends when the lock is lost
	defer stop()
	backUp(work)

	if err := lock.Unlock(); err != nil { // ErrLost: somebody else may have held it meanwhile
		log.Fatal(err)
	}
	fmt.Println("done")
}

func backUp(ctx context.Context) {
	select {
	case <-time.After(10 * time.Millisecond):
	case <-ctx.Done():
	}
}
