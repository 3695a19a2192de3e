package login

import (
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/bus"
	"latchkey.dev/services/internal/host"
)

// Open makes a Login from what its host opened, and adds its parts to the host. Pools,
// bus, logger and registerer of the options are the host's.
func Open(h *host.Host, o Options) (*Login, error) {
	inbox, err := h.Inbox()
	if err != nil {
		return nil, err
	}
	o.Pool, o.KeysPool, o.Bus, o.Logger, o.Registerer = h.Main, h.Keys, line{h.Line, inbox}, h.Log, h.Registerer
	l, err := New(o)
	if err != nil {
		return nil, err
	}
	h.Part("upkeep", l.Run)
	host.Journal(h, l.q.EventWindow, l.q.EventUnordered, l.q.EventRead)
	return l, nil
}

// line is the bus as login sees it.
type line struct {
	*host.Line
	inbox *bus.Inbox
}

var _ Bus = line{}

func (l line) Publish(e event.Event, reply string) { l.PublishFor(e, reply) }

func (l line) Await(token string) (string, <-chan []byte, func()) {
	woken, cancel := l.inbox.Await(token)
	return l.inbox.Subject(token), woken, cancel
}
