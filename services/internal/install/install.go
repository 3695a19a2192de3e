// Package install knows the key folder of an installation: which secret lies in which
// file, who may hold it (THREATS.md, "Keys"), and how each is made and read. A service on
// a machine of its own gets only the files that are its own.
package install

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/mac"
	"github.com/tink-crypto/tink-go/v2/tink"

	"latchkey.dev/services/internal/seal"
	"latchkey.dev/services/internal/secret"
)

// Folder is a key folder. Only its owner may read it.
type Folder string

// The files of a key folder, and their holders.
const (
	nonceMAC  = "nonce-mac.json" // login: nonces and tickets
	formMAC   = "form-mac.json"  // console: tokens of forms
	indexMAC  = "index-mac.json" // login, console: blind index of numbers, names of limits
	number    = "number"         // dispatcher the private half; login, console the public one
	wrap      = "wrap"           // auditor the private half; login, console the public one
	receipts  = "receipts.key"   // dispatcher: tokens in the addresses that providers report to
	notices   = "notices.key"    // dispatcher: links in notices
	private   = ".private"
	public    = ".public"
	details   = "details.key" // console, auditor: by which the auditor knows the console
	busFolder = "bus"         // <service>.seed for the service, <service>.public for the server
	sqlFolder = "postgres"    // <service>.url and <service>-keys.url, each for its service
	busURL    = "bus/url"     // for all
	demoKey   = "demo.apikey" // of the demonstration account, for the person who runs it
)

// Make makes what is missing, for every service named, and leaves what is there. Two
// processes that make at once agree on what the first wrote.
func Make(dir string, services []string, newSeed func() (secret.String, error), publicOf func(secret.String) (string, error)) (Folder, error) {
	f := Folder(dir)
	for _, sub := range []string{"", busFolder, sqlFolder} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return f, fmt.Errorf("making the key folder: %w", err)
		}
	}
	for _, name := range []string{nonceMAC, formMAC, indexMAC} {
		if err := f.once(name, newMAC); err != nil {
			return f, err
		}
	}
	for _, name := range []string{number, wrap} {
		if err := f.pair(name); err != nil {
			return f, err
		}
	}
	for _, name := range []string{receipts, notices, details} {
		if err := f.once(name, func() ([]byte, error) { return []byte(random()), nil }); err != nil {
			return f, err
		}
	}
	for _, s := range services {
		name := filepath.Join(busFolder, s)
		err := f.once(name+".seed", func() ([]byte, error) {
			seed, err := newSeed()
			return []byte(seed.Reveal()), err
		})
		if err != nil {
			return f, err
		}
		seed, err := f.BusSeed(s)
		if err != nil {
			return f, err
		}
		err = f.once(name+public, func() ([]byte, error) {
			p, err := publicOf(seed)
			return []byte(p), err
		})
		if err != nil {
			return f, err
		}
	}
	return f, nil
}

func newMAC() ([]byte, error) {
	h, err := keyset.NewHandle(mac.HMACSHA256Tag128KeyTemplate())
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	if err := insecurecleartextkeyset.Write(h, keyset.NewJSONWriter(&b)); err != nil {
		return nil, err
	}
	return []byte(b.String()), nil
}

// pair makes a sealing key. The public file follows from the private one.
func (f Folder) pair(name string) error {
	err := f.once(name+private, func() ([]byte, error) {
		k, err := seal.GenerateKey()
		if err != nil {
			return nil, err
		}
		b, err := k.Bytes()
		return []byte(base64.StdEncoding.EncodeToString(b)), err
	})
	if err != nil {
		return err
	}
	k, err := f.private(name)
	if err != nil {
		return err
	}
	return f.once(name+public, func() ([]byte, error) {
		return []byte(base64.StdEncoding.EncodeToString(k.Public().Bytes())), nil
	})
}

// once writes a file that is not there yet, whole or not at all.
func (f Folder) once(name string, content func() ([]byte, error)) error {
	path := f.path(name)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	b, err := content()
	if err != nil {
		return fmt.Errorf("making %s: %w", name, err)
	}
	err = f.place(name, b, os.Link)
	if errors.Is(err, fs.ErrExist) {
		return nil // another process made it just now
	}
	return err
}

