package console

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	queries "latchkey.dev/queries/console"
	"latchkey.dev/services/device"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/config"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/store"
)

// ErrNotFound says that there is no such account or key.
var ErrNotFound = errors.New("there is none with this id")

// ErrKeyTaken says that a key chosen by the caller is in use already.
var ErrKeyTaken = errors.New("this key is in use already")

// Account is an account to be opened.
type Account struct {
	ID           uuid.UUID // a fresh one if zero
	Kind         device.AccountKind
	Name         string
	Country      string // ISO 3166-1 alpha-2, for numbers written nationally
	Contact      string // whom a person without a number is told to ask
	TwoFactor    bool   // Pro: "Enable Two Factor Authentication"
	Demographics bool
}

func (a Account) validate() error {
	var errs []error
	if !slices.Contains([]device.AccountKind{device.StandaloneMobile, device.Pro}, a.Kind) {
		errs = append(errs, errors.New("kind: must be standalone_mobile or pro"))
	}
	if !line(a.Name, 1, 100) {
		errs = append(errs, errors.New("name: must have 1 to 100 characters, on one line"))
	}
	if len(a.Country) != 2 || strings.ToUpper(a.Country) != a.Country {
		errs = append(errs, errors.New("country: must be two capital letters, as CA"))
	}
	if !line(a.Contact, 0, 100) {
		errs = append(errs, errors.New("contact: must have at most 100 characters, on one line"))
	}
	return errors.Join(errs...)
}

// line reports whether text is one line of valid characters, of least to most of them.
func line(text string, least, most int) bool {
	n := utf8.RuneCountInString(text)
	return utf8.ValidString(text) && n >= least && n <= most && !strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f })
}

// operator is who does what the command line does.
const operator = "operator"

// CreateAccount opens an account and returns its id.
func (c *Console) CreateAccount(ctx context.Context, a Account) (uuid.UUID, error) {
	if err := a.validate(); err != nil {
		return uuid.Nil, err
	}
	if a.ID == uuid.Nil {
		var err error
		if a.ID, err = uuid.NewV7(); err != nil {
			return uuid.Nil, fmt.Errorf("opening an account: %w", err)
		}
	}
	told := []event.Data{event.AccountCreated{Account: a.ID, Kind: string(a.Kind), By: operator}}
	for option, on := range map[string]bool{"two_factor": a.TwoFactor, "demographics": a.Demographics} {
		if on {
			told = append(told, event.OptionChanged{Account: a.ID, Option: option, Before: "false", After: "true", By: operator})
		}
	}
	err := c.change(ctx, a.ID, told, func(db *queries.Queries) error {
		return db.AccountInsert(ctx, queries.AccountInsertParams{ID: a.ID, Kind: string(a.Kind), Name: a.Name, Country: a.Country, Contact: a.Contact,
			TwoFactor: a.TwoFactor, Demographics: a.Demographics})
	})
	if err != nil {
		return uuid.Nil, fmt.Errorf("opening an account: %w", err)
	}
	return a.ID, nil
}

// AccountExists reports whether there is an account.
func (c *Console) AccountExists(ctx context.Context, id uuid.UUID) (bool, error) {
	exists, err := c.q.AccountExists(ctx, id)
	if err != nil {
		return false, fmt.Errorf("looking for an account: %w", err)
	}
	return exists, nil
}

// Accounts returns up to 1,000 accounts in the order of their names, after one of them.
func (c *Console) Accounts(ctx context.Context, afterName string, after uuid.UUID) ([]queries.AccountListRow, error) {
	rows, err := c.q.AccountList(ctx, queries.AccountListParams{AfterName: afterName, AfterID: after, Most: 1000})
	if err != nil {
		return nil, fmt.Errorf("reading the accounts: %w", err)
	}
	return rows, nil
}

