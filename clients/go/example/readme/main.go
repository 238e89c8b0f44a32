package main

import (
	"context"
	"fmt"
	"log"

	glock "github.com/glockd/glockd/clients/go"
)

func main() {
	ctx := context.Background()
	client := &glock.Client{}
	lock, err := client.Lock(ctx, "job") // waits until ctx is done
	if err != nil {
		log.Fatal(err)
	}
	defer lock.Unlock()
	token, err := lock.Token(ctx) // for what the lock protects; lock.Lost() is closed if the lock is lost
	fmt.Println("mine:", err == nil && token > 0)
}
