package dispatcher_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"latchkey.dev/services/dispatcher"
	"latchkey.dev/services/email"
	"latchkey.dev/services/internal/seal"
	"latchkey.dev/services/mail"
	"latchkey.dev/services/notice"
	"latchkey.dev/services/phone"
	"latchkey.dev/services/sms"
)

// office is a mail server that answers as it is told, the last answer ever after.
type office struct {
	mu    sync.Mutex
	plan  []mail.Ending
	mails []mail.Message
}

func (p *office) Send(_ context.Context, m mail.Message) mail.Outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	ending := mail.Accepted
	if len(p.plan) > 0 {
		ending = p.plan[0]
		if len(p.plan) > 1 {
			p.plan = p.plan[1:]
		}
	}
	p.mails = append(p.mails, m)
	return mail.Outcome{Ending: ending, Reason: "refused"}
}

// somebody is a member with a number and an e-mail address, who reads a language.
func (k *desk) somebody(language string) {
	k.t.Helper()
	n, err := phone.Parse("+16044410142", "CA")
	if err != nil {
		k.t.Fatal(err)
	}
	a, err := email.Parse("ada@example.org")
	if err != nil {
		k.t.Fatal(err)
	}
	number, err := seal.SealNumber(k.key.Public(), n, k.member, 1)
	if err != nil {
		k.t.Fatal(err)
	}
	own, err := seal.GenerateKey()
	if err != nil {
		k.t.Fatal(err)
	}
	address, err := seal.People{Dispatcher: k.key.Public(), IndexMAC: mac{}}.Email(a, k.member, 1, own.Public())
	if err != nil {
		k.t.Fatal(err)
	}
	account := uuid.New()
	k.exec("INSERT INTO account (id, kind, name, country, language) VALUES ($1, 'pro', 'Clinic', 'CA', 'de')", account)
	k.exec(`INSERT INTO member (id, account_id, role, public_key, phone_sealed, phone_details, phone_version, phone_country, phone_last_two, phone_index,
		email_sealed, email_details, email_version, email_index, language) VALUES ($1, $2, 'provider', '', $3, '', 1, 'CA', '42', '', $4, '', 1, '', nullif($5, ''))`,
		k.member, account, number, address.Sealed, language)
}

type mac struct{}

func (mac) ComputeMAC(data []byte) ([]byte, error) { return data[:0], nil }
func (mac) VerifyMAC([]byte, []byte) error         { return nil }

// notice asks for one, of a registration.
func (k *desk) notice(c notice.Channel) uuid.UUID {
	k.t.Helper()
	id, err := uuid.NewV7()
	if err != nil {
		k.t.Fatal(err)
	}
	k.exec(`INSERT INTO notice (id, account_id, member_id, kind, channel, software_id, device_id, device_facets)
		SELECT $1, account_id, id, 'device_registered', $2, 'web', $3, '{"browser": "Firefox", "browser_major": 140, "os": "Linux"}' FROM member WHERE id = $4`,
		id, string(c), uuid.New(), k.member)
	return id
}

func (k *desk) tell(id uuid.UUID) {
	k.t.Helper()
	if err := k.d.Tell(k.t.Context(), id); err != nil {
		k.t.Fatal(err)
	}
}

// due makes what waits for another try due now.
func (k *desk) due() { k.exec("UPDATE notice SET due_at = now() WHERE due_at IS NOT NULL") }

func (k *desk) ending(id uuid.UUID) (ending string) {
	k.t.Helper()
	if err := k.owner.QueryRow(k.t.Context(), "SELECT coalesce(ending, '') FROM notice WHERE id = $1", id).Scan(&ending); err != nil {
		k.t.Fatal(err)
	}
	return ending
}

