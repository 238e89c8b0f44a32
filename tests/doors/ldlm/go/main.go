// Calls LDLM's door as Go programs do, with grpc-go and messages of its own declaration.
//
// Usage: go run . ADDRESS. Prints "ok", or what went wrong.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

const (
	text    = descriptorpb.FieldDescriptorProto_TYPE_STRING
	truth   = descriptorpb.FieldDescriptorProto_TYPE_BOOL
	number  = descriptorpb.FieldDescriptorProto_TYPE_INT32
	message = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE
)

// field is one line of a .proto file; optional says whether its presence is told.
type field struct {
	name     string
	number   int32
	kind     descriptorpb.FieldDescriptorProto_Type
	optional bool
}

var declared = map[string][]field{
	"LockRequest": {
		{"name", 1, text, false}, {"wait_timeout_seconds", 3, number, true},
		{"size", 4, number, true}, {"lock_timeout_seconds", 100, number, true},
	},
	"HeldRequest": {
		{"name", 1, text, false}, {"key", 2, text, false}, {"lock_timeout_seconds", 100, number, false},
	},
	"LockResponse": {
		{"locked", 1, truth, false}, {"name", 2, text, false}, {"key", 3, text, false}, {"error", 4, message, true},
	},
	"UnlockResponse": {
		{"unlocked", 1, truth, false}, {"name", 2, text, false}, {"error", 3, message, true},
	},
	"Error": {{"code", 1, number, false}, {"message", 2, text, false}},
}

func check(good bool, what string, values ...any) {
	if !good {
		fmt.Println("wrong:", fmt.Sprintf(what, values...))
		os.Exit(1)
	}
}

func describe() protoreflect.FileDescriptor {
	file := &descriptorpb.FileDescriptorProto{
		Name: proto.String("own.proto"), Package: proto.String("own"), Syntax: proto.String("proto3"),
	}
	for name, fields := range declared {
		one := &descriptorpb.DescriptorProto{Name: proto.String(name)}
		for _, each := range fields {
			described := &descriptorpb.FieldDescriptorProto{
				Name: proto.String(each.name), Number: proto.Int32(each.number), Type: each.kind.Enum(),
				Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
			}
			if each.kind == message {
				described.TypeName = proto.String(".own.Error")
			} else if each.optional {
				described.Proto3Optional = proto.Bool(true)
				described.OneofIndex = proto.Int32(int32(len(one.OneofDecl)))
				one.OneofDecl = append(one.OneofDecl, &descriptorpb.OneofDescriptorProto{
					Name: proto.String("_" + each.name),
				})
			}
			one.Field = append(one.Field, described)
		}
		file.MessageType = append(file.MessageType, one)
	}
	found, err := protodesc.NewFile(file, nil)
	check(err == nil, "declare: %v", err)
	return found
}

var file = describe()

type fields map[string]any

type client struct{ connection *grpc.ClientConn }

func connect(address string) client {
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(err == nil, "connect: %v", err)
	return client{connection}
}

// call makes a call, and gives its answer and the metadata behind it.
func (c client) call(ctx context.Context, method string, request fields) (*dynamicpb.Message, metadata.MD, error) {
	kinds := map[string][2]string{
		"Lock": {"LockRequest", "LockResponse"}, "TryLock": {"LockRequest", "LockResponse"},
		"Unlock": {"HeldRequest", "UnlockResponse"}, "Renew": {"HeldRequest", "LockResponse"},
	}[method]
	asked := dynamicpb.NewMessage(file.Messages().ByName(protoreflect.Name(kinds[0])))
	for name, value := range request {
		asked.Set(asked.Descriptor().Fields().ByName(protoreflect.Name(name)), protoreflect.ValueOf(value))
	}
	answer := dynamicpb.NewMessage(file.Messages().ByName(protoreflect.Name(kinds[1])))
	var behind metadata.MD
	err := c.connection.Invoke(ctx, "/ldlm.LDLM/"+method, asked, answer, grpc.Trailer(&behind))
	return answer, behind, err
}

func get(from *dynamicpb.Message, name string) protoreflect.Value {
	return from.Get(from.Descriptor().Fields().ByName(protoreflect.Name(name)))
}

func (c client) asks(method string, request fields) *dynamicpb.Message {
	answer, _, err := c.call(context.Background(), method, request)
	check(err == nil, "%s: %v", method, err)
	return answer
}

func code(answer *dynamicpb.Message) int64 {
	failed := answer.Descriptor().Fields().ByName("error")
	check(answer.Has(failed), "no error in %v", answer)
	inner := answer.Get(failed).Message()
	return inner.Get(inner.Descriptor().Fields().ByName("code")).Int()
}

func main() {
	alice, bob := connect(os.Args[1]), connect(os.Args[1])
	taken, behind, err := alice.call(context.Background(), "TryLock", fields{"name": "go", "lock_timeout_seconds": int32(60)})
	check(err == nil && get(taken, "locked").Bool(), "TryLock: %v %v", taken, err)
	check(len(behind.Get("glockd-token")) == 1, "no token in %v", behind)
	key := get(taken, "key").String()
	check(!get(bob.asks("TryLock", fields{"name": "go"}), "locked").Bool(), "taken twice")
	check(code(bob.asks("TryLock", fields{"name": "go", "size": int32(2)})) == 6, "another size")
	check(code(bob.asks("Lock", fields{"name": "go", "wait_timeout_seconds": int32(1)})) == 3, "a wait in vain")
	check(get(bob.asks("Renew", fields{"name": "go", "key": key, "lock_timeout_seconds": int32(90)}), "locked").Bool(), "Renew")

	short, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	_, _, err = bob.call(short, "Lock", fields{"name": "go"})
	cancel()
	check(err != nil, "a deadline is kept")

	waits := make(chan string)
	go func() { waits <- get(bob.asks("Lock", fields{"name": "go"}), "key").String() }()
	for get(alice.asks("Unlock", fields{"name": "go", "key": "wrong"}), "unlocked").Bool() {
		check(false, "a wrong key unlocks")
	}
	check(get(alice.asks("Unlock", fields{"name": "go", "key": key}), "unlocked").Bool(), "Unlock")
	next := <-waits
	check(next != key && len(next) == 36, "the key of who waited: %q", next)

	// The end of a connection frees what it held.
	go func() { waits <- get(alice.asks("Lock", fields{"name": "go"}), "key").String() }()
	check(bob.connection.Close() == nil, "close")
	<-waits
	fmt.Println("ok")
}
