package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Stream is the one stream; its subjects are "latchkey.<noun>.<past verb>.<account>".
const Stream = "LATCHKEY"

// Durable consumers of the stream, one for each service that consumes.
const (
	DispatcherSend = "dispatcher-send"
	VerifierJudge  = "verifier-judge"
	AuditorOrder   = "auditor-order"
)

// MaxMessage is the largest message that the stream takes, headers included, in bytes.
const MaxMessage = 128 << 10

// Config says how large and how safe the stream is.
type Config struct {
	MaxBytes int64         // of the stream on disk; the oldest messages go. 1 GiB if zero.
	MaxAge   time.Duration // of a message. 7 days if zero.
	Replicas int           // 1 on one machine, 3 in a cluster. 1 if zero.
}

// Provision creates the stream and its consumers, or updates them to be as this version
// wants them; a second time changes nothing. The connection must be the provisioner's.
// An existing consumer keeps its position; a new one starts with the oldest message.
func Provision(ctx context.Context, c *Conn, cfg Config) error {
	if cfg.MaxBytes < 0 || cfg.MaxAge < 0 || cfg.Replicas < 0 || cfg.Replicas > 5 {
		return errors.New("provisioning the bus: MaxBytes, MaxAge and Replicas must not be negative, and five replicas are the most")
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 1 << 30
	}
	if cfg.MaxAge == 0 {
		cfg.MaxAge = 7 * 24 * time.Hour
	}
	if cfg.Replicas == 0 {
		cfg.Replicas = 1
	}
	if _, err := c.js.CreateOrUpdateStream(ctx, streamConfig(cfg)); err != nil {
		return fmt.Errorf("provisioning the stream %s: %w", Stream, err)
	}
	for _, consumer := range consumerConfigs() {
		if _, err := c.js.CreateOrUpdateConsumer(ctx, Stream, consumer); err != nil {
			return fmt.Errorf("provisioning the consumer %s: %w", consumer.Durable, err)
		}
	}
	return nil
}

func streamConfig(cfg Config) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        Stream,
		Description: "what the services of Latchkey tell each other",
		Subjects:    []string{"latchkey.>"},
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		Discard:     jetstream.DiscardOld,
		MaxBytes:    cfg.MaxBytes,
		MaxAge:      cfg.MaxAge,
		MaxMsgSize:  MaxMessage,
		Replicas:    cfg.Replicas,
		Duplicates:  2 * time.Minute,
		DenyDelete:  true,
		DenyPurge:   true,
	}
}

func consumerConfigs() []jetstream.ConsumerConfig {
	consumer := func(durable string, ackWait time.Duration, subjects ...string) jetstream.ConsumerConfig {
		return jetstream.ConsumerConfig{
			Durable:        durable,
			DeliverPolicy:  jetstream.DeliverAllPolicy,
			AckPolicy:      jetstream.AckExplicitPolicy,
			AckWait:        ackWait,
			MaxDeliver:     -1, // a message ends as handled or as a dead letter, never by being dropped
			MaxAckPending:  4096,
			FilterSubjects: subjects,
		}
	}
	return []jetstream.ConsumerConfig{
		consumer(DispatcherSend, 10*time.Second, "latchkey.code.requested.*", "latchkey.text.requested.*", "latchkey.notice.requested.*"),
		consumer(VerifierJudge, 10*time.Second, "latchkey.code.entered.*"),
		consumer(AuditorOrder, 10*time.Second, "latchkey.>"),
	}
}

// Storage is what holds the stream: "file" or "memory". The connection must be the provisioner's.
func Storage(ctx context.Context, c *Conn) (string, error) {
	s, err := c.js.Stream(ctx, Stream)
	if err != nil {
		return "", fmt.Errorf("asking for the stream %s: %w", Stream, err)
	}
	return strings.ToLower(s.CachedInfo().Config.Storage.String()), nil
}