// A text and a mail are sent once, each in the person's language with a link whose digest
// is kept; a replay sends nothing; nothing but the messages holds address or link.
func TestNoticesAreSentOnce(t *testing.T) {
	t.Parallel()
	k := newDesk(t, nil, nil)
	k.somebody("fr")
	text, letter := k.notice(notice.Text), k.notice(notice.Email)
	var all sync.WaitGroup
	for range 5 { // the stream, its replay and the sweep, at once
		all.Go(func() { k.tell(text) })
		all.Go(func() { k.tell(letter) })
	}
	all.Wait()
	k.due()
	k.tell(text)
	k.tell(letter)
	if len(k.a.texts) != 1 || len(k.b.texts) != 0 || len(k.office.mails) != 1 {
		t.Fatalf("%d and %d texts and %d mails, want 1, 0, 1", len(k.a.texts), len(k.b.texts), len(k.office.mails))
	}
	said, m := k.a.texts[0], k.office.mails[0]
	if !strings.HasPrefix(said, "Maple : Firefox 140 sous Linux") || m.To.Reveal() != "ada@example.org" || !strings.Contains(m.Subject, "nouvel appareil") {
		t.Errorf("the text is %q and the mail %q\n%s", said, m.Subject, m.Text)
	}
	logged := k.log.String()
	for _, e := range k.bus.events {
		logged += string(e.Body)
	}
	for i, words := range []string{said, m.Text} {
		_, rest, ok := strings.Cut(words, "https://login.maple.example/not-me/")
		token, _, _ := strings.Cut(rest, "\n")
		digest, whole := notice.Digest(token)
		if !ok || !whole || k.count("SELECT count(*) FROM notice WHERE token_digest = $1", digest) != 1 {
			t.Errorf("the link of %q is not kept", words)
		}
		if strings.Contains(logged, token) || k.count("SELECT count(*) FROM notice WHERE row(notice.*)::text LIKE '%' || $1 || '%'", token) != 0 {
			t.Errorf("link %d can be read elsewhere", i)
		}
	}
	for _, secret := range []string{"ada@", "4410142"} {
		if strings.Contains(logged, secret) {
			t.Errorf("%s can be read in events or logs", secret)
		}
	}
	if got := k.events(); !slices.Equal(got, []string{"latchkey.notice.sent", "latchkey.notice.sent"}) || len(k.bus.events) != 2 {
		t.Errorf("events %v, %d published", got, len(k.bus.events))
	}
}

// What is not taken is tried again, a text by the next provider, with the same link; what
// never will be is given up.
func TestNoticesAreTriedAgain(t *testing.T) {
	t.Parallel()
	k := newDesk(t, []sms.Ending{sms.RefusedElsewhere}, []sms.Ending{sms.Ambiguous, sms.Accepted})
	k.somebody("")
	k.office.plan = []mail.Ending{mail.Later, mail.Later, mail.Accepted}
	text, letter := k.notice(notice.Text), k.notice(notice.Email)
	for range 4 {
		k.tell(text)
		k.tell(letter)
		k.tell(letter) // not due yet
		k.due()
	}
	if k.ending(text) != "sent" || k.ending(letter) != "sent" || len(k.a.texts) != 2 || len(k.b.texts) != 2 || len(k.office.mails) != 3 {
		t.Errorf("text %q after %d and %d, mail %q after %d", k.ending(text), len(k.a.texts), len(k.b.texts), k.ending(letter), len(k.office.mails))
	}
	if k.a.texts[0] != k.b.texts[1] || k.office.mails[0] != k.office.mails[2] {
		t.Error("a repetition says something else")
	}

	never, late, lost := k.notice(notice.Email), k.notice(notice.Email), k.notice(notice.Email)
	k.office.plan = []mail.Ending{mail.Never}
	k.tell(never)
	k.office.plan = []mail.Ending{mail.Later}
	k.exec("UPDATE notice SET made_at = now() - interval '24 hours' WHERE id = $1", late)
	k.tell(late)
	k.exec("UPDATE member SET email_sealed = NULL, email_details = NULL, email_index = NULL")
	k.tell(lost)
	if k.ending(never) != "never_deliverable" || k.ending(late) != "too_late" || k.ending(lost) != "no_address" {
		t.Errorf("never %q, late %q, lost %q", k.ending(never), k.ending(late), k.ending(lost))
	}
}

