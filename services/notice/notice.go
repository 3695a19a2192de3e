// Package notice knows what people are told of their sign-in, whom of their addresses each
// change concerns, and the words: a text of one segment, and an e-mail.
package notice

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/code"
	"latchkey.dev/services/device"
	"latchkey.dev/services/event"
	"latchkey.dev/services/words"
)

// Kind is what a notice tells of.
type Kind string

const (
	DeviceRegistered Kind = "device_registered"
	NumberChanged    Kind = "number_changed"
	EmailChanged     Kind = "email_changed"
	PasswordReset    Kind = "password_reset"    // by others, or by a link from others
	RegistrationCode Kind = "registration_code" // asked for or approved
)

// Kinds is the closed set of kinds.
var Kinds = []Kind{DeviceRegistered, NumberChanged, EmailChanged, PasswordReset, RegistrationCode}

// Channel is how a notice goes.
type Channel string

const (
	Text  Channel = "text"
	Email Channel = "email"
)

// Channels is the closed set of channels.
var Channels = []Channel{Text, Email}

// Valid is how long the link of a notice can be used.
const Valid = 7 * 24 * time.Hour

// MaxOrigin is the longest origin of the sign-in pages that a text's link has room for, in bytes.
const MaxOrigin = 60

// Planned is a notice to be written.
type Planned struct {
	ID      uuid.UUID
	Member  uuid.UUID
	Kind    Kind
	Channel Channel
	Former  bool // to the address before the change
}

// Addresses are what a person has before and after a change.
type Addresses struct{ HadNumber, HasNumber, HadEmail, HasEmail bool }

// OfChange plans which of a person's addresses are told of a change: of a number or an e-mail
// address the old one and the new one, and the other channel's (NIST SP 800-63B-4 section 4.6).
func OfChange(kind Kind, member uuid.UUID, a Addresses) (all []Planned, err error) {
	add := func(is bool, c Channel, former bool) {
		if !is || err != nil {
			return
		}
		p := Planned{Member: member, Kind: kind, Channel: c, Former: former}
		p.ID, err = uuid.NewV7()
		all = append(all, p)
	}
	add(kind == NumberChanged && a.HadNumber, Text, true)
	add(kind == EmailChanged && a.HadEmail, Email, true)
	add(a.HasNumber, Text, false)
	add(a.HasEmail, Email, false)
	if err != nil {
		return nil, fmt.Errorf("planning notices: %w", err)
	}
	return all, nil
}

// Requested is the event of a planned notice of a change.
func (p Planned) Requested() event.NoticeRequested {
	return event.NoticeRequested{Notice: p.ID, Member: p.Member, Kind: string(p.Kind), Channel: string(p.Channel)}
}

// Rows are planned notices as the database's notice_tell takes them.
func Rows(all []Planned) (members [][16]byte, kinds []string, ids [][16]byte, channels []string, formers []bool) {
	for _, p := range all {
		members, kinds = append(members, p.Member), append(kinds, string(p.Kind))
		ids, channels, formers = append(ids, p.ID), append(channels, string(p.Channel)), append(formers, p.Former)
	}
	return members, kinds, ids, channels, formers
}

// Message is all that a notice says.
type Message struct {
	Kind    Kind
	Service string        // its name, as in texts with codes
	Facets  device.Facets // of a registered device
	At      time.Time     // when it happened
	Link    string        // to the page of "this was not me"
	Lang    words.Language
}

// The sentences of each kind.
var (
	texts    = map[Kind]string{DeviceRegistered: "notice:text.device_registered", NumberChanged: "notice:text.number_changed", EmailChanged: "notice:text.email_changed", PasswordReset: "notice:text.password_reset", RegistrationCode: "notice:text.registration_code"}
	shorts   = map[Kind]string{DeviceRegistered: "notice:short.device_registered", NumberChanged: "notice:short.number_changed", EmailChanged: "notice:short.email_changed", PasswordReset: "notice:short.password_reset", RegistrationCode: "notice:short.registration_code"}
	subjects = map[Kind]string{DeviceRegistered: "notice:subject.device_registered", NumberChanged: "notice:subject.number_changed", EmailChanged: "notice:subject.email_changed", PasswordReset: "notice:subject.password_reset", RegistrationCode: "notice:subject.registration_code"}
	mails    = map[Kind]string{DeviceRegistered: "notice:mail.device_registered", NumberChanged: "notice:mail.number_changed", EmailChanged: "notice:mail.email_changed", PasswordReset: "notice:mail.password_reset", RegistrationCode: "notice:mail.registration_code"}
)

// SMS is the text: one GSM-7 segment, else code.ErrNotOneSegment. It begins with the name of
// the service, so that nobody and no phone takes a number in it for a code.
func (m Message) SMS() (string, error) {
	for _, key := range []string{texts[m.Kind], shorts[m.Kind]} {
		text := m.say(key)
		if n, ok := code.Septets(text); ok && n <= code.SegmentSeptets {
			return text, nil
		}
	}
	return "", code.ErrNotOneSegment
}

// Subject is the subject of the e-mail.
func (m Message) Subject() string { return m.say(subjects[m.Kind]) }

// Mail is its text.
func (m Message) Mail() string {
	said := []string{m.say(mails[m.Kind]), m.say("notice:mail.fine"), m.say("notice:mail.not_me") + "\n" + m.Link, m.say("notice:mail.then")}
	return strings.Join(said, "\n\n") + "\n"
}

func (m Message) say(key string) string {
	at := m.At.UTC()
	return m.Lang.Say(key, "Service", m.Service, "Device", Looks(m.Facets, m.Lang), "Link", m.Link, "Date", m.Lang.Date(at), "Clock", at.Format("15:04"))
}

// Looks says in words what a device looks like: "Firefox 153 on Linux". An app's facets are
// its own word, which must not bring a link or a sentence into a message of ours.
func Looks(f device.Facets, lang words.Language) string {
	f.Browser, f.OS = plain(f.Browser), plain(f.OS)
	browser, system := f.Names()
	switch {
	case browser == "" && system == "":
		return lang.Say("notice:device.unknown")
	case browser == "":
		return system
	case system == "":
		return browser
	}
	return lang.Say("notice:device.on", "Browser", browser, "System", system)
}

// maxName is how much of a browser's or a system's name is told, in bytes.
const maxName = 24

// plain keeps letters, digits and spaces.
func plain(name string) string {
	kept := strings.Map(func(r rune) rune {
		if r == ' ' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return -1
	}, name)
	return strings.TrimSpace(kept[:min(len(kept), maxName)])
}
