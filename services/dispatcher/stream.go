package dispatcher

import (
	"context"
	"sync"
	"time"

	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/deadletter"
	"latchkey.dev/services/internal/host"
)

// Open makes a Dispatcher from what its host opened, and adds its parts to the host.
// Pools, bus, logger and registerer of the options are the host's.
func Open(h *host.Host, o Options) (*Dispatcher, error) {
	o.Pool, o.KeysPool, o.Bus, o.Logger, o.Registerer = h.Main, h.Keys, h.Line, h.Log, h.Registerer
	d, err := New(o)
	if err != nil {
		return nil, err
	}
	h.Part("work", d.Run)
	host.Journal(h, d.q.EventWindow, d.q.EventUnordered, d.q.EventRead)
	if o.StreamOff {
		return d, nil
	}
	s := &stream{d: d}
	consume, err := h.Consumer(deadletter.Dispatcher(h.Main), 8, s.handle)
	if err != nil {
		return nil, err
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	h.Part("consumer", func(ctx context.Context) error {
		defer s.texts.Wait() // a text that has left is recorded
		defer context.AfterFunc(ctx, s.stop)()
		return consume(ctx)
	})
	return d, nil
}

// stream takes requested texts from the bus.
type stream struct {
	d     *Dispatcher
	ctx   context.Context // of the texts, which outlive the batch that brought them
	stop  context.CancelFunc
	texts sync.WaitGroup
}

// handle starts every text of a batch by itself and waits for none: a provider that
// hangs holds up its own texts only. The consumer's limit of unsettled messages bounds
// how many there are, and the dispatcher's slots how many are under way.
func (s *stream) handle(ctx context.Context, batch []*bus.Msg) {
	for _, m := range batch {
		e, ok := host.Read(ctx, m, s.d.o.Logger)
		if !ok {
			continue
		}
		if asked, ok := e.Data.(*event.NoticeRequested); ok {
			s.d.notices.add(asked.Notice) // only a wake-up: its table brings it otherwise
			m.Ack()
			continue
		}
		r, ok := RequestOf(e)
		if !ok {
			m.Ack() // not for the dispatcher
			continue
		}
		s.texts.Go(func() { s.deliver(m, e, r) })
	}
}

func (s *stream) deliver(m *bus.Msg, e event.Event, r Request) {
	ctx, cancel := context.WithTimeout(s.ctx, deliverTime)
	defer cancel()
	var later time.Duration
	var err error
	if asked, ok := e.Data.(*event.CodeRequested); ok && m.Delivered == 1 {
		later, err = s.d.Begin(ctx, e, asked, Stream)
	} else {
		later, err = s.d.Deliver(ctx, r, Stream)
	}
	switch {
	case err != nil:
		host.Failed(m, err, s.d.o.Logger)
	case later > 0:
		m.Nak(later)
	default:
		m.Ack()
	}
}