// A notice of a change goes to the address before it, which nobody but the dispatcher read.
func TestAFormerAddressIsTold(t *testing.T) {
	t.Parallel()
	k := newDesk(t, nil, nil)
	k.somebody("en")
	id, err := uuid.NewV7()
	if err != nil {
		t.Fatal(err)
	}
	for service, want := range map[string]bool{"verifier": false, "dispatcher": false, "console": true} {
		_, err := k.db.Pool(t, service).Exec(t.Context(), "SELECT notice_tell(ARRAY[$1::uuid], '{email_changed}', ARRAY[$2::uuid], '{email}', '{true}')", k.member, id)
		if (err == nil) != want {
			t.Errorf("%s tells a member: %v", service, err)
		}
	}
	k.exec("UPDATE member SET email_sealed = '', email_version = 2")
	k.tell(id)
	if len(k.office.mails) != 1 || k.office.mails[0].To.Reveal() != "ada@example.org" {
		t.Errorf("%d mails", len(k.office.mails))
	}
}

// While a code waits for a slot no notice is begun, and then it is.
func TestCodesGoBeforeNotices(t *testing.T) {
	t.Parallel()
	k := newDesk(t, nil, nil)
	k.somebody("en")
	o := k.options(prometheus.NewRegistry())
	o.Parallel = 1
	d, err := dispatcher.New(o)
	if err != nil {
		t.Fatal(err)
	}
	k.a.hold = make(chan struct{})
	var codes sync.WaitGroup
	for _, r := range []dispatcher.Request{k.challenge(), k.challenge()} {
		codes.Go(func() {
			if _, err := d.Deliver(t.Context(), r, dispatcher.Stream); err != nil {
				t.Error(err)
			}
		})
	}
	for limit := time.Now().Add(10 * time.Second); d.CodesWaiting() != 1; time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("no code waits")
		}
	}
	id := k.notice(notice.Email)
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := d.Tell(short, id); !errors.Is(err, context.DeadlineExceeded) || k.count("SELECT tries FROM notice WHERE id = $1", id) != 0 {
		t.Errorf("a notice was begun while a code waited: %v", err)
	}
	close(k.a.hold)
	codes.Wait()
	if err := d.Tell(t.Context(), id); err != nil || k.ending(id) != "sent" {
		t.Errorf("after the codes: %v, %q", err, k.ending(id))
	}
}

// Without a mail server an e-mail is not sent, and the sweep alone finds what is due.
func TestTheSweepFindsNotices(t *testing.T) {
	t.Parallel()
	k := newDesk(t, nil, nil)
	k.somebody("en")
	o := k.options(prometheus.NewRegistry())
	o.Mail = nil
	d, err := dispatcher.New(o)
	if err != nil {
		t.Fatal(err)
	}
	text, letter := k.notice(notice.Text), k.notice(notice.Email)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	for limit := time.Now().Add(20 * time.Second); k.ending(text) == "" || k.ending(letter) == ""; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("not within 20 s")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if k.ending(text) != "sent" || k.ending(letter) != "no_mail" {
		t.Errorf("text %q, mail %q", k.ending(text), k.ending(letter))
	}
}

// A notice's text counts where its number is: for what it costs, and for the provider's health there.
func TestANoticeCountsInItsCountry(t *testing.T) {
	t.Parallel()
	k := newDesk(t, nil, nil)
	k.somebody("")
	k.tell(k.notice(notice.Text))
	former := k.notice(notice.Text) // to the number that was the person's before
	k.exec("UPDATE notice n SET address_sealed = m.phone_sealed, address_version = m.phone_version FROM member m WHERE m.id = n.member_id AND n.id = $1", former)
	k.exec("UPDATE member SET phone_country = 'FR'")
	k.tell(former)
	if n := k.count("SELECT count(*) FROM spend WHERE country = 'CA' AND texts = 2"); n != 1 || k.count("SELECT count(*) FROM spend") != 1 {
		t.Error("two notices to a number in Canada are not counted there")
	}
}
