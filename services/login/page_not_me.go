package login

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/google/uuid"

	queries "latchkey.dev/queries/login"
	"latchkey.dev/services/device"
	"latchkey.dev/services/event"
	"latchkey.dev/services/internal/page"
	"latchkey.dev/services/notice"
	"latchkey.dev/services/words"
)

// notMeView is the page that a notice's link leads to.
type notMeView struct {
	view
	About   string
	Does    string
	Button  string // "" when it was pressed
	Address string
}

// errLinkGone answers for a link that was used, is too old, or never was one: which of them
// is not told.
var errLinkGone = page.Problem(http.StatusNotFound, "link-gone", "This link does not work", "It was used already, is older than 7 days, or was not copied whole.")

// noticeOf reads what a link is about. Its page speaks the language of the person.
func (l *Login) noticeOf(v *visit) (n queries.NoticeByTokenRow, err error) {
	digest, ok := notice.Digest(v.r.PathValue("token"))
	if !ok {
		return n, errLinkGone
	}
	n, err = l.q.NoticeByToken(v.r.Context(), digest)
	if noRows(err) {
		return n, errLinkGone
	}
	if err != nil {
		return n, fmt.Errorf("reading a notice: %w", err)
	}
	v.lang = words.Match(n.Language, askedFor(v.r), n.AccountLanguage)
	return n, nil
}

// aside begins a page that has no other form than its own.
func (v *visit) aside(title string) (view, error) {
	base, err := v.view(title)
	base.Signed, base.Languages = false, nil
	return base, err
}

// notMePage says what its button does. Opening it changes nothing: mail servers open links
// to look at what is behind them.
func (l *Login) notMePage(v *visit) error {
	n, err := l.noticeOf(v)
	if err != nil {
		return err
	}
	base, err := v.aside("notice:page.title")
	if err != nil {
		return err
	}
	var facets device.Facets
	if err := json.Unmarshal(n.DeviceFacets, &facets); err != nil {
		return fmt.Errorf("reading a notice: %w", err)
	}
	at := n.MadeAt.UTC()
	data := notMeView{view: base, Does: v.lang.Say("notice:page.does"), Button: v.lang.Say("notice:page.button"), Address: v.r.URL.Path}
	switch values := []any{"Date", v.lang.Date(at), "Clock", at.Format("15:04"), "Device", notice.Looks(facets, v.lang)}; notice.Kind(n.Kind) {
	case notice.NumberChanged:
		data.About = v.lang.Say("notice:page.number_changed", values...)
	case notice.EmailChanged:
		data.About = v.lang.Say("notice:page.email_changed", values...)
	case notice.PasswordReset:
		data.About = v.lang.Say("notice:page.password_reset", values...)
	case notice.RegistrationCode:
		data.About = v.lang.Say("notice:page.registration_code", values...)
	default:
		data.About = v.lang.Say("notice:page.device_registered", values...)
	}
	return v.render(http.StatusOK, "not-me", data)
}

// notMeForm is its button.
func (l *Login) notMeForm(v *visit) error {
	n, err := l.noticeOf(v)
	if err != nil {
		return err
	}
	done, err := l.repudiate(v.r.Context(), n)
	if err != nil {
		return err
	}
	if !done {
		return errLinkGone // used by another request just now
	}
	base, err := v.aside("notice:page.done_title")
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "not-me", notMeView{view: base, About: v.lang.Say("notice:page.done"), Does: v.lang.Say("notice:page.then")})
}

// repudiate uses a link up: the registration that its notice told of ends, or all of them
// where it told of a change, every session ends, and the person is locked until an
// administrator unlocks. It is not done when the link was used meanwhile.
func (l *Login) repudiate(ctx context.Context, n queries.NoticeByTokenRow) (done bool, err error) {
	err = l.changeAndTell(ctx, n.AccountID, func(db *queries.Queries) ([]event.Data, error) {
		if err := db.MemberLock(ctx, n.MemberID); err != nil { // no code of the person registers anything meanwhile
			return nil, err
		}
		rows, err := db.NoticeRepudiate(ctx, queries.NoticeRepudiateParams{ID: n.ID, MadeAt: n.MadeAt})
		if done = rows > 0; err != nil || !done {
			return nil, err
		}
		ended, err := db.DeviceRepudiate(ctx, queries.DeviceRepudiateParams{MemberID: n.MemberID, DeviceID: n.DeviceID})
		if err != nil {
			return nil, err
		}
		told := append(revoked(n.MemberID, ended, "repudiated", uuid.UUID(n.MemberID).String()), event.MemberLocked{Member: n.MemberID, Notice: n.ID})
		return told, db.MemberRepudiate(ctx, n.MemberID)
	})
	if err != nil {
		return false, fmt.Errorf("using the link of a notice: %w", err)
	}
	return done, nil
}

// revoked tells of registrations that ended.
func revoked(member uuid.UUID, ended [][16]byte, reason, by string) (told []event.Data) {
	for _, id := range ended {
		told = append(told, event.DeviceRevoked{Member: member, Device: id, Reason: reason, By: by})
	}
	return told
}
