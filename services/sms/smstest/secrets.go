package smstest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"latchkey.dev/services/sms"
	"latchkey.dev/services/sms/carriers"
	"latchkey.dev/services/sms/wire"
)

// printsNoSecret sends with every misfortune that has words, and looks through all that
// the process wrote meanwhile, and through all that can be printed of what took part.
func (p Provider) printsNoSecret(t *testing.T) {
	printed := capture(t, func() {
		r, got := p.mailbox(t, p.Options)
		m := message(t, number, words)
		for i, b := range []carriers.Behaviour{{}, {Mode: carriers.BadJSON}, {Mode: carriers.NoMessages}, {Mode: carriers.Huge}, {Mode: carriers.DropAfterAccept},
			{Mode: carriers.Broken}, {Mode: carriers.Redirect, Code: "http://127.0.0.1:1/"}, {Receipt: carriers.ReceiptForged}, {Mode: carriers.Down}} {
			r.behave(t, b)
			out := r.send(t, within(t, soon), m)
			fmt.Printf("%v %+v %#v %s\n", out, out, out, out.Reason)
			if i > 0 {
				continue
			}
			select { // before the carrier goes down, and its receipts with it
			case one := <-got:
				fmt.Printf("%v %+v %#v\n", one, one.receipt, one.err)
			case <-within(t, soon).Done():
				t.Error("the receipt did not come")
			}
		}
		fmt.Printf("%v %+v %#v\n%v %+v %#v\n", m, m, m, r.sender, r.sender, r.sender)
		if _, err := p.New(Line{BaseURL: "not an address"}); err == nil {
			t.Error("New takes an address that is none")
		} else {
			fmt.Println(err)
		}
	})
	for _, secret := range append([]string{number[1:], "814723"}, p.Secrets...) {
		if strings.Contains(printed, secret) {
			t.Errorf("%q is among what was printed", secret)
		}
	}
	if !strings.Contains(printed, string(sms.ReasonBadAnswer)) {
		t.Error("nothing was captured")
	}
}

// capture returns what do writes to the process's outputs and default logs.
func capture(t *testing.T, do func()) string {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, errs, logs, slogs := os.Stdout, os.Stderr, log.Writer(), slog.Default()
	done := make(chan string)
	go func() {
		var all bytes.Buffer
		_, _ = io.Copy(&all, read)
		done <- all.String()
	}()
	func() {
		defer func() {
			os.Stdout, os.Stderr = out, errs
			slog.SetDefault(slogs)
			log.SetOutput(logs)
			write.Close()
		}()
		os.Stdout, os.Stderr = write, write
		slog.SetDefault(slog.New(slog.NewTextHandler(write, &slog.HandlerOptions{Level: slog.LevelDebug})))
		log.SetOutput(write)
		do()
	}()
	return <-done
}

// expiredCertificate: nothing is said to a server that cannot prove who it is.
func (p Provider) expiredCertificate(t *testing.T) {
	t.Parallel()
	certificate, root := expired(t)
	var asked atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it tells of the handshake that failed
	server.StartTLS()
	t.Cleanup(server.Close)
	transport := wire.Transport()
	transport.TLSClientConfig.RootCAs = x509.NewCertPool()
	transport.TLSClientConfig.RootCAs.AddCert(root)
	t.Cleanup(transport.CloseIdleConnections)
	sender, err := p.New(Line{BaseURL: server.URL, Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, send(t, sender, within(t, soon), message(t, number, words)), unreachable)
	if n := asked.Load(); n != 0 {
		t.Errorf("the server got %d requests", n)
	}
}

// expired makes a certificate of 127.0.0.1 that was good until an hour ago.
func expired(t *testing.T) (tls.Certificate, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "expired"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, root
}
