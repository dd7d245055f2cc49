// The steps of a Go client: see README.md beside this folder.
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"reflect"
	"time"

	"github.com/zishang520/engine.io-client-go/transports"
	"github.com/zishang520/engine.io/v2/types"
	"github.com/zishang520/socket.io-client-go/socket"
)

const patience = 10 * time.Second

// A stock client waits longer after each failed attempt.
const backPatience = 30 * time.Second

type part struct {
	name string
	data any
}

func main() {
	everyByte := make([]byte, 256)
	for index := range everyByte {
		everyByte[index] = byte(index)
	}
	large := bytes.Repeat([]byte("x"), 40_000)

	opened, gone := make(chan string, 64), make(chan string, 8)
	received := make(chan part, 8)
	client := newSocket(os.Getenv("TOKEN"))
	client.On("connect", func(...any) { opened <- "connected" })
	client.On("connect_error", func(errs ...any) { opened <- fmt.Sprint(errs...) })
	client.On("disconnect", func(reasons ...any) { gone <- fmt.Sprint(reasons...) })
	client.On("message", func(data ...any) { received <- part{"received", field(data, "message")} })
	client.On("file", func(data ...any) { received <- part{"emitted", field(data, "part")} })
	how := within(opened)
	report("connected", how == "connected", how)

	inside := []any{map[string]any{"deep": types.NewBytesBuffer([]byte{1, 2})}, "ñ 👋"}
	sent := map[string]any{"part": types.NewBytesBuffer(everyByte), "inside": inside, "empty": types.NewBytesBuffer([]byte{})}
	answer := readable(ask(client, "echo", sent))
	expected := map[string]any{"part": string(everyByte), "inside": []any{map[string]any{"deep": "\x01\x02"}, "ñ 👋"}, "empty": ""}
	report("echo", reflect.DeepEqual(answer, expected), answer)
	answer = readable(ask(client, "echo", types.NewBytesBuffer(large)))
	report("long", answer == string(large), answer)
	ask(client, "message", types.NewBytesBuffer(everyByte))
	for _, step := range []string{"own", "received", "emitted"} {
		one := within(received)
		name := step
		if step == "own" {
			name = "received"
		}
		report(step, one.name == name && readable(one.data) == string(everyByte), one)
	}

	refusals := make(chan string, 8)
	stranger := newSocket("garbage")
	stranger.On("connect_error", func(errs ...any) { refusals <- fmt.Sprint(errs...) })
	refusal := within(refusals)
	// The client hides a refusal's text if it has no `data`, which Node's server leaves out, too.
	report("refused", refusal != "", refusal)
	answer = ask(client, "echo", "text")
	report("alive", answer == "text" && len(gone) == 0, answer)
	late := time.After(backPatience)
	for how = ""; how != "connected" && how != "late"; {
		select {
		case how = <-opened:
		case <-late:
			how = "late"
		}
	}
	answer = readable(ask(client, "echo", types.NewBytesBuffer(large)))
	report("back", how == "connected" && answer == string(large) && len(gone) == 1, how)
}

func newSocket(token string) *socket.Socket {
	options := socket.DefaultOptions()
	options.SetForceNew(true)
	options.SetAuth(map[string]any{"token": token})
	switch os.Getenv("TRANSPORT") {
	case "websocket":
		options.SetTransports(types.NewSet(transports.WebSocket))
	case "polling":
		options.SetTransports(types.NewSet(transports.Polling))
	default:
		options.SetTransports(types.NewSet(transports.Polling, transports.WebSocket))
	}
	return socket.NewManager(os.Getenv("URL"), options).Socket("/", options)
}

func ask(client *socket.Socket, event string, data any) any {
	answers := make(chan any, 1)
	client.EmitWithAck(event, data)(func(args []any, err error) {
		if err != nil || len(args) == 0 {
			answers <- err
		} else {
			answers <- args[0]
		}
	})
	return within(answers)
}

// field of the first argument of an event.
func field(data []any, name string) any {
	if len(data) > 0 {
		if object, ok := data[0].(map[string]any); ok {
			return object[name]
		}
	}
	return data
}

// readable replaces every binary part by a text of its bytes.
func readable(value any) any {
	switch value := value.(type) {
	case io.Reader:
		content, _ := io.ReadAll(value)
		return string(content)
	case []byte:
		return string(value)
	case []any:
		items := make([]any, len(value))
		for index, item := range value {
			items[index] = readable(item)
		}
		return items
	case map[string]any:
		fields := map[string]any{}
		for name, item := range value {
			fields[name] = readable(item)
		}
		return fields
	}
	return value
}

func within[T any](channel <-chan T) (value T) {
	select {
	case value = <-channel:
	case <-time.After(patience):
	}
	return value
}

func report(step string, good bool, seen any) {
	if good {
		fmt.Println("ok", step)
		return
	}
	text := []rune(fmt.Sprintf("%q", fmt.Sprint(seen)))
	fmt.Println("failed", step, string(text[:min(200, len(text))]))
}
