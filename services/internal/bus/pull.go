package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	pullExpiry    = 5 * time.Second
	pullHeartbeat = time.Second
	// pullTick is how often a subscription looks whether it is still heard.
	pullTick = 250 * time.Millisecond
)

// pull is a subscription to the messages of a durable. It speaks the protocol of pull
// consumers itself (docs.nats.io, "$JS.API.CONSUMER.MSG.NEXT"): the client library takes
// every message with an empty body and a Status header for a word of the server, so that
// one message of that shape, from whoever may publish anything, ends a subscription, and
// again at each delivery. Here a message of the stream is known by where its
// acknowledgement goes, which no publisher chooses.
type pull struct {
	nc      *nats.Conn
	subject string // of requests
	most    int    // messages asked for and not here yet
	sub     *nats.Subscription
	deliver func(*nats.Msg) // may block
	fail    func(error)     // the durable is gone, or refuses

	mu      sync.Mutex
	asked   int       // messages asked for and not here yet, as far as is known
	heard   time.Time // when last anything came
	blocked bool      // deliver does not take more: what is silent is this side
}

// newPull subscribes. It asks for nothing before run.
func newPull(nc *nats.Conn, durable string, most int, deliver func(*nats.Msg), fail func(error)) (*pull, error) {
	p := &pull{nc: nc, subject: "$JS.API.CONSUMER.MSG.NEXT." + Stream + "." + durable, most: most, deliver: deliver, fail: fail, heard: time.Now()}
	var err error
	if p.sub, err = nc.Subscribe(nc.NewInbox(), p.receive); err != nil {
		return nil, fmt.Errorf("subscribing to %s: %w", durable, err)
	}
	// What comes was asked for, so it needs no other bound.
	if err = p.sub.SetPendingLimits(-1, -1); err != nil {
		p.close()
		return nil, fmt.Errorf("subscribing to %s: %w", durable, err)
	}
	return p, nil
}

// run keeps asking until ctx ends.
func (p *pull) run(ctx context.Context) {
	tick := time.NewTicker(pullTick)
	defer tick.Stop()
	for {
		p.mu.Lock()
		switch now := time.Now(); {
		case p.blocked:
		case !p.nc.IsConnected():
			p.asked, p.heard = 0, now // requests end with the connection
		case p.asked > 0 && now.Sub(p.heard) > 5*pullHeartbeat/2:
			p.asked = 0 // nobody answers them any more
		}
		p.ask()
		p.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// ask asks for more once half of what was asked for is here. The caller holds mu.
func (p *pull) ask() {
	if p.blocked || p.asked > p.most/2 || !p.nc.IsConnected() {
		return
	}
	n := p.most - p.asked
	body, err := json.Marshal(struct {
		Batch     int           `json:"batch"`
		Expires   time.Duration `json:"expires"`
		Heartbeat time.Duration `json:"idle_heartbeat"`
	}{n, pullExpiry, pullHeartbeat})
	if err != nil {
		p.fail(err)
		return
	}
	if p.asked == 0 {
		p.heard = time.Now()
	}
	if p.nc.PublishRequest(p.subject, p.sub.Subject, body) == nil { // else it is tried at the next tick
		p.asked += n
	}
}

// receive takes a message of the stream, or a word of the server about a request.
func (p *pull) receive(m *nats.Msg) {
	if !strings.HasPrefix(m.Reply, "$JS.ACK.") {
		p.word(m.Header)
		return
	}
	p.mu.Lock()
	p.asked, p.heard, p.blocked = max(p.asked-1, 0), time.Now(), true
	p.mu.Unlock()
	p.deliver(m)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard, p.blocked = time.Now(), false
	p.ask()
}

// word hears what the server says about a request (ADR-13 and the server's consumer.go).
func (p *pull) word(h nats.Header) {
	status, description := h.Get("Status"), strings.ToLower(h.Get("Description"))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard = time.Now()
	switch {
	case status == "100": // the request is alive
	case status == "503":
		p.fail(nats.ErrNoResponders)
	case status == "409" && strings.Contains(description, "consumer deleted"):
		p.fail(jetstream.ErrConsumerDeleted)
	case status == "400":
		p.fail(errors.Join(jetstream.ErrBadRequest, errors.New(description)))
	default: // 404, 408, 409: a request ended, with so many messages missing
		missing, err := strconv.Atoi(h.Get("Nats-Pending-Messages"))
		if err != nil {
			missing = p.asked
		}
		p.asked = max(p.asked-missing, 0)
		if status == "408" { // its time was over; others are not repeated before the next tick
			p.ask()
		}
	}
}

// close ends the subscription. What has come by then is still delivered, so that it can be
// given back, within a second.
func (p *pull) close() {
	closed := p.sub.StatusChanged(nats.SubscriptionClosed)
	if p.sub.Drain() == nil {
		select {
		case <-closed:
			return
		case <-time.After(time.Second):
		}
	}
	_ = p.sub.Unsubscribe() // fails only where the connection is closed
}
