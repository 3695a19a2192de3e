package bus_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/bustest"
)

// BenchmarkPublishAsync is how fast one service can publish events of 512 bytes, until
// the last is acknowledged.
func BenchmarkPublishAsync(b *testing.B) {
	server := bustest.Start(b)
	p := bus.NewPublisher(server.Connect(b, bus.Login), time.Now)
	data := make([]byte, 512)
	slots := make(chan struct{}, 4096) // fewer than may be in flight
	var wg sync.WaitGroup
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		slots <- struct{}{}
		wg.Add(1)
		p.PublishAsync([]bus.Message{{ID: uuid.New(), Subject: "latchkey.code.requested.a1", Data: data}}, func(_ uuid.UUID, err error) {
			if err != nil {
				b.Error(err)
			}
			<-slots
			wg.Done()
		})
	}
	wg.Wait()
}

// BenchmarkConsume is how fast a service can take such events, each acknowledged.
func BenchmarkConsume(b *testing.B) {
	server := bustest.Start(b)
	p := bus.NewPublisher(server.Connect(b, bus.Login), time.Now)
	const each = 1000
	for sent := 0; sent < b.N; sent += each {
		if err := p.Publish(b.Context(), messages(min(each, b.N-sent), "latchkey.code.requested.a1")); err != nil {
			b.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	left := b.N
	c, err := bus.NewConsumer(server.Connect(b, bus.Dispatcher), bus.ConsumerOptions{Durable: bus.DispatcherSend, BatchMax: 256,
		DeadLetter: &graveyard{}, Handler: func(_ context.Context, batch []*bus.Msg) {
			for _, m := range batch {
				m.Ack()
			}
			if left -= len(batch); left <= 0 {
				stop()
			}
		}})
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	if err := c.Run(ctx); err != nil {
		b.Fatal(err)
	}
}
