package seal

import (
	"container/list"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hpke"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
)

// contextLife is how long login uses one HPKE context: one key agreement a minute and
// key instead of one a code. Each code has a key of its own, exported for its entry id
// (RFC 9180 section 5.3), so that none depends on the order of the others.
const contextLife = time.Minute

// contexts is how many opened contexts a verifier remembers: one a minute and login
// instance, for the minutes that a code lives.
const contexts = 1024

// EntryBinding is what a sealed code is bound to; it opens with nothing else.
type EntryBinding struct {
	Challenge, Member, Entry uuid.UUID
	Thumbprint               []byte
}

func (b EntryBinding) aad() []byte {
	aad := append([]byte(nil), b.Challenge[:]...)
	aad = append(aad, b.Member[:]...)
	return append(aad, b.Thumbprint...)
}

// EntrySealer is login's side: it closes typed codes to one of the verifier's keys.
// It is safe for concurrent use.
type EntrySealer struct {
	to    PublicKey
	KeyID int64
	now   func() time.Time

	mu     sync.Mutex
	enc    []byte
	sender *hpke.Sender
	made   time.Time
}

// NewEntrySealer seals to the verifier's key keyID.
func NewEntrySealer(to PublicKey, keyID int64, now func() time.Time) *EntrySealer {
	return &EntrySealer{to: to, KeyID: keyID, now: now}
}

// Seal closes a typed code. encapsulated is shared by the codes of a minute.
func (s *EntrySealer) Seal(typed string, b EntryBinding) (encapsulated, sealed []byte, err error) {
	encapsulated, key, err := s.export(b.Entry)
	if err != nil {
		return nil, nil, fmt.Errorf("sealing an entry: %w", err)
	}
	gcm, err := entryAEAD(key)
	if err != nil {
		return nil, nil, fmt.Errorf("sealing an entry: %w", err)
	}
	return encapsulated, gcm.Seal(nil, make([]byte, gcm.NonceSize()), []byte(typed), b.aad()), nil
}

func (s *EntrySealer) export(entry uuid.UUID) (enc, key []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.now(); s.sender == nil || now.Sub(s.made) > contextLife || now.Before(s.made) {
		enc, sender, err := hpke.NewSender(s.to.key, kdf(), aead(), infoEntry)
		if err != nil {
			return nil, nil, err
		}
		s.enc, s.sender, s.made = enc, sender, now
	}
	key, err = s.sender.Export(string(entry[:]), 32)
	return s.enc, key, err
}

// entryAEAD has a key for one entry alone, so its nonce may be zero.
func entryAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// EntryOpener is the verifier's side. It is safe for concurrent use.
type EntryOpener struct {
	mu     sync.Mutex
	keys   map[int64]PrivateKey
	opened map[string]*list.Element // by key id and encapsulated key
	recent *list.List
}

type openedContext struct {
	name      string
	recipient *hpke.Recipient
}

// NewEntryOpener has no keys yet.
func NewEntryOpener() *EntryOpener {
	return &EntryOpener{keys: map[int64]PrivateKey{}, opened: map[string]*list.Element{}, recent: list.New()}
}

// Add makes a key known. Adding one again changes nothing.
func (o *EntryOpener) Add(keyID int64, key PrivateKey) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.keys[keyID] = key
}

// Remove forgets a key, and all that was agreed with it.
func (o *EntryOpener) Remove(keyID int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.keys, keyID)
	clear(o.opened)
	o.recent.Init()
}

// Has reports whether a key is known.
func (o *EntryOpener) Has(keyID int64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, ok := o.keys[keyID]
	return ok
}

// Open returns the typed code; ErrCannotOpen for an unknown key or another binding.
func (o *EntryOpener) Open(keyID int64, encapsulated, sealed []byte, b EntryBinding) (string, error) {
	key, err := o.export(keyID, encapsulated, b.Entry)
	if err != nil {
		return "", ErrCannotOpen
	}
	gcm, err := entryAEAD(key)
	if err != nil {
		return "", ErrCannotOpen
	}
	plain, err := gcm.Open(nil, make([]byte, gcm.NonceSize()), sealed, b.aad())
	if err != nil {
		return "", ErrCannotOpen
	}
	return string(plain), nil
}

func (o *EntryOpener) export(keyID int64, encapsulated []byte, entry uuid.UUID) ([]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	name := fmt.Sprint(keyID, "/", string(encapsulated))
	e := o.opened[name]
	if e == nil {
		private, ok := o.keys[keyID]
		if !ok || len(encapsulated) != encapsulatedSize {
			return nil, ErrCannotOpen
		}
		r, err := hpke.NewRecipient(encapsulated, private.key, kdf(), aead(), infoEntry)
		if err != nil {
			return nil, ErrCannotOpen
		}
		e = o.recent.PushFront(&openedContext{name, r})
		o.opened[name] = e
		if o.recent.Len() > contexts {
			oldest := o.recent.Remove(o.recent.Back()).(*openedContext)
			delete(o.opened, oldest.name)
		}
	}
	o.recent.MoveToFront(e)
	return e.Value.(*openedContext).recipient.Export(string(entry[:]), 32)
}
