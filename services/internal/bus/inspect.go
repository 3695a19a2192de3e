package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Probe tries a service's credential once. Other than Connect it does not wait for a bus that
// is down, or that refuses the credential.
func Probe(ctx context.Context, o Options) error {
	nc, err := dial(ctx, o)
	if err != nil {
		return err
	}
	nc.Close()
	return nil
}

func dial(ctx context.Context, o Options) (*nats.Conn, error) {
	public, err := PublicKey(o.NKeySeed)
	if err != nil {
		return nil, err
	}
	limit := 2 * time.Second
	if until, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(until))
	}
	nc, err := nats.Connect(o.URL, nats.Name("latchkey-"+o.Service+"-probe"), nats.NoReconnect(), nats.Timeout(max(limit, time.Millisecond)), nats.CustomInboxPrefix(InboxPrefix(o.Service)),
		nats.Nkey(public, func(nonce []byte) ([]byte, error) { return sign(o.NKeySeed, nonce) }))
	if err != nil {
		return nil, fmt.Errorf("connecting to the bus: %w", err)
	}
	return nc, nil
}

// Found is what Inspect saw.
type Found struct {
	// Differs says in words what is not as Provision makes it; empty: all is.
	Differs []string
	// Now is the server's clock when it answered, and Asked and Answered ours around it.
	Now, Asked, Answered time.Time
}

// Inspect looks at the stream and its consumers, with the provisioner's credential. It changes
// nothing. How large, old and safe the stream is, is each installation's own.
func Inspect(ctx context.Context, o Options) (f Found, err error) {
	nc, err := dial(ctx, o)
	if err != nil {
		return f, err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return f, fmt.Errorf("inspecting the bus: %w", err)
	}
	f.Asked = time.Now()
	stream, err := js.Stream(ctx, Stream)
	f.Answered = time.Now()
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		f.Differs = append(f.Differs, "there is no stream "+Stream)
		return f, nil
	}
	if err != nil {
		return f, fmt.Errorf("asking for the stream %s: %w", Stream, err)
	}
	info := stream.CachedInfo()
	f.Now = info.TimeStamp
	if why := streamDiffers(info.Config, streamConfig(Config{})); why != "" {
		f.Differs = append(f.Differs, "the stream "+Stream+" "+why)
	}
	for _, want := range consumerConfigs() {
		got, err := stream.Consumer(ctx, want.Durable)
		switch {
		case errors.Is(err, jetstream.ErrConsumerNotFound):
			f.Differs = append(f.Differs, "there is no consumer "+want.Durable)
		case err != nil:
			return f, fmt.Errorf("asking for the consumer %s: %w", want.Durable, err)
		default:
			if why := consumerDiffers(got.CachedInfo().Config, want); why != "" {
				f.Differs = append(f.Differs, "the consumer "+want.Durable+" "+why)
			}
		}
	}
	return f, nil
}

func streamDiffers(got, want jetstream.StreamConfig) string {
	switch {
	case !slices.Equal(got.Subjects, want.Subjects):
		return "takes other subjects"
	case got.Retention != want.Retention || got.Storage != want.Storage || got.Discard != want.Discard:
		return "keeps messages in another way"
	case !got.DenyDelete || !got.DenyPurge:
		return "lets messages be deleted"
	case got.MaxMsgSize != want.MaxMsgSize || got.Duplicates != want.Duplicates:
		return "has other limits"
	}
	return ""
}

func consumerDiffers(got, want jetstream.ConsumerConfig) string {
	subjects := func(c jetstream.ConsumerConfig) []string {
		all := slices.Clone(c.FilterSubjects)
		if c.FilterSubject != "" {
			all = append(all, c.FilterSubject) // one alone is kept so
		}
		slices.Sort(all)
		return all
	}
	switch {
	case !slices.Equal(subjects(got), subjects(want)):
		return "hears other subjects"
	case got.AckPolicy != want.AckPolicy || got.AckWait != want.AckWait || got.MaxDeliver != want.MaxDeliver || got.MaxAckPending != cmp.Or(want.MaxAckPending, got.MaxAckPending):
		return "gives messages out in another way"
	}
	return ""
}