// place writes content beside and moves it to name.
func (f Folder) place(name string, content []byte, move func(from, to string) error) error {
	path := f.path(name)
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-") // readable by its owner alone
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(content)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	if err := move(tmp.Name(), path); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

func (f Folder) path(name string) string { return filepath.Join(string(f), name) }

func (f Folder) read(name string) (secret.String, error) { return secret.FromFile(f.path(name)) }

// NonceMAC is login's key for nonces and tickets.
func (f Folder) NonceMAC() (tink.MAC, error) { return f.mac(nonceMAC) }

// FormMAC is the console's key for the tokens of its forms.
func (f Folder) FormMAC() (tink.MAC, error) { return f.mac(formMAC) }

// People is what login and console close people's details with: public halves, and the key
// of the blind index.
func (f Folder) People() (p seal.People, err error) {
	var errs [3]error
	p.IndexMAC, errs[0] = f.mac(indexMAC)
	p.Dispatcher, errs[1] = f.public(number)
	p.Auditor, errs[2] = f.public(wrap)
	return p, errors.Join(errs[:]...)
}

func (f Folder) mac(name string) (tink.MAC, error) {
	s, err := f.read(name)
	if err != nil {
		return nil, err
	}
	h, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(strings.NewReader(s.Reveal())))
	if err == nil {
		var m tink.MAC
		if m, err = mac.New(h); err == nil {
			return m, nil
		}
	}
	return nil, fmt.Errorf("%s is no Tink keyset of MAC keys in JSON", f.path(name)) // its own error may quote it
}

// NumberKey opens numbers: the dispatcher's.
func (f Folder) NumberKey() (seal.PrivateKey, error) { return f.private(number) }

// WrapKey unwraps members' keys: the auditor's.
func (f Folder) WrapKey() (seal.PrivateKey, error) { return f.private(wrap) }

func (f Folder) private(name string) (seal.PrivateKey, error) {
	b, err := f.base64(name + private)
	if err != nil {
		return seal.PrivateKey{}, err
	}
	return seal.ParsePrivateKey(b)
}

func (f Folder) public(name string) (seal.PublicKey, error) {
	b, err := f.base64(name + public)
	if err != nil {
		return seal.PublicKey{}, err
	}
	return seal.ParsePublicKey(b)
}

func (f Folder) base64(name string) ([]byte, error) {
	s, err := f.read(name)
	if err != nil {
		return nil, err
	}
	b, err := base64.StdEncoding.DecodeString(s.Reveal())
	if err != nil {
		return nil, fmt.Errorf("%s is not base64", f.path(name))
	}
	return b, nil
}

// ReceiptKey makes the tokens of receipt addresses.
func (f Folder) ReceiptKey() (secret.String, error) { return f.read(receipts) }

// NoticeKey makes what the links in notices carry.
func (f Folder) NoticeKey() (secret.String, error) { return f.read(notices) }

// DetailsKey is by which the auditor knows that the console asks.
func (f Folder) DetailsKey() (secret.String, error) { return f.read(details) }

// BusSeed is a service's key to the bus.
func (f Folder) BusSeed(service string) (secret.String, error) {
	return f.read(filepath.Join(busFolder, service+".seed"))
}

// BusPublicKey is how the bus server knows a service.
func (f Folder) BusPublicKey(service string) (string, error) {
	s, err := f.read(filepath.Join(busFolder, service+public))
	return s.Reveal(), err
}

// MainURL and KeysURL are how a service reaches the two databases.
func (f Folder) MainURL(service string) (secret.String, error) {
	return f.read(filepath.Join(sqlFolder, service+".url"))
}

// KeysURL is how a service reaches the key database.
func (f Folder) KeysURL(service string) (secret.String, error) {
	return f.read(filepath.Join(sqlFolder, service+"-keys.url"))
}

// SetDatabase writes how a service reaches the databases.
func (f Folder) SetDatabase(service string, main, keys secret.String) error {
	return errors.Join(f.place(filepath.Join(sqlFolder, service+".url"), []byte(main.Reveal()), os.Rename),
		f.place(filepath.Join(sqlFolder, service+"-keys.url"), []byte(keys.Reveal()), os.Rename))
}

// RolePassword is the password of a service's role in a Postgres that is not ours, made
// when first asked for.
func (f Folder) RolePassword(service string) (secret.String, error) {
	name := filepath.Join(sqlFolder, service+".password")
	if err := f.once(name, func() ([]byte, error) { return []byte(random()), nil }); err != nil {
		return secret.String{}, err
	}
	return f.read(name)
}

// BusURL is where the bus is.
func (f Folder) BusURL() (string, error) {
	s, err := f.read(busURL)
	return s.Reveal(), err
}

// SetBusURL writes where the bus is.
func (f Folder) SetBusURL(url string) error { return f.place(busURL, []byte(url), os.Rename) }

// DemoKey is the API key of the demonstration account, made when first asked for.
func (f Folder) DemoKey() (secret.String, error) {
	if err := f.once(demoKey, func() ([]byte, error) { return []byte(random()), nil }); err != nil {
		return secret.String{}, err
	}
	return f.read(demoKey)
}

// DemoKeyFile is where it lies.
func (f Folder) DemoKeyFile() string { return f.path(demoKey) }

// random is 256 bits of crypto/rand, as text.
func random() string {
	b := make([]byte, 32)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}
