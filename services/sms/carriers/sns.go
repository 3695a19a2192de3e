package carriers

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// snsTopic is the one topic of the simulated SNS, and whether its subscription is confirmed.
type snsTopic struct {
	asking    sync.Mutex
	confirmed atomic.Bool
	token     string
}

const (
	snsCertificatePath = "/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
	snsConfirmPath     = "/sns/confirm"
)

// snsMessage is what SNS posts
// (https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html).
type snsMessage struct {
	Type             string
	MessageID        string `json:"MessageId"`
	Token            string `json:",omitempty"`
	TopicARN         string `json:"TopicArn"`
	Message          string
	SubscribeURL     string `json:",omitempty"`
	Timestamp        string
	SignatureVersion string
	Signature        string
	SigningCertURL   string
}

// issuer signs for SNS; its certificate is made when the first message is.
var issuer = sync.OnceValue(func() (made struct {
	key  *rsa.PrivateKey
	text []byte
}) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err) // never with the system's source of randomness
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sns.amazonaws.com"}, DNSNames: []string{"sns.amazonaws.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	made.key, made.text = key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return made
})

func serveCertificate(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/x-pem-file")
	w.Write(issuer().text)
}

func (t *snsTopic) serveConfirm(w http.ResponseWriter, r *http.Request) {
	if r.FormValue("Action") != "ConfirmSubscription" || t.token == "" || !same(r.FormValue("Token"), t.token) {
		http.Error(w, "InvalidParameter", http.StatusBadRequest)
		return
	}
	t.confirmed.Store(true)
	w.Header().Set("Content-Type", "text/xml")
	io.WriteString(w, "<ConfirmSubscriptionResponse/>\n")
}

// message is a signed message of SNS.
func (a awsAPI) message(kind, text string, o order) snsMessage {
	m := snsMessage{Type: kind, MessageID: uuid.NewString(), TopicARN: a.o.Topic, Message: text, SigningCertURL: o.origin + snsCertificatePath,
		Timestamp: a.s.now().UTC().Format("2006-01-02T15:04:05.000Z"), SignatureVersion: a.o.SignatureVersion}
	if kind == "SubscriptionConfirmation" {
		m.Token = a.s.sns.token
		m.SubscribeURL = o.origin + snsConfirmPath + "?" + url.Values{"Action": {"ConfirmSubscription"}, "TopicArn": {a.o.Topic}, "Token": {m.Token}}.Encode()
	}
	m.sign(issuer().key)
	return m
}

// sign signs as
// https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message-verify-message-signature.html
// says.
func (m *snsMessage) sign(key *rsa.PrivateKey) {
	text := "Message\n" + m.Message + "\nMessageId\n" + m.MessageID + "\n"
	if m.SubscribeURL != "" {
		text += "SubscribeURL\n" + m.SubscribeURL + "\n"
	}
	text += "Timestamp\n" + m.Timestamp + "\n"
	if m.Token != "" {
		text += "Token\n" + m.Token + "\n"
	}
	text += "TopicArn\n" + m.TopicARN + "\nType\n" + m.Type + "\n"
	hash, digest := crypto.SHA1, sha1.Sum([]byte(text))
	sum := digest[:]
	if m.SignatureVersion == "2" {
		digest := sha256.Sum256([]byte(text))
		hash, sum = crypto.SHA256, digest[:]
	}
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, hash, sum)
	if err != nil {
		panic(err) // never with a digest of the right length
	}
	m.Signature = base64.StdEncoding.EncodeToString(signature)
}

func (a awsAPI) post(ctx context.Context, o order, m snsMessage) (*http.Request, error) {
	text, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	r, err := newRequest(ctx, http.MethodPost, o.callback, "text/plain; charset=UTF-8", bytes.NewReader(text))
	if err == nil {
		r.Header.Set("X-Amz-Sns-Message-Type", m.Type)
		r.Header.Set("X-Amz-Sns-Topic-Arn", m.TopicARN)
		r.Header.Set("User-Agent", "Amazon Simple Notification Service Agent")
	}
	return r, err
}

var errUnconfirmed = errors.New("the subscriber did not confirm")

// subscribe asks the subscriber to confirm, once: SNS sends nothing to one who has not.
func (a awsAPI) subscribe(ctx context.Context, o order) error {
	t := &a.s.sns
	t.asking.Lock()
	defer t.asking.Unlock()
	if t.confirmed.Load() {
		return nil
	}
	r, err := a.post(ctx, o, a.message("SubscriptionConfirmation", "You have chosen to subscribe to the topic "+a.o.Topic+".", o))
	if err != nil {
		return err
	}
	res, err := a.s.post.client.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, maxRead)
	if !t.confirmed.Load() {
		return errUnconfirmed
	}
	return nil
}

// forged is an event that somebody else signed.
func (a awsAPI) forged(ctx context.Context, o order, event []byte) (*http.Request, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	m := a.message("Notification", string(event), o)
	m.sign(key)
	return a.post(ctx, o, m)
}
