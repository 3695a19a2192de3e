package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/internal/dpop"
	"latchkey.dev/services/sms/carriers"
)

const userAgent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

// client gives up on a request that nobody answers, as a browser's user would.
// A server closes a connection that brought no request within five seconds; ours are let go of
// before that, or a request could meet its end.
var client = &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 2 * time.Second}}

// life is a person who signs in on a new device, and what they saw of it.
type life struct {
	h      *house
	member uuid.UUID
	number string
	key    *dpop.Key
	// userID and password are set for people who sign in on Latchkey's own pages.
	userID, password string

	challenges []uuid.UUID // that an answer named
	asks       int         // requests for a challenge that were made, answered or not
	typed      string      // the code that registered the device

	askedAt, textedAt, typedAt, registeredAt time.Time
}

// person makes somebody, with a number of their own.
func (h *house) person(withPassword bool) *life {
	h.t.Helper()
	key, err := dpop.NewKey()
	if err != nil {
		h.t.Fatal(err)
	}
	// The block of numbers moves with the seed, so that a search for them finds no chance neighbours.
	number := ""
	for number == "" || h.numbers[number] {
		number = fmt.Sprintf("+1604%07d", 2_000_000+h.dice.IntN(7_999_999))
	}
	h.numbers[number] = true
	l := &life{h: h, member: uuid.New(), number: number, key: key}
	body := map[string]any{"role": "provider", "phone": l.number}
	if withPassword {
		l.userID, l.password = fmt.Sprintf("person-%d-%x", len(h.folks), h.dice.Uint32()), fmt.Sprintf("Pw-%016x%016x", h.dice.Uint64(), h.dice.Uint64())
		body["user_id"], body["password"] = l.userID, l.password
	}
	h.folks = append(h.folks, l)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err = insist(ctx, "making a member", func() (int, error) {
		status, _, err := l.send(ctx, "PUT", "/v1/members/"+l.member.String(), body, http.Header{"Authorization": {"Bearer " + h.apiKey}})
		return status, err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return l
}

// insist repeats a request that was not answered, or answered by a server in trouble,
// until it is answered or ctx ends. The last answer is wrong if it is no success.
func insist(ctx context.Context, what string, do func() (status int, err error)) error {
	for {
		status, err := do()
		switch {
		case err == nil && status < 300:
			return nil
		case err == nil && status < 500:
			return fmt.Errorf("%s: answered %d", what, status)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: not answered well in time, at last %d %v", what, status, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// send makes one request and reads its answer.
func (l *life) send(ctx context.Context, method, path string, body any, header http.Header) (int, map[string]any, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return 0, nil, err
	}
	r, err := http.NewRequestWithContext(ctx, method, l.h.origin()+path, bytes.NewReader(b))
	if err != nil {
		return 0, nil, err
	}
	r.Header = header
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", userAgent)
	resp, err := client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	out := map[string]any{}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return 0, nil, fmt.Errorf("%s %s: %d without JSON: %w", method, path, resp.StatusCode, err)
	}
	return resp.StatusCode, out, nil
}

func (h *house) origin() string { return "http://" + h.address[loginPart] }

// prove makes a proof for one request.
func (l *life) prove(ctx context.Context, method, path string, challenge uuid.UUID) (string, error) {
	r, err := http.NewRequestWithContext(ctx, "GET", l.h.origin()+"/v1/nonce", nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(r)
	if err != nil {
		return "", err
	}
	resp.Body.Close()
	return l.key.Prove(method, l.h.origin()+path, resp.Header.Get("DPoP-Nonce"), challenge, time.Now())
}

// device makes one request with a proof of the device's key.
func (l *life) device(ctx context.Context, method, path string, challenge uuid.UUID, body any) (int, map[string]any, error) {
	proof, err := l.prove(ctx, method, path, challenge)
	if err != nil {
		return 0, nil, err
	}
	return l.send(ctx, method, path, body, http.Header{"Dpop": {proof}})
}

// check asks once whether the device may come in: by password where the person has one,
// else as a product does that has checked the first factor itself.
func (l *life) check(ctx context.Context) (int, map[string]any, error) {
	if l.userID != "" {
		return l.device(ctx, "POST", "/v1/sign-ins", uuid.Nil, map[string]any{"user_id": l.userID, "password": l.password, "software": "web"})
	}
	proof, err := l.prove(ctx, "POST", "/v1/device-checks", uuid.Nil)
	if err != nil {
		return 0, nil, err
	}
	return l.send(ctx, "POST", "/v1/device-checks", map[string]any{"member": l.member, "software": "web", "proof": proof,
		"address": "192.0.2.1", "headers": map[string]string{"user_agent": userAgent}}, http.Header{"Authorization": {"Bearer " + l.h.apiKey}})
}

// ask signs in on the new device until there is an answer, which must be a challenge.
func (l *life) ask(ctx context.Context) error {
	l.askedAt = time.Now()
	return insist(ctx, "asking for a code", func() (int, error) {
		l.asks++
		status, out, err := l.check(ctx)
		if err != nil {
			return status, err
		}
		challenge, ok := out["challenge"].(map[string]any)
		if status == http.StatusAccepted && ok {
			l.challenges = append(l.challenges, uuid.MustParse(challenge["id"].(string)))
		} else if status < 300 {
			return http.StatusTeapot, nil // in, without a code
		}
		return status, nil
	})
}

// challenge is the newest that the person was told of.
func (l *life) challenge() uuid.UUID { return l.challenges[len(l.challenges)-1] }

// text waits for the person's n-th text.
func (l *life) text(ctx context.Context, n int) (carriers.Text, error) {
	var text carriers.Text
	err := insist(ctx, fmt.Sprintf("waiting for text %d", n), func() (int, error) {
		r, err := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("http://%s/control/texts/%s/%d?wait=20", l.h.address[carriersPart], url.PathEscape(l.number), n), nil)
		if err != nil {
			return 0, err
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if resp.StatusCode == http.StatusNotFound {
			return 0, errors.New("no text came")
		}
		if err == nil {
			err = json.Unmarshal(b, &text)
		}
		return resp.StatusCode, err
	})
	return text, err
}

// codeOf is the code that a text carries.
func codeOf(t carriers.Text) string { return t.Body[:digits] }

// see reads how the challenge stands.
func (l *life) see(ctx context.Context) (status string, triesLeft int, err error) {
	path := "/v1/challenges/" + l.challenge().String()
	err = insist(ctx, "reading the challenge", func() (int, error) {
		code, out, err := l.device(ctx, "GET", path, l.challenge(), nil)
		if err == nil && code == http.StatusOK {
			status, _ = out["status"].(string)
			left, _ := out["tries_left"].(float64)
			triesLeft = int(left)
		}
		return code, err
	})
	return status, triesLeft, err
}

// enter types a code until it is known what came of it.
func (l *life) enter(ctx context.Context, code string) (registered bool, err error) {
	path := "/v1/challenges/" + l.challenge().String() + "/entries"
	_, before, err := l.see(ctx)
	if err != nil {
		return false, err
	}
	for {
		status, out, err := l.device(ctx, "POST", path, l.challenge(), map[string]any{"code": code})
		switch {
		case err == nil && status == http.StatusOK && out["result"] == "registered":
			return true, nil
		case err == nil && status >= 300 && status < 500 && status != http.StatusUnprocessableEntity && status != http.StatusConflict:
			return false, fmt.Errorf("typing a code: answered %d %v", status, out)
		}
		// The verdict is still to come, or its answer was lost on the way: the challenge tells.
		for range 10 {
			how, left, err := l.see(ctx)
			switch {
			case err != nil:
				return false, err
			case how == "registered":
				return true, nil
			case how == "tries" || left < before:
				return false, nil
			}
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
				return false, fmt.Errorf("typing a code: no verdict, the challenge is %q: %w", how, ctx.Err())
			}
		}
	}
}

// finish types the codes that come until one registers the device. Where an answer was lost
// and the person asked again, a text may be of a challenge that they know nothing of.
func (l *life) finish(ctx context.Context) error {
	var tried []string
	for n := 1; ; n++ {
		text, err := l.text(ctx, n)
		if err != nil {
			return err
		}
		if n == 1 {
			l.textedAt = text.At
		}
		code := codeOf(text)
		if slices.Contains(tried, code) {
			continue
		}
		tried = append(tried, code)
		l.typedAt = time.Now()
		ok, err := l.enter(ctx, code)
		if err != nil {
			return err
		}
		if ok {
			l.typed, l.registeredAt = code, time.Now()
			return nil
		}
		if l.asks == 1 {
			return errors.New("the code of the only challenge was refused")
		}
	}
}

// known asks for nothing on the registered device.
func (l *life) known(ctx context.Context) error {
	return insist(ctx, "coming back", func() (int, error) {
		status, out, err := l.check(ctx)
		if err == nil && status < 300 && out["status"] != "registered" {
			return http.StatusTeapot, nil // asked for a code again
		}
		return status, err
	})
}

// run lives a whole life.
func (l *life) run(ctx context.Context) error {
	if err := l.ask(ctx); err != nil {
		return err
	}
	if err := l.finish(ctx); err != nil {
		return err
	}
	return l.known(ctx)
}

// patience is how long a life may take, whatever befalls it.
const patience = time.Minute

// all lets people live at the same time, and reports every life that failed.
func (h *house) all(people []*life, do func(context.Context, *life) error) {
	h.t.Helper()
	var wg sync.WaitGroup
	errs := make([]error, len(people))
	for i, l := range people {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			errs[i] = do(ctx, l)
		})
	}
	wg.Wait()
	failed := 0
	for i, err := range errs {
		if err != nil {
			if failed++; failed <= 5 {
				h.t.Errorf("life %d of %d: %v", i+1, len(people), err)
			}
		}
	}
	if failed > 5 {
		h.t.Errorf("and %d more lives failed", failed-5)
	}
}

// crowd makes n people.
func (h *house) crowd(n int) []*life {
	h.t.Helper()
	people := make([]*life, n)
	for i := range people {
		people[i] = h.person(false)
	}
	return people
}
