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
	"github.com/jackc/pgx/v5/pgconn"

	queries "latchkey.dev/queries/console"
	"latchkey.dev/services/access"
	"latchkey.dev/services/device"
	"latchkey.dev/services/email"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/password"
	"latchkey.dev/services/internal/seal"
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
	who := &newcomer{NewMember: n, number: number, mail: mail, once: request}
	if n.Role == device.Client || n.UserID != "" {
		who.password = password.Generate()
		if who.digest, err = c.passwords.Hash(ctx, who.password); err != nil {
			return Created{}, err
		}
	}
	return c.insertMember(ctx, by, who)
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

// newcomer is a person who was judged, with what shall be kept of them.
type newcomer struct {
	NewMember
	number   phone.Number
	mail     email.Address
	password secret.String // none where empty, and then digest is too
	digest   string
	once     once

	id      uuid.UUID
	own     seal.PublicKey
	wrapped []byte // the private half
	phone   seal.SealedNumber
	email   seal.SealedEmail
}

// seal gives a newcomer an id and a key pair of the own, and closes number and address.
func (c *Console) seal(n *newcomer) (err error) {
	if n.id, err = uuid.NewV7(); err != nil {
		return fmt.Errorf("making a member: %w", err)
	}
	var err1, err2, err3 error
	n.own, n.wrapped, err1 = c.o.People.NewKey(n.id)
	n.phone, err2 = c.o.People.Number(n.number, n.id, 1, n.own)
	n.email, err3 = c.o.People.Email(n.mail, n.id, 1, n.own)
	if err := errors.Join(err1, err2, err3); err != nil {
		return fmt.Errorf("sealing a member's details: %w", err)
	}
	return nil
}

// keepKeys keeps the wrapped private keys of newcomers, before they are made: a key without a
// member harms nobody.
func (c *Console) keepKeys(ctx context.Context, all []*newcomer) error {
	var p queries.MemberKeyInsertParams
	for _, n := range all {
		p.MemberIds, p.PublicKeys, p.Wrapped = append(p.MemberIds, n.id), append(p.PublicKeys, n.own.Bytes()), append(p.Wrapped, n.wrapped)
	}
	if err := queries.New(c.o.KeysPool).MemberKeyInsert(ctx, p); err != nil {
		return fmt.Errorf("keeping members' keys: %w", err)
	}
	return nil
}

