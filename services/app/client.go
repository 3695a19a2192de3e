// Package app is a reference client of the public API as a mobile app has it: a key of its
// own, its own word about what it runs on, and a session. It uses nothing but HTTP.
package app

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/internal/dpop"
	"latchkey.dev/services/internal/secret"
)

// maxAnswer bounds what is read of any answer, in bytes.
const maxAnswer = 1 << 20

// requestTime bounds one request; the stream of a challenge has none but its caller's.
const requestTime = 30 * time.Second

// Facets are what the app tells of itself and of its device.
type Facets struct {
	App      string `json:"browser,omitempty"`
	AppMajor int    `json:"browser_major,omitempty"`
	OS       string `json:"os,omitempty"`
	OSMajor  int    `json:"os_major,omitempty"`
}

// Client is the app on one device.
type Client struct {
	URL      string // origin of the API
	Software string // that it signs in to
	Facets   Facets
	Key      *dpop.Key
	HTTP     *http.Client
	nonce    string
}

// Problem is a refusal of the API (RFC 9457).
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Status int    `json:"status"`
}

func (p *Problem) Error() string { return p.Title + ": " + p.Detail }

// Session is what a sign-in gives.
type Session struct {
	Token              string `json:"token"`
	ExpiresIn          int    `json:"expires_in"` // seconds, at most
	MustChangePassword bool   `json:"must_change_password"`
}

// Challenge is a code that was asked for, and how its text is doing.
type Challenge struct {
	ID        uuid.UUID `json:"id"`
	Status    string    `json:"status"`
	LastTwo   string    `json:"last_two"`
	TriesLeft int       `json:"tries_left"`
	Reason    string    `json:"reason"`
	From      string    `json:"from"`
	To        string    `json:"to"`
}

// Answer is what a sign-in or a code came to: a session, or a challenge.
type Answer struct {
	Status    string     `json:"status"` // of a sign-in: registered, not_required, challenge
	Result    string     `json:"result"` // of a code: registered, rejected, pending
	TriesLeft int        `json:"tries_left"`
	Challenge *Challenge `json:"challenge"`
	Session   *Session   `json:"session"`
}

// SignIn proves the person's password and the device's key.
func (c *Client) SignIn(ctx context.Context, user string, password secret.String) (Answer, error) {
	var out Answer
	body := map[string]any{"user_id": user, "password": password.Reveal(), "software": c.Software, "facets": c.Facets}
	return out, c.prove(ctx, http.MethodPost, "/v1/sign-ins", uuid.Nil, body, &out)
}

// Enter sends a typed code. A wrong one is an answer too, with Result "rejected".
func (c *Client) Enter(ctx context.Context, challenge uuid.UUID, typed string) (Answer, error) {
	var out Answer
	err := c.prove(ctx, http.MethodPost, "/v1/challenges/"+challenge.String()+"/entries", challenge, map[string]string{"code": typed}, &out)
	return out, err
}

// Status asks how far a challenge is.
func (c *Client) Status(ctx context.Context, challenge uuid.UUID) (Challenge, error) {
	var out Challenge
	return out, c.prove(ctx, http.MethodGet, "/v1/challenges/"+challenge.String(), challenge, nil, &out)
}

// Follow calls tell whenever the challenge's status changes, until it ends or ctx does.
func (c *Client) Follow(ctx context.Context, challenge uuid.UUID, tell func(Challenge)) error {
	var t struct {
		Ticket string `json:"ticket"`
	}
	path := "/v1/challenges/" + challenge.String()
	if err := c.prove(ctx, http.MethodPost, path+"/tickets", challenge, nil, &t); err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL+path+"/events?ticket="+t.Ticket, nil)
	if err != nil {
		return err
	}
	resp, err := c.HTTP.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("following the text: %s", resp.Status)
	}
	last := ""
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var now Challenge
		if err := json.Unmarshal([]byte(data), &now); err != nil {
			return fmt.Errorf("following the text: %w", err)
		}
		if now.Status != last {
			last = now.Status
			tell(now)
		}
	}
	return ctx.Err()
}

// Call makes a request of a session's token; out may be nil.
func (c *Client) Call(ctx context.Context, method, path, token string, out any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	return c.do(ctx, method, path, nil, out, "Authorization", "Bearer "+token)
}

// prove makes a request with a proof of the device's key, and once more where the API
// wants its fresh nonce in it (RFC 9449 section 8).
func (c *Client) prove(ctx context.Context, method, path string, challenge uuid.UUID, body, out any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	for again := false; ; again = true {
		proof, err := c.Key.Prove(method, c.URL+path, c.nonce, challenge, time.Now())
		if err != nil {
			return err
		}
		err = c.do(ctx, method, path, body, out, "DPoP", proof)
		if p := new(Problem); again || !errors.As(err, &p) || p.Type != "/problems/use-dpop-nonce" {
			return err
		}
	}
}

func (c *Client) do(ctx context.Context, method, path string, body, out any, name, value string) error {
	var sent io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		sent = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.URL+path, sent)
	if err != nil {
		return err
	}
	r.Header.Set(name, value)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.HTTP.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if n := resp.Header.Get("DPoP-Nonce"); n != "" {
		c.nonce = n
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return err
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem+json") {
		p := new(Problem)
		if err := json.Unmarshal(b, p); err != nil {
			return fmt.Errorf("%s answers %s", c.URL, resp.Status)
		}
		return p
	}
	if resp.StatusCode >= http.StatusInternalServerError {
		return fmt.Errorf("%s answers %s", c.URL, resp.Status)
	}
	if out == nil || len(b) == 0 {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("%s answers no JSON: %s", c.URL, resp.Status)
	}
	return nil
}
