package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	queries "latchkey.dev/queries/console"
	"latchkey.dev/services/access"
	"latchkey.dev/services/device"
	"latchkey.dev/services/email"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/password"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/phone"
)

var (
	errUserIDTaken = web.NewProblem(http.StatusConflict, "user-id-taken", "User ID is taken", "Choose another user ID.")
	errKeyReused   = web.NewProblem(http.StatusUnprocessableEntity, "idempotency-key-reused", "Key was used before", "This Idempotency-Key came with another request within the last day. Make a new one for every new request.")
	errBadOnce     = web.NewProblem(http.StatusBadRequest, "bad-idempotency-key", "Not a key", "An Idempotency-Key has 1 to 128 printable characters.")
)

// NewMember is a person to be made. "" is none.
type NewMember struct {
	Role     device.Role `json:"role"`
	UserID   string      `json:"user_id,omitempty"` // of staff; none where a product has its own sign-in. A client's is made by the system.
	Phone    string      `json:"phone,omitempty"`
	Email    string      `json:"email,omitempty"`
	Language string      `json:"language,omitempty"`
}

// Created is a person who was made.
type Created struct {
	ID       uuid.UUID
	UserID   string
	Password secret.String // shown this once, to be changed after the first code; empty without a user ID, and where Repeated
	Repeated bool          // an earlier request with the same key made the person
}

// maxOnce bounds an idempotency key, in bytes.
const maxOnce = 128

// CreateMember makes a person. Whoever signs in here gets a generated password; a client's
// user ID is generated too. once is the request's idempotency key, "" for none: for a day a
// request with the same key makes nobody else.
func (c *Console) CreateMember(ctx context.Context, by access.Actor, n NewMember, once string) (Created, error) {
	if !by.To(access.Create, access.Target{Role: n.Role}) {
		return Created{}, errForbidden
	}
	if once != "" && (len(once) > maxOnce || !line(once, 1, maxOnce)) {
		return Created{}, errBadOnce
	}
	request, err := c.onceOf(by, n, once)
	if err != nil {
		return Created{}, err
	}
	if earlier, err := repeated(ctx, c.q, by, request); err != nil || earlier != uuid.Nil {
		return c.again(ctx, by, earlier, err)
	}
	r, err := c.rules(ctx, by.Account)
	if err != nil {
		return Created{}, err
	}
	number, mail, err := n.check(r)
	if err != nil {
		return Created{}, err
	}
	return c.insertMember(ctx, by, n, number, mail, request)
}

// check judges all fields at once.
func (n NewMember) check(r rules) (phone.Number, email.Address, error) {
	var f faults
	if !slices.Contains(device.Roles, n.Role) {
		f.add("role", "bad_role", "The role is owner, administrator, supervisor, provider or client.")
	}
	switch {
	case n.Role == device.Client && n.UserID != "":
		f.add("user_id", "user_id_is_made", "A client's user ID is made by the system.")
	case n.UserID != "":
		checkUserID(n.UserID, &f)
	}
	number, mail := r.number(n.Phone, n.Role, &f), address(n.Email, &f)
	checkLanguage(n.Language, &f)
	return number, mail, f.problem()
}

