package verifier

import (
	"context"
	"errors"
	"strings"

	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/deadletter"
	"latchkey.dev/services/internal/host"
)

// Open makes a Verifier from what its host opened, and adds its parts to the host.
// Pools, bus, logger and registerer of the options are the host's.
func Open(h *host.Host, o Options) (*Verifier, error) {
	o.Pool, o.KeysPool, o.Bus, o.Logger, o.Registerer = h.Main, h.Keys, h.Line, h.Log, h.Registerer
	v, err := New(o)
	if err != nil {
		return nil, err
	}
	h.Part("upkeep", v.Run)
	host.Journal(h, v.q.EventWindow, v.q.EventUnordered, v.q.EventRead)
	if o.StreamOff {
		return v, nil
	}
	consume, err := h.Consumer(deadletter.Verifier(h.Main), 2, v.handle)
	if err != nil {
		return nil, err
	}
	h.Part("consumer", consume)
	return v, nil
}

// replyPrefix begins every subject that a wake-up may go to.
var replyPrefix = bus.InboxPrefix(bus.Login) + "."

// handle judges the typed codes of a batch in one transaction.
func (v *Verifier) handle(ctx context.Context, batch []*bus.Msg) {
	var entries []Entry
	var good []*bus.Msg
	for _, m := range batch {
		e, ok := host.Read(ctx, m, v.o.Logger)
		if !ok {
			continue
		}
		d, ok := e.Data.(*event.CodeEntered)
		if !ok {
			m.Ack() // not for the verifier
			continue
		}
		reply := ""
		if h := m.Header[host.ReplyHeader]; len(h) == 1 && strings.HasPrefix(h[0], replyPrefix) {
			reply = h[0]
		}
		entries, good = append(entries, Entry{ID: d.Entry, Reply: reply}), append(good, m)
	}
	if len(entries) == 0 {
		return
	}
	all := v.Judge(ctx, entries, Stream)
	for i, m := range good {
		err, some := all, Failures(nil)
		if errors.As(all, &some) {
			err = some[entries[i].ID] // its neighbours were judged
		}
		if err != nil {
			host.Failed(m, err, v.o.Logger)
			continue
		}
		m.Ack()
	}
}
