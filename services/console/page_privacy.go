package console

import (
	"net/http"

	"latchkey.dev/services/access"
	"latchkey.dev/services/internal/details"
	"latchkey.dev/services/internal/web"
)

// privacyPages are the pages about what is held of a person.
func (c *Console) privacyPages() []pageRoute {
	return []pageRoute{
		{"POST /people/{id}/number", c.numberForm},
		{"POST /people/{id}/export", c.exportForm},
		{"GET /people/{id}/erase", c.erasePage},
		{"POST /people/{id}/erase", c.eraseForm},
		{"GET /jobs/{job}", c.jobPage},
		{"POST /jobs/{job}/export", c.downloadForm},
	}
}

type numberView struct {
	view
	Member Member
	Shown  details.Shown
}

// numberForm shows a person's number and e-mail address, this once.
func (c *Console) numberForm(v *visit) error {
	id, err := pathID(v.r, "id")
	if err != nil {
		return err
	}
	shown, err := c.ShowNumber(v.r.Context(), v.who.Actor, id)
	if err != nil {
		return v.did("", err)
	}
	m, err := c.readMember(v.r.Context(), v.who.Actor, id, access.ShowNumber)
	if err != nil {
		return err
	}
	base, err := v.view(v.lang().Say("privacy:number.title", "Who", v.called(m.shown())), at(m))
	if err != nil {
		return err
	}
	return render(v.w, http.StatusOK, "number", numberView{base, m.shown(), shown})
}

func (c *Console) exportForm(v *visit) error {
	id, err := pathID(v.r, "id")
	if err != nil {
		return err
	}
	job, err := c.RequestExport(v.r.Context(), v.who.Actor, id)
	if err != nil {
		return v.did("", err)
	}
	return v.to("/jobs/" + job.String())
}

type eraseView struct {
	view
	Member  Member
	Confirm string // what is to be typed
}

// erasePage says what an erasure takes and what it leaves.
func (c *Console) erasePage(v *visit) error { return v.erase(http.StatusOK, "") }

func (v *visit) erase(status int, alert string) error {
	id, err := pathID(v.r, "id")
	if err != nil {
		return err
	}
	m, err := v.c.readMember(v.r.Context(), v.who.Actor, id, access.Erase)
	if err != nil {
		return err
	}
	data := eraseView{Member: m.shown(), Confirm: m.confirms()}
	if data.view, err = v.view(v.lang().Say("privacy:erase.title", "Who", v.called(data.Member)), at(m)); err != nil {
		return err
	}
	data.Alert = alert
	return render(v.w, status, "erase", data)
}

func (c *Console) eraseForm(v *visit) error {
	id, err := pathID(v.r, "id")
	if err != nil {
		return err
	}
	job, err := c.RequestErase(v.r.Context(), v.who.Actor, id, v.field("confirm"))
	if said, p := v.refusal(err); said != "" {
		return v.erase(p.Status, said)
	}
	if err != nil {
		return err
	}
	return v.to("/jobs/" + job.String())
}

type jobView struct {
	view
	Job    PrivacyJob
	Export bool
}

// jobEvery is how often the page of a job that is not done is loaded again, in seconds.
const jobEvery = "5"

// jobPage shows how far an export or an erasure is, and where an export is to be had. The
// browser loads it again by itself until it is done, without a script.
func (c *Console) jobPage(v *visit) error {
	id, err := pathID(v.r, "job")
	if err != nil {
		return err
	}
	j, err := c.PrivacyJob(v.r.Context(), v.who.Actor, id)
	if err != nil {
		return err
	}
	data := jobView{Job: j, Export: j.Kind == exportJob}
	title, in := v.lang().Say("privacy:job.erasure"), ""
	if data.Export {
		m, err := c.readMember(v.r.Context(), v.who.Actor, j.Member, access.ExportPerson)
		if err != nil {
			return err
		}
		title, in = v.lang().Say("privacy:job.export", "Who", v.called(m.shown())), at(m)
	}
	if data.view, err = v.view(title, in); err != nil {
		return err
	}
	if j.DoneAt == nil {
		v.w.Header().Set("Refresh", jobEvery)
	}
	return render(v.w, http.StatusOK, "job", data)
}

// downloadForm sends an export as a file: by a form, since each opening is recorded.
func (c *Console) downloadForm(v *visit) error {
	id, err := pathID(v.r, "job")
	if err != nil {
		return err
	}
	format := details.Format(v.field("format"))
	if format != details.JSON && format != details.HTML {
		return web.BadRequest
	}
	return c.download(v.w, v.r, v.who.Actor, id, format, v.lang())
}