// insertMember makes a person. A client's user ID is made up until it is nobody's.
func (c *Console) insertMember(ctx context.Context, by access.Actor, n *newcomer) (Created, error) {
	if err := c.seal(n); err != nil {
		return Created{}, err
	}
	if err := c.keepKeys(ctx, []*newcomer{n}); err != nil {
		return Created{}, err
	}
	var fresh bool
	var err error
	for try := 0; ; try++ {
		if n.Role == device.Client {
			n.UserID = makeUserID()
		}
		err = c.changeAndTell(ctx, by.Account, func(db *queries.Queries) ([]event.Data, error) {
			made, told, err := insertMembers(ctx, db, by, []*newcomer{n}, onceDays)
			fresh = len(made) > 0
			return told, err
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
	case !fresh:
		earlier, err := repeated(ctx, c.q, by, n.once)
		return c.again(ctx, by, earlier, err)
	}
	return Created{ID: n.id, UserID: n.UserID, Password: n.password}, nil
}

// makeUserID makes a client's user ID.
func makeUserID() string { return password.Groups(2, 4) }

// insertMembers makes people whose keys are kept, but those whom an earlier request made. It
// returns those whom it made, with what is told of them.
func insertMembers(ctx context.Context, db *queries.Queries, by access.Actor, all []*newcomer, days int32) ([]*newcomer, []event.Data, error) {
	all, err := remember(ctx, db, by, all, days)
	if err != nil || len(all) == 0 {
		return nil, nil, err
	}
	p := queries.MemberInsertParams{AccountID: by.Account}
	told := make([]event.Data, len(all))
	for i, n := range all {
		p.Ids, p.Roles, p.UserIds, p.PublicKeys = append(p.Ids, n.id), append(p.Roles, string(n.Role)), append(p.UserIds, n.UserID), append(p.PublicKeys, n.own.Bytes())
		p.PhonesSealed, p.PhonesDetails, p.PhoneIndexes = append(p.PhonesSealed, n.phone.Sealed), append(p.PhonesDetails, n.phone.Details), append(p.PhoneIndexes, n.phone.Index)
		p.PhoneCountries, p.PhonesLastTwo = append(p.PhoneCountries, text(n.phone.Country)), append(p.PhonesLastTwo, text(n.phone.LastTwo))
		p.EmailsSealed, p.EmailsDetails, p.EmailIndexes = append(p.EmailsSealed, n.email.Sealed), append(p.EmailsDetails, n.email.Details), append(p.EmailIndexes, n.email.Index)
		p.Languages = append(p.Languages, n.Language)
		told[i] = event.MemberCreated{Member: n.id, Role: string(n.Role), HasNumber: !n.number.IsZero(), Country: n.number.Country(), By: by.By()}
	}
	if err := db.MemberInsert(ctx, p); err != nil {
		return nil, nil, err
	}
	for _, n := range all {
		if n.digest == "" {
			continue
		}
		if err := db.CredentialWrite(ctx, queries.CredentialWriteParams{MemberID: n.id, Digest: n.digest}); err != nil {
			return nil, nil, err
		}
	}
	return all, told, nil
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
type once struct{ key, body []byte }

// onceDays is for how many days a request is remembered.
const onceDays = 1

func (c *Console) onceOf(by access.Actor, n NewMember, key string) (once, error) {
	if key == "" {
		return once{}, nil
	}
	body, err := json.Marshal(n)
	if err != nil {
		return once{}, fmt.Errorf("reading a request: %w", err)
	}
	return once{c.o.People.Index("idempotency-key", by.By()+"\x00"+key), c.o.People.Index("idempotency-body", string(body))}, nil
}

// remember keeps requests with the people they make, and leaves out whom they made before.
func remember(ctx context.Context, db *queries.Queries, by access.Actor, all []*newcomer, days int32) ([]*newcomer, error) {
	p := queries.IdempotencyInsertParams{AccountID: by.Account, Days: days}
	for _, n := range all {
		if n.once.key != nil {
			p.KeyDigests, p.BodyDigests, p.MemberIds = append(p.KeyDigests, n.once.key), append(p.BodyDigests, n.once.body), append(p.MemberIds, n.id)
		}
	}
	if len(p.KeyDigests) == 0 {
		return all, nil
	}
	fresh, err := db.IdempotencyInsert(ctx, p)
	if err != nil || len(fresh) == len(p.KeyDigests) {
		return all, err
	}
	is := make(map[string]bool, len(fresh))
	for _, key := range fresh {
		is[string(key)] = true
	}
	return slices.DeleteFunc(slices.Clone(all), func(n *newcomer) bool { return n.once.key != nil && !is[string(n.once.key)] }), nil
}

// repeated returns whom a request made before, Nil for nobody.
func repeated(ctx context.Context, db *queries.Queries, by access.Actor, o once) (uuid.UUID, error) {
	if o.key == nil {
		return uuid.Nil, nil
	}
	rows, err := db.IdempotencyRead(ctx, queries.IdempotencyReadParams{AccountID: by.Account, KeyDigests: [][]byte{o.key}})
	if err != nil {
		return uuid.Nil, fmt.Errorf("reading an idempotency key: %w", err)
	}
	if len(rows) == 0 {
		return uuid.Nil, nil
	}
	if !bytes.Equal(rows[0].BodyDigest, o.body) {
		return uuid.Nil, errKeyReused
	}
	return rows[0].MemberID, nil
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