// insertMember makes a person with a key pair of the own. The wrapped private key goes to
// the key database first: a key without a member harms nobody.
func (c *Console) insertMember(ctx context.Context, by access.Actor, n NewMember, number phone.Number, mail email.Address, request once) (Created, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Created{}, fmt.Errorf("making a member: %w", err)
	}
	request.member = id
	own, wrapped, err1 := c.o.People.NewKey(id)
	s, err2 := c.o.People.Number(number, id, 1, own)
	e, err3 := c.o.People.Email(mail, id, 1, own)
	if err := errors.Join(err1, err2, err3); err != nil {
		return Created{}, fmt.Errorf("sealing a member's details: %w", err)
	}
	made := Created{ID: id, UserID: n.UserID}
	var digest string
	if n.Role == device.Client || n.UserID != "" {
		made.Password = password.Generate()
		if digest, err = c.passwords.Hash(ctx, made.Password); err != nil {
			return Created{}, err
		}
	}
	if err := queries.New(c.o.KeysPool).MemberKeyInsert(ctx, queries.MemberKeyInsertParams{MemberID: id, PublicKey: own.Bytes(), Wrapped: wrapped}); err != nil {
		return Created{}, fmt.Errorf("keeping a member's key: %w", err)
	}
	row := queries.MemberInsertParams{ID: id, AccountID: by.Account, Role: string(n.Role), PublicKey: own.Bytes(), Language: maybe(n.Language),
		PhoneSealed: s.Sealed, PhoneDetails: s.Details, PhoneCountry: s.Country, PhoneLastTwo: s.LastTwo, PhoneIndex: s.Index,
		EmailSealed: e.Sealed, EmailDetails: e.Details, EmailIndex: e.Index}
	told := []event.Data{event.MemberCreated{Member: id, Role: string(n.Role), HasNumber: !number.IsZero(), Country: number.Country(), By: by.By()}}
	var earlier uuid.UUID
	for try := 0; ; try++ {
		if n.Role == device.Client {
			made.UserID = password.Groups(2, 4)
		}
		row.UserID = maybe(made.UserID)
		err = c.changeAndTell(ctx, by.Account, func(db *queries.Queries) ([]event.Data, error) {
			if earlier, err = remember(ctx, db, by, request); err != nil || earlier != uuid.Nil {
				return nil, err
			}
			if err := db.MemberInsert(ctx, row); err != nil || digest == "" {
				return told, err
			}
			return told, db.CredentialWrite(ctx, queries.CredentialWriteParams{MemberID: id, Digest: digest})
		})
		if n.Role != device.Client || try == 3 || !userIDTaken(err) {
			break
		}
	}
	switch {
	case userIDTaken(err):
		return Created{}, takenProblem()
	case err != nil:
		return Created{}, fmt.Errorf("making a member: %w", err)
	case earlier != uuid.Nil:
		return c.again(ctx, by, earlier, nil)
	}
	return made, nil
}

func userIDTaken(err error) bool {
	e := new(pgconn.PgError)
	return errors.As(err, &e) && e.ConstraintName == "member_user_id_key"
}

func takenProblem() error {
	p := *errUserIDTaken
	p.Faults = []web.Fault{{Field: "user_id", Code: "user_id_taken", Detail: "Somebody has this user ID already. Choose another one."}}
	return &p
}

// once is a request that is to be done once, by keyed digests; the zero one is any request.
type once struct {
	key, body []byte
	member    uuid.UUID
}

func (c *Console) onceOf(by access.Actor, n NewMember, key string) (once, error) {
	if key == "" {
		return once{}, nil
	}
	body, err := json.Marshal(n)
	if err != nil {
		return once{}, fmt.Errorf("reading a request: %w", err)
	}
	return once{key: c.o.People.Index("idempotency-key", by.By()+"\x00"+key), body: c.o.People.Index("idempotency-body", string(body))}, nil
}

// remember keeps a request with the person it makes, or returns whom it made before.
func remember(ctx context.Context, db *queries.Queries, by access.Actor, o once) (uuid.UUID, error) {
	if o.key == nil {
		return uuid.Nil, nil
	}
	rows, err := db.IdempotencyInsert(ctx, queries.IdempotencyInsertParams{AccountID: by.Account, KeyDigest: o.key, BodyDigest: o.body, MemberID: o.member})
	if err != nil || rows == 1 {
		return uuid.Nil, err
	}
	return repeated(ctx, db, by, o)
}

// repeated returns whom a request made before, Nil for nobody.
func repeated(ctx context.Context, db *queries.Queries, by access.Actor, o once) (uuid.UUID, error) {
	if o.key == nil {
		return uuid.Nil, nil
	}
	row, err := db.IdempotencyRead(ctx, queries.IdempotencyReadParams{AccountID: by.Account, KeyDigest: o.key})
	if errors.Is(err, pgx.ErrNoRows) {
		return uuid.Nil, nil
	}
	if err != nil {
		return uuid.Nil, fmt.Errorf("reading an idempotency key: %w", err)
	}
	if !bytes.Equal(row.BodyDigest, o.body) {
		return uuid.Nil, errKeyReused
	}
	return row.MemberID, nil
}

// again returns whom an earlier request made. The password is not known any more.
func (c *Console) again(ctx context.Context, by access.Actor, id uuid.UUID, err error) (Created, error) {
	if err != nil {
		return Created{}, err
	}
	m, err := c.readMember(ctx, by, id, access.See)
	return Created{ID: id, UserID: text(m.UserID), Repeated: err == nil}, err
}

// maybe is the reverse of text.
func maybe(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
