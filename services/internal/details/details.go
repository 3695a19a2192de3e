// Package details is how the console asks the auditor to open what is sealed to people's own
// keys: the words of that API, which is no public one, and its client.
package details

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/web"
)

// The endpoints. Both take a POST with the key as a bearer token.
const (
	ShowPath   = "/v1/show"
	ExportPath = "/v1/export"
)

// Format is how an export is written.
type Format string

// The formats there are: for programs, and for a person to read.
const (
	JSON Format = "json"
	HTML Format = "html"
)

// ContentType is the format's media type.
func (f Format) ContentType() string {
	if f == HTML {
		return "text/html; charset=utf-8"
	}
	return "application/json"
}

// ShowRequest asks for a person's number and e-mail address.
type ShowRequest struct {
	Account uuid.UUID `json:"account"`
	Member  uuid.UUID `json:"member"`
	By      string    `json:"by"` // as events name who acts
}

// Shown are a person's number, as "+16044410142", and e-mail address; "" where there is none.
type Shown struct {
	Number string `json:"number,omitempty"`
	Email  string `json:"email,omitempty"`
}

// ExportRequest asks for the export that a job prepared, by who asked for the job.
type ExportRequest struct {
	Account uuid.UUID `json:"account"`
	Job     uuid.UUID `json:"job"`
	By      string    `json:"by"`
	Format  Format    `json:"format"`
	// Language is that of the headings of an export to be read by people, as BCP 47 writes it;
	// English for one that is not known.
	Language string `json:"language,omitempty"`
}

// Client asks the auditor at URL, as "http://127.0.0.1:8084".
type Client struct {
	base string
	key  secret.String
	http *http.Client
}

// NewClient makes a Client. It connects to nothing yet.
func NewClient(base string, key secret.String) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Path != "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("the auditor's address must be as http://127.0.0.1:8084, without a path")
	}
	if key.Empty() {
		return nil, errors.New("the key to the auditor's API is missing")
	}
	// An export streams for as long as it takes, so only the wait for its beginning is bounded.
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Proxy, t.ResponseHeaderTimeout = nil, 15*time.Second
	return &Client{base, key, &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}, nil
}

// Show opens a person's number and e-mail address. It returns web.NotFound for somebody who
// is not of the account or is erased.
func (c *Client) Show(ctx context.Context, r ShowRequest) (s Shown, err error) {
	body, err := c.post(ctx, ShowPath, r)
	if err != nil {
		return s, err
	}
	defer body.Close()
	if err := json.NewDecoder(io.LimitReader(body, web.MaxBody)).Decode(&s); err != nil {
		return s, fmt.Errorf("reading the auditor's answer: %w", err)
	}
	return s, nil
}

// Export opens an export, which the caller closes. A reading that ends with an error is not
// the whole of it. It returns web.NotFound for an export that is not ready or is no more.
func (c *Client) Export(ctx context.Context, r ExportRequest) (io.ReadCloser, error) {
	return c.post(ctx, ExportPath, r)
}

func (c *Client) post(ctx context.Context, path string, in any) (io.ReadCloser, error) {
	b, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("asking the auditor: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("asking the auditor: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+c.key.Reveal())
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("asking the auditor: %w", err)
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return resp.Body, nil
	case http.StatusNotFound:
		err = web.NotFound
	default:
		err = fmt.Errorf("the auditor answered %s", resp.Status)
	}
	resp.Body.Close()
	return nil, err
}