// Spend is what an account's texts cost, by country, in millionths of the configured currency.
func (c *Console) Spend(ctx context.Context, account uuid.UUID) ([]queries.SpendReadRow, error) {
	exists, err := c.AccountExists(ctx, account)
	if err != nil {
		return nil, err
	}
	if !exists {
		return nil, fmt.Errorf("account %s: %w", account, ErrNotFound)
	}
	rows, err := c.q.SpendRead(ctx, account)
	if err != nil {
		return nil, fmt.Errorf("reading what an account spent: %w", err)
	}
	return rows, nil
}

// CreateKey gives a product a key to act for an account. The key is shown this once; its
// digest is kept. made is the key where the caller has chosen one, else empty.
func (c *Console) CreateKey(ctx context.Context, account uuid.UUID, name string, made secret.String) (id uuid.UUID, key secret.String, err error) {
	if !line(name, 1, 100) {
		return id, key, errors.New("name: must have 1 to 100 characters, on one line")
	}
	exists, err := c.AccountExists(ctx, account)
	if err != nil {
		return id, key, err
	}
	if !exists {
		return id, key, fmt.Errorf("account %s: %w", account, ErrNotFound)
	}
	if id, err = uuid.NewV7(); err != nil {
		return id, key, fmt.Errorf("making a key: %w", err)
	}
	if key = made; key.Empty() {
		token, _ := secret.NewToken()
		key = secret.New(token)
	}
	err = c.change(ctx, account, []event.Data{event.KeyCreated{Account: account, Key: id, By: operator}}, func(db *queries.Queries) error {
		return db.APIKeyInsert(ctx, queries.APIKeyInsertParams{ID: id, AccountID: account, Name: name, KeyDigest: secret.Digest(key.Reveal())})
	})
	if pgErr := new(pgconn.PgError); errors.As(err, &pgErr) && pgErr.ConstraintName == "api_key_digest_key" {
		return id, key, ErrKeyTaken
	}
	if err != nil {
		return id, key, fmt.Errorf("making a key: %w", err)
	}
	return id, key, nil
}

// Keys returns the keys of an account, revoked ones too, without their digests.
func (c *Console) Keys(ctx context.Context, account uuid.UUID) ([]queries.APIKeyListRow, error) {
	rows, err := c.q.APIKeyList(ctx, account)
	if err != nil {
		return nil, fmt.Errorf("reading the keys: %w", err)
	}
	return rows, nil
}

// RevokeKey ends a key: within a second no service takes it any more.
func (c *Console) RevokeKey(ctx context.Context, account, id uuid.UUID) error {
	err := c.change(ctx, account, []event.Data{event.KeyRevoked{Account: account, Key: id, By: operator}}, func(db *queries.Queries) error {
		of, err := db.APIKeyRevoke(ctx, id)
		if errors.Is(err, pgx.ErrNoRows) || err == nil && uuid.UUID(of) != account {
			return ErrNotFound
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("revoking key %s: %w", id, err)
	}
	return nil
}

// SetSoftwares makes the softwares of the configuration known. Those of an earlier
// configuration stay: registrations may still name them.
func (c *Console) SetSoftwares(ctx context.Context, all []config.Software) error {
	return store.InTx(ctx, c.o.Pool, func(tx pgx.Tx) error {
		db := c.q.WithTx(tx)
		for _, s := range all {
			addresses := s.Addresses
			if addresses == nil {
				addresses = []string{}
			}
			err := db.SoftwareUpsert(ctx, queries.SoftwareUpsertParams{ID: s.ID, Kind: s.Kind, Name: s.Name, AutofillHost: s.AutofillHost, AppHash: s.AppHash, Addresses: addresses})
			if err != nil {
				return fmt.Errorf("writing software %s: %w", s.ID, err)
			}
		}
		return nil
	})
}

// Softwares returns what people of this installation sign in to.
func (c *Console) Softwares(ctx context.Context) ([]queries.Software, error) {
	rows, err := c.q.SoftwareList(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the softwares: %w", err)
	}
	return rows, nil
}
