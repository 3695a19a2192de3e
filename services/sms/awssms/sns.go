package awssms

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"latchkey.dev/services/sms"
)

// message is what SNS posts
// (https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html).
type message struct {
	Type             string
	MessageID        string `json:"MessageId"`
	Token            string
	TopicARN         string `json:"TopicArn"`
	Subject          *string
	Message          string
	SubscribeURL     string
	Timestamp        string
	SignatureVersion string
	Signature        string
	SigningCertURL   string
}

const (
	notification = "Notification"
	subscription = "SubscriptionConfirmation"
	farewell     = "UnsubscribeConfirmation"
)

// signed is the text that SNS signs
// (https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message-verify-message-signature.html).
func (m message) signed() []byte {
	var b strings.Builder
	line := func(name, value string) { b.WriteString(name + "\n" + value + "\n") }
	line("Message", m.Message)
	line("MessageId", m.MessageID)
	if m.Type == notification {
		if m.Subject != nil {
			line("Subject", *m.Subject)
		}
	} else {
		line("SubscribeURL", m.SubscribeURL)
	}
	line("Timestamp", m.Timestamp)
	if m.Type != notification {
		line("Token", m.Token)
	}
	line("TopicArn", m.TopicARN)
	line("Type", m.Type)
	return []byte(b.String())
}

// Bounds of what anybody can make us fetch from SNS by naming it.
const (
	fetchTimeout   = 3 * time.Second
	fetchesASecond = 1
	fetchBurst     = 5
	maxFetched     = 16 << 10 // bytes
	maxKept        = 4        // certificates; SNS signs with one at a time
	minModulus     = 256      // bytes of an RSA key
)

// sns tells authentic messages of one topic. No library that is kept up does it for Go.
type sns struct {
	topic  string
	origin string // scheme and host of certificates and of confirmations
	client *http.Client
	budget *rate.Limiter

	mu   sync.Mutex
	keys map[string]key
}

// key is the key of a signing certificate, and how long it is good.
type key struct {
	public   *rsa.PublicKey
	from, to time.Time
}

func newSNS(o Options) *sns {
	s := &sns{topic: o.SNSTopic, origin: o.SNSOrigin, budget: rate.NewLimiter(fetchesASecond, fetchBurst), keys: map[string]key{}}
	if parts := topicARN.FindStringSubmatch(o.SNSTopic); s.origin == "" && parts != nil {
		s.origin = "https://sns." + parts[2] + ".amazonaws.com"
		if parts[1] == "aws-cn" {
			s.origin += ".cn"
		}
	}
	s.client = &http.Client{Transport: o.Transport, Timeout: fetchTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return s
}

// verify returns nil, sms.ErrForged, or sms.ErrLater where the certificate is not to be had.
func (s *sns) verify(ctx context.Context, m message) error {
	if s.topic == "" || m.TopicARN != s.topic || m.Type != notification && m.Type != subscription && m.Type != farewell {
		return sms.ErrForged
	}
	signature, err := base64.StdEncoding.DecodeString(m.Signature)
	if err != nil || m.SignatureVersion != "1" && m.SignatureVersion != "2" {
		return sms.ErrForged
	}
	k, err := s.key(ctx, m.SigningCertURL)
	if err != nil {
		return err
	}
	if now := time.Now(); now.Before(k.from) || now.After(k.to) {
		return sms.ErrForged
	}
	hash, digest := crypto.SHA256, sha256.Sum256(m.signed())
	sum := digest[:]
	if m.SignatureVersion == "1" { // by which topics sign that nobody has set to 2
		digest := sha1.Sum(m.signed())
		hash, sum = crypto.SHA1, digest[:]
	}
	if rsa.VerifyPKCS1v15(k.public, hash, sum, signature) != nil {
		return sms.ErrForged
	}
	return nil
}

var certificatePath = regexp.MustCompile(`^/SimpleNotificationService-[0-9a-f]{32}\.pem$`)

// key is the key of the certificate at an address, which must be SNS's own: that it comes
// from there over TLS is what makes it SNS's, since the file holds no chain to judge by.
func (s *sns) key(ctx context.Context, address string) (key, error) {
	path, ours := strings.CutPrefix(address, s.origin)
	if !ours || !certificatePath.MatchString(path) {
		return key{}, sms.ErrForged
	}
	s.mu.Lock()
	known, ok := s.keys[address]
	s.mu.Unlock()
	if ok {
		return known, nil
	}
	text, err := s.fetch(ctx, address)
	if err != nil {
		return key{}, sms.ErrLater
	}
	k, err := parseKey(text)
	if err != nil {
		return key{}, sms.ErrForged
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.keys) >= maxKept {
		clear(s.keys)
	}
	s.keys[address] = k
	return k, nil
}

var errNoKey = errors.New("the certificate cannot be used")

func parseKey(text []byte) (key, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return key{}, errNoKey
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return key{}, errNoKey
	}
	public, ok := certificate.PublicKey.(*rsa.PublicKey)
	if !ok || public.Size() < minModulus {
		return key{}, errNoKey
	}
	return key{public, certificate.NotBefore, certificate.NotAfter}, nil
}

// confirm tells SNS that the subscription it asks about is wanted.
func (s *sns) confirm(ctx context.Context, m message) error {
	u, err := url.Parse(m.SubscribeURL)
	if err != nil || u.User != nil || u.Scheme+"://"+u.Host != s.origin {
		return sms.ErrForged
	}
	if _, err := s.fetch(ctx, u.String()); err != nil {
		return sms.ErrLater // SNS asks again
	}
	return sms.ErrNoReport
}

var errFetch = errors.New("SNS did not give it")

func (s *sns) fetch(ctx context.Context, address string) ([]byte, error) {
	if !s.budget.Allow() {
		return nil, errFetch
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	res, err := s.client.Do(r)
	if err != nil {
		return nil, errFetch // the error would name the address, with its token
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxFetched+1))
	if err != nil || res.StatusCode != http.StatusOK || len(text) > maxFetched {
		return nil, errFetch
	}
	return text, nil
}
