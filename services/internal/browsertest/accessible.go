package browsertest

import (
	"github.com/chromedp/chromedp"

	"latchkey.dev/services/internal/browsertest/axe"
)

// barriers lists what axe-core finds on the page that keeps people out, a line each.
const barriers = `(async () => {
	const found = await axe.run(document, { resultTypes: ["violations"] });
	return found.violations.filter((v) => v.impact === "serious" || v.impact === "critical").map((v) =>
		v.impact + " " + v.id + ": " + v.help + ": " + v.nodes.map((n) => n.html.slice(0, 160) + " (" + n.failureSummary.replace(/\s+/g, " ") + ")").join("; ")).join("\n");
})()`

// Accessible fails the test where axe-core finds a serious or critical barrier on the page
// as it is. Its script comes by the DevTools protocol: the page's policy stays as it is.
func (p *Tab) Accessible(name string) {
	p.t.Helper()
	if found := p.barriers(); found != "" {
		p.t.Errorf("%s keeps people out:\n%s", name, found)
	}
}

func (p *Tab) barriers() string {
	p.t.Helper()
	script, err := axe.Script()
	if err != nil {
		p.t.Fatal(err)
	}
	if p.scriptless { // axe-core needs them; the page's own were left out when it was loaded
		p.scripts(true)
		defer p.scripts(false)
	}
	if p.Script("typeof axe") == "undefined" {
		p.do(chromedp.Evaluate[chromedp.Void](script))
	}
	return p.Script(barriers)
}
