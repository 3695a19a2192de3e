package newcomer

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// runs runs a command of the command line, and returns what it printed and how it ended.
func (p *place) runs(args ...string) (out string, code int) {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), filepath.Join(p.bin, "latchkey"), args...)
	cmd.Env = append(os.Environ(), "LATCHKEY_DATA="+p.data)
	b, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		p.t.Fatal(err)
	}
	return string(b), cmd.ProcessState.ExitCode()
}

// The doctor finds nothing wrong with what a newcomer has started, says plainly that it does
// not run before and after, and the providers are steered from the command line.
func TestTheDoctorOfANewcomer(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	if out, code := p.runs("doctor"); code != 1 || !strings.Contains(out, "no installation is here") || !strings.Contains(out, "latchkey up") {
		t.Errorf("before the first start: %d\n%s", code, out)
	}
	stop := p.up()
	out, code := p.runs("doctor", "--json", "--console-origin", "http://"+p.console)
	for line := range strings.Lines(out) {
		var f struct{ State, Check, Found string }
		if err := json.Unmarshal([]byte(line), &f); err != nil && strings.HasPrefix(line, "{") {
			t.Errorf("%q: %v", line, err)
		}
		if f.State != "ok" && f.Check != "" && f.Check != "disk" { // which is the machine's
			t.Errorf("found %s", line)
		}
	}
	if n := strings.Count(out, "\n"); n < 15 || code != 0 && !strings.Contains(out, `"fault","check":"disk"`) {
		t.Errorf("while it runs: %d\n%s", code, out)
	}
	for _, c := range []struct{ args, says string }{
		{"provider drain vonage", "everywhere else: twilio\n"},
		{"provider drain twilio", "No provider would be left to carry texts to any country"},
		{"provider resume vonage", "everywhere else: vonage, then twilio\n"},
		{"provider pin twilio --country ca", "CA: twilio, then vonage\n"},
		{"provider order twilio vonage", "everywhere else: twilio, then vonage\n"},
		{"provider test vonage --to +16045550131", "vonage: accepted (ok)"},
		{"provider check all", "vonage"},
		{"provider list", "pinned in CA, by operator at"},
		{"operator grant 00000000-0000-7000-8000-0000000000b1", ""},
		{"operator list", "olivia"},
		{"audit replay --format table", "latchkey.provider.tested"},
	} {
		if out, _ := p.runs(strings.Fields(c.args)...); !strings.Contains(out, c.says) {
			t.Errorf("%s says\n%s\nand not %q", c.args, out, c.says)
		}
	}
	if log := stop(); strings.Contains(log, "5550131") {
		t.Errorf("the number of a test is in the log:\n%s", log)
	}
	if out, code := p.runs("doctor"); code != 1 || !strings.Contains(out, "Latchkey is not running") || !strings.Contains(out, "Next: start it: latchkey up") || strings.Count(out, "fault ") != 1 {
		t.Errorf("after it was stopped: %d\n%s", code, out)
	}
}
