package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/internal/dpop"
	"latchkey.dev/services/internal/secret"
)

// software is what everybody signs in to.
const software = "web"

// userAgent is the browser of everybody.
const userAgent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

// api is a product's backend, with the devices of its people. It keeps connections open.
type api struct {
	url   string
	key   string // "Bearer …"
	http  *http.Client
	nonce atomic.Pointer[string] // the server's latest, good for a minute
}

func newAPI(url string, key secret.String) *api {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns, t.MaxIdleConnsPerHost, t.DisableCompression = 0, 2*maxAtATime, true
	return &api{url: url, key: "Bearer " + key.Reveal(), http: &http.Client{Transport: t, Timeout: 20 * time.Second}}
}

// person is somebody with a phone and a device.
type person struct {
	id     uuid.UUID
	number string
	device *dpop.Key
}

// call makes a request, decodes its answer into into unless that is nil, and returns the
// status. One of 400 or more is an error.
func (a *api) call(ctx context.Context, method, path, proof string, body []byte, into any) (status int, err error) {
	r, err := http.NewRequestWithContext(ctx, method, a.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	h := r.Header
	h["Content-Type"], h["Authorization"] = []string{"application/json"}, []string{a.key}
	h["Idempotency-Key"] = []string{} // not sent: it has a request made again whose connection the server had closed unused
	if proof != "" {
		h["Dpop"] = []string{proof}
	}
	resp, err := a.http.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return 0, err
	}
	if n := resp.Header["Dpop-Nonce"]; len(n) == 1 {
		a.nonce.Store(&n[0])
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return resp.StatusCode, fmt.Errorf("%s %s answered %d: %s", method, path, resp.StatusCode, answer)
	}
	if into != nil {
		err = json.Unmarshal(answer, into)
	}
	return resp.StatusCode, err
}

func (a *api) freshNonce(ctx context.Context) error {
	_, err := a.call(ctx, http.MethodGet, "/v1/nonce", "", nil, nil)
	return err
}

// prove signs a proof of the person's device. A product takes the nonce for it from any
// answer that it got lately, as is done here.
func (a *api) prove(p *person, path string, challenge uuid.UUID) (string, error) {
	return p.device.Prove(http.MethodPost, a.url+path, *a.nonce.Load(), challenge, time.Now())
}

const checksPath = "/v1/device-checks"

// check asks whether a person's device is registered, and wants to hear a word.
func (a *api) check(ctx context.Context, p *person, word string) (challenge uuid.UUID, err error) {
	proof, err := a.prove(p, checksPath, uuid.Nil)
	if err != nil {
		return uuid.Nil, err
	}
	body := []byte(`{"member":"` + p.id.String() + `","software":"` + software + `","proof":"` + proof +
		`","headers":{"user_agent":"` + userAgent + `"},"address":"192.0.2.7"}`)
	var got struct {
		Status    string
		Challenge struct{ ID uuid.UUID }
	}
	if _, err := a.call(ctx, http.MethodPost, checksPath, "", body, &got); err != nil {
		return uuid.Nil, err
	}
	if got.Status != word {
		return uuid.Nil, fmt.Errorf("a device check came to %s, not %s", got.Status, word)
	}
	return got.Challenge.ID, nil
}

// enter types the code in, and returns when it has registered the device. Where there is no
// verdict yet it looks at the challenge again and again, as a page does.
func (a *api) enter(ctx context.Context, p *person, challenge uuid.UUID, code string) error {
	path := "/v1/challenges/" + challenge.String()
	proof, err := a.prove(p, path+"/entries", challenge)
	if err != nil {
		return err
	}
	var entry struct{ Result string }
	status, err := a.call(ctx, http.MethodPost, path+"/entries", proof, []byte(`{"code":"`+code+`"}`), &entry)
	if err != nil || status == http.StatusOK && entry.Result == "registered" {
		return err
	}
	if status != http.StatusAccepted {
		return fmt.Errorf("a right code was answered %d, %s", status, entry.Result)
	}
	for late := time.Now().Add(patience); time.Now().Before(late); {
		if err := wait(ctx, 100*time.Millisecond); err != nil {
			return err
		}
		var state struct{ Status string }
		if _, err := a.call(ctx, http.MethodGet, path, "", nil, &state); err != nil || state.Status == "registered" {
			return err
		}
	}
	return errors.New("a right code got no verdict within 20 s")
}

// join saves a person, through the API.
func (a *api) join(ctx context.Context, p *person) error {
	body := []byte(`{"role":"provider","phone":"` + p.number + `"}`)
	_, err := a.call(ctx, http.MethodPut, "/v1/members/"+p.id.String(), "", body, nil)
	return err
}
