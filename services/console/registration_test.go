package console_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/access"
	"latchkey.dev/services/console"
	"latchkey.dev/services/device"
	"latchkey.dev/services/factor"
)

// as is somebody of the account, as an actor.
func (c *clinic) as(n console.NewMember) access.Actor {
	c.t.Helper()
	return access.Actor{Kind: access.Member, Account: c.account, ID: c.person(n).ID, Role: n.Role}
}

// is reports whether a shown code is the one that is kept of a person, and live.
func (c *clinic) is(member uuid.UUID, made console.RegistrationCode) bool {
	c.t.Helper()
	digest, err := factor.Digest(member, made.Code.Reveal())
	if err != nil {
		return false
	}
	return c.count("SELECT count(*) FROM registration_code WHERE id = $1 AND member_id = $2 AND digest = $3 AND used_at IS NULL AND expires_at BETWEEN now() + interval '14 minutes' AND now() + interval '15 minutes'", made.ID, member, digest) == 1
}

// An administrator makes a code for who lost the phone; the person is told at every address.
func TestACodeForALostPhone(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{})
	admin := c.as(console.NewMember{Role: device.Administrator, UserID: "alan"})
	ada := c.person(console.NewMember{Role: device.Provider, UserID: "ada", Phone: "604 441 0142", Email: "ada@example.org"})
	c.bus.forget()
	first, err := c.MakeRegistrationCode(t.Context(), admin, ada.ID)
	if err != nil || !c.is(ada.ID, first) {
		t.Fatalf("made a code until %v, %v", first.ExpiresAt, err)
	}
	c.tells("a code", "member.registration_code_made", "notice.requested", "notice.requested")
	if e := c.last("member.registration_code_made"); !strings.Contains(e, `"by":"member:`+admin.ID.String()) || strings.Contains(e, first.Code.Reveal()) {
		t.Errorf("it tells %s", e)
	}
	if n := c.count("SELECT count(*) FROM notice WHERE member_id = $1 AND kind = 'registration_code'", ada.ID); n != 2 {
		t.Errorf("the person is told %d times, want by text and by mail", n)
	}
	second, err := c.MakeRegistrationCode(t.Context(), admin, ada.ID)
	if err != nil || c.is(ada.ID, first) || !c.is(ada.ID, second) {
		t.Errorf("after another one was made, the first is live: %v, the second %v; %v", c.is(ada.ID, first), c.is(ada.ID, second), err)
	}
	_, err = c.MakeRegistrationCode(t.Context(), admin, admin.ID)
	refused(t, "a code for oneself", err, "forbidden")

	// "This was not me" locks, and with the unlocking what was handed out is gone.
	c.exec("UPDATE member SET locked_at = now() WHERE id = $1", ada.ID)
	refused(t, "unlocking", c.Unlock(t.Context(), admin, ada.ID), "")
	if c.is(ada.ID, second) {
		t.Error("the code outlives the unlocking")
	}
}

// For an owner two people are needed, neither of whom is the owner; only the second sees a code.
func TestACodeForAnOwnerTakesTwoPeople(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{})
	olivia := c.as(console.NewMember{Role: device.Owner, UserID: "olivia", Phone: "604 441 0142"})
	oscar := c.as(console.NewMember{Role: device.Owner, UserID: "oscar"})
	admin := c.as(console.NewMember{Role: device.Administrator, UserID: "alan"})
	provider := c.as(console.NewMember{Role: device.Provider, UserID: "ada"})
	c.bus.forget()
	_, err := c.MakeRegistrationCode(t.Context(), admin, olivia.ID)
	refused(t, "asked for by an administrator", err, "forbidden")
	asked, err := c.MakeRegistrationCode(t.Context(), oscar, olivia.ID)
	if err != nil || !asked.Code.Empty() || time.Until(asked.ExpiresAt) < 23*time.Hour {
		t.Fatalf("asked: a code is there: %v, until %v, %v", !asked.Code.Empty(), asked.ExpiresAt, err)
	}
	c.tells("asking", "member.registration_code_made", "notice.requested")
	waits := func(who access.Actor) (n int, own bool) {
		all, err := c.PendingCodes(t.Context(), who)
		if err != nil {
			t.Errorf("what waits: %v", err)
		}
		for _, w := range all {
			own = own || w.Own
		}
		return len(all), own
	}
	for who, want := range map[access.Actor][2]bool{oscar: {true, true}, admin: {true, false}, olivia: {false, false}} {
		if n, own := waits(who); n == 1 != want[0] || own != want[1] {
			t.Errorf("%s sees %d requests, own %v", who.Role, n, own)
		}
	}
	for who, problem := range map[access.Actor]string{oscar: "same-person", olivia: "forbidden", provider: "forbidden",
		{Kind: access.Product, Account: c.account, ID: uuid.New()}: "forbidden", {Kind: access.Member, Account: c.open(console.Account{}), ID: uuid.New(), Role: device.Owner}: "not-found"} {
		_, err := c.ApproveRegistrationCode(t.Context(), who, asked.ID)
		refused(t, "approving as "+who.By(), err, problem)
	}
	c.bus.forget()

	// Of many who approve at once, one is shown the code.
	var all sync.WaitGroup
	shown := make([]console.RegistrationCode, 8)
	for i := range shown {
		all.Go(func() { shown[i], _ = c.ApproveRegistrationCode(t.Context(), admin, asked.ID) })
	}
	all.Wait()
	n := 0
	for _, s := range shown {
		if !s.Code.Empty() {
			n++
			if !c.is(olivia.ID, s) {
				t.Error("the code that was shown is not the one that is kept")
			}
		}
	}
	if n != 1 {
		t.Errorf("the code was shown %d times, want once", n)
	}
	c.tells("approving", "member.registration_code_approved", "notice.requested")
	if n, _ := waits(admin); n != 0 {
		t.Errorf("%d requests wait after the approval", n)
	}
}

// A sole owner is helped by two operators, who name themselves.
func TestTwoOperatorsHelpASoleOwner(t *testing.T) {
	t.Parallel()
	c := newClinic(t, console.Account{})
	olivia := c.person(console.NewMember{Role: device.Owner, UserID: "olivia"})
	named := func(name string) access.Actor {
		return access.Actor{Kind: access.Operator, Account: c.account, Name: name}
	}
	if _, err := c.MakeRegistrationCode(t.Context(), named(""), olivia.ID); !errors.Is(err, console.ErrUnnamed) {
		t.Errorf("an operator without a name: %v", err)
	}
	asked, err := c.MakeRegistrationCode(t.Context(), named("day"), olivia.ID)
	refused(t, "asking", err, "")
	if _, err := c.ApproveRegistrationCode(t.Context(), named(""), asked.ID); !errors.Is(err, console.ErrUnnamed) {
		t.Errorf("an operator without a name approves: %v", err)
	}
	_, err = c.ApproveRegistrationCode(t.Context(), named("day"), asked.ID)
	refused(t, "the same operator", err, "same-person")
	made, err := c.ApproveRegistrationCode(t.Context(), named("night"), asked.ID)
	if err != nil || !c.is(olivia.ID, made) {
		t.Errorf("the second operator: %v", err)
	}

	late, err := c.MakeRegistrationCode(t.Context(), named("day"), olivia.ID)
	refused(t, "asking again", err, "")
	c.exec("UPDATE registration_code SET made_at = made_at - interval '1 day', expires_at = expires_at - interval '1 day' WHERE id = $1", late.ID)
	_, err = c.ApproveRegistrationCode(t.Context(), named("night"), late.ID)
	refused(t, "after a day", err, "not-found")
}
