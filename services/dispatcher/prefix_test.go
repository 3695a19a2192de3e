package dispatcher_test

import (
	"context"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"latchkey.dev/services/dispatcher"
)

// Texts to numbers that begin alike stop at their limit, whoever asks for them, and are given
// up with their reason; the time that passes makes room again.
func TestAFullPrefixGetsNoTexts(t *testing.T) {
	t.Parallel()
	k := newDesk(t, nil, nil)
	for range 3 {
		k.deliver(k.challenge())
	}
	if n := k.count("SELECT count(*) FROM attempt WHERE phone_prefix = '16044'"); n != 3 {
		t.Fatalf("%d texts are counted by their first five digits, want 3", n)
	}
	o := k.options(prometheus.NewRegistry())
	o.PrefixLimit = 3
	d, err := dispatcher.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	defer func() { stop(); <-ended }()
	until(t, "texts to stop", func() bool {
		if _, err := d.Deliver(t.Context(), k.challenge(), dispatcher.Stream); err != nil {
			t.Fatal(err)
		}
		return k.count("SELECT count(*) FROM attempt WHERE ending = 'not_sent' AND reason = 'prefix_full'") > 0
	})
	k.exec("UPDATE attempt SET started_at = started_at - interval '11 minutes'")
	until(t, "texts to go again", func() bool {
		before := k.count("SELECT count(*) FROM attempt WHERE ending = 'accepted'")
		if _, err := d.Deliver(t.Context(), k.challenge(), dispatcher.Stream); err != nil {
			t.Fatal(err)
		}
		return k.count("SELECT count(*) FROM attempt WHERE ending = 'accepted'") > before
	})
}

// A prefix of whose codes hardly any is typed in raises one alarm an hour, however many
// dispatchers look; one that is well raises none.
func TestFallenConversionRaisesAnAlarm(t *testing.T) {
	t.Parallel()
	k := newDesk(t, nil, nil)
	texts := func(prefix string, n, typed int) {
		for i := range n {
			r := k.challenge()
			k.deliver(r)
			k.exec("UPDATE attempt SET phone_prefix = $2, finished_at = now() - interval '3 minutes' WHERE challenge_id = $1", r.Challenge, prefix)
			if i < typed {
				k.exec("UPDATE challenge SET closed_at = now(), end_reason = 'registered', typed_text = 1 WHERE id = $1", r.Challenge)
			}
		}
	}
	texts("16041", 22, 3)
	texts("16042", 22, 20)
	texts("16043", 5, 0) // too few to say anything
	k.running()
	k.running()
	until(t, "the alarm", func() bool { return k.count("SELECT count(*) FROM conversion_alarm") > 0 })
	if n := k.count("SELECT count(*) FROM conversion_alarm WHERE prefix = '16041' AND accepted = 22 AND typed = 3"); n != 1 || k.count("SELECT count(*) FROM conversion_alarm") != 1 {
		t.Error("the alarm is not of the one prefix whose codes are not typed in")
	}
	if n := k.count("SELECT count(*) FROM dispatcher_event WHERE type = 'latchkey.conversion.fallen'"); n != 1 {
		t.Errorf("%d events tell of it, want 1", n)
	}
}
