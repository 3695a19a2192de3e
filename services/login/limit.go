package login

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"

	queries "latchkey.dev/queries/login"
	"latchkey.dev/services/internal/web"
)

// Limit bounds texts in ten minutes and in a day; 0 bounds nothing.
type Limit struct{ TenMinutes, Day int }

// Limits bound how many texts may be asked for, over all instances (REQUIREMENTS A3, A4).
type Limits struct {
	Member  Limit // by one person
	Number  Limit // to one number, whoever has it
	Address Limit // from one network address
	Network Limit // from its neighbourhood: 256 addresses of IPv4, 2^80 of IPv6
	Account Limit // by all people of an account
}

// limitScopes are the scopes of Limits, as limit_counter keeps them: a metric label.
var limitScopes = []string{"text_member", "text_number", "text_address", "text_network", "text_account"}

// limitKey is one counter of one text.
type limitKey struct {
	scope  string
	digest string
	window time.Duration
	most   int
}

// counter names what a limitKey counts.
type counter struct {
	scope  string
	digest string
}

func (k limitKey) counter() counter { return counter{k.scope, k.digest} }

// errManyTexts is the answer over any limit: it does not say which, since who tries to find
// out is not to know.
var errManyTexts = web.NewProblem(http.StatusTooManyRequests, "too-many-texts", "No code for now",
	"So many codes were asked for that none is sent for now. This protects everybody's phones. Wait ten minutes and try again.").After(10 * time.Minute)

// The reasons of a refusal over a limit on texts, and on what they cost.
const (
	manyTexts    = "too_many_texts"
	spendStopped = "spend_stopped"
)

// limitKeys are the counters of a text to a person's number.
func (l *Login) limitKeys(account, member uuid.UUID, number []byte, address netip.Addr) (keys []limitKey) {
	add := func(scope string, limit Limit, value string) {
		if limit == (Limit{}) {
			return
		}
		digest := string(l.o.People.Index(scope, value))
		if limit.TenMinutes > 0 {
			keys = append(keys, limitKey{scope, digest, 10 * time.Minute, limit.TenMinutes})
		}
		if limit.Day > 0 {
			keys = append(keys, limitKey{scope + "_day", digest, 24 * time.Hour, limit.Day})
		}
	}
	add("text_member", l.o.Limits.Member, member.String())
	add("text_account", l.o.Limits.Account, account.String())
	if len(number) > 0 {
		add("text_number", l.o.Limits.Number, string(number))
	}
	if address = address.Unmap(); address.IsValid() {
		one, near := 64, 48 // an IPv6 address is as good as its /64: one customer has all of it
		if address.Is4() {
			one, near = 32, 24
		}
		for scope, bits := range map[string]int{"text_address": one, "text_network": near} {
			limit := l.o.Limits.Address
			if scope == "text_network" {
				limit = l.o.Limits.Network
			}
			if p, err := address.Prefix(bits); err == nil {
				add(scope, limit, p.String())
			}
		}
	}
	return keys
}

// takeTexts counts the texts of a batch, each by its own keys, and says which of them may be
// asked for: "" for one that may, else the scope that is full. It runs in the transaction
// that asks for them, and counts no text that may not.
func takeTexts(ctx context.Context, q *queries.Queries, texts [][]limitKey) (over []string, err error) {
	over = make([]string, len(texts))
	counts := map[counter]int{}
	keys := map[counter]limitKey{}
	for _, text := range texts {
		for _, k := range text {
			counts[k.counter()]++
			keys[k.counter()] = k
		}
	}
	if len(counts) == 0 {
		return over, nil
	}
	asked := limitParams(counts, keys)
	rows, err := q.LimitTake(ctx, queries.LimitTakeParams(asked))
	if err != nil {
		return nil, fmt.Errorf("counting texts: %w", err)
	}
	used := make(map[counter]int, len(rows))
	for _, r := range rows {
		used[counter{r.Scope, string(r.KeyDigest)}] = int(r.Before)
	}
	back := decideTexts(texts, used, over)
	if len(back) == 0 {
		return over, nil
	}
	if err := q.LimitGive(ctx, limitParams(back, keys)); err != nil {
		return nil, fmt.Errorf("taking back what was counted of texts: %w", err)
	}
	return over, nil
}

// decideTexts decides in the order of the batch, and returns what is to be taken back.
func decideTexts(texts [][]limitKey, used map[counter]int, over []string) (back map[counter]int) {
	back = map[counter]int{}
	for i, text := range texts {
		if full := slices.IndexFunc(text, func(k limitKey) bool { return used[k.counter()] >= k.most }); full >= 0 {
			over[i] = text[full].scope
		}
		for _, k := range text {
			if over[i] == "" {
				used[k.counter()]++
			} else {
				back[k.counter()]++
			}
		}
	}
	return back
}

func limitParams(counts map[counter]int, keys map[counter]limitKey) (p queries.LimitGiveParams) {
	for c, n := range counts {
		p.Scopes = append(p.Scopes, c.scope)
		p.KeyDigests = append(p.KeyDigests, []byte(c.digest))
		p.WindowSeconds = append(p.WindowSeconds, int32(keys[c].window/time.Second))
		p.Counts = append(p.Counts, int32(n))
	}
	return p
}
