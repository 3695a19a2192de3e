package seal

import (
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/tink-crypto/tink-go/v2/tink"

	"latchkey.dev/services/email"
	"latchkey.dev/services/phone"
)

// People closes what is kept of people. Who holds one can write and cannot read.
type People struct {
	Dispatcher PublicKey // numbers and e-mail addresses are sealed to it
	Auditor    PublicKey // members' private keys are wrapped to it
	IndexMAC   tink.MAC  // blind index of numbers and addresses, and names of limits
}

// Missing reports whether a key is missing.
func (p People) Missing() bool {
	return p.Dispatcher.IsZero() || p.Auditor.IsZero() || p.IndexMAC == nil
}

// Index is the keyed digest of a value for one use: what a table holds of a number or a name.
func (p People) Index(use, value string) []byte {
	tag, err := p.IndexMAC.ComputeMAC([]byte("latchkey/" + use + "/v1\x00" + value))
	if err != nil {
		panic(fmt.Sprintf("seal: a MAC of a short text failed: %v", err)) // it cannot: HMAC has no failing input
	}
	return tag
}

// UserLimit names the counter of a user ID's wrong passwords. It gives one name to user IDs
// that the database takes for one (it compares them in lower case), and may give one to
// others too: they then share their tries.
func (p People) UserLimit(userID string) []byte {
	return p.Index("limit", strings.ToLower(strings.ToUpper(userID)))
}

// NewKey makes a member's own key pair: the public half for the member's row, the private
// one wrapped to the auditor for the key database.
func (p People) NewKey(member uuid.UUID) (own PublicKey, wrapped []byte, err error) {
	key, err := GenerateKey()
	if err != nil {
		return own, nil, err
	}
	wrapped, err = WrapMemberKey(p.Auditor, key, member)
	return key.Public(), wrapped, err
}

// SealedNumber is a number as a member's row keeps it; the zero one is no number.
type SealedNumber struct {
	Sealed, Details, Index []byte
	Country, LastTwo       *string
}

// Number closes a member's number, of one version, to the dispatcher and to the member's own key.
func (p People) Number(n phone.Number, member uuid.UUID, version int, own PublicKey) (s SealedNumber, err error) {
	if n.IsZero() {
		return s, nil
	}
	if s.Sealed, err = SealNumber(p.Dispatcher, n, member, version); err != nil {
		return s, err
	}
	if s.Details, err = Details(own, []byte(n.E164()), member); err != nil {
		return s, err
	}
	country, lastTwo := n.Country(), n.LastTwo()
	s.Index, s.Country, s.LastTwo = p.NumberIndex(n), &country, &lastTwo
	return s, nil
}

// NumberIndex is the blind index of a number, nil for none.
func (p People) NumberIndex(n phone.Number) []byte {
	if n.IsZero() {
		return nil
	}
	return p.Index("number", n.E164())
}

// SealedEmail is an e-mail address as a member's row keeps it; the zero one is no address.
type SealedEmail struct{ Sealed, Details, Index []byte }

// Email closes a member's e-mail address, of one version, to the dispatcher and to the member's own key.
func (p People) Email(a email.Address, member uuid.UUID, version int, own PublicKey) (s SealedEmail, err error) {
	if a.IsZero() {
		return s, nil
	}
	if s.Sealed, err = sealTo(p.Dispatcher, infoEmail, versionAAD(member, version), []byte(a.Reveal())); err != nil {
		return s, err
	}
	if s.Details, err = Details(own, []byte(a.Reveal()), member); err != nil {
		return s, err
	}
	s.Index = p.EmailIndex(a)
	return s, nil
}

// EmailIndex is the blind index of an address, nil for none.
func (p People) EmailIndex(a email.Address) []byte {
	if a.IsZero() {
		return nil
	}
	return p.Index("email", a.Reveal())
}

// OpenEmail opens an address that Email sealed to the dispatcher; ErrCannotOpen for another
// key, member or version.
func OpenEmail(key PrivateKey, sealed []byte, member uuid.UUID, version int) (email.Address, error) {
	plain, err := open(key, infoEmail, versionAAD(member, version), sealed)
	if err != nil {
		return email.Address{}, err
	}
	return email.Parse(string(plain))
}
