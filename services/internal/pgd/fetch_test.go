package pgd

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The stand-ins for apt-get and its kin: the system's own lists are empty, so that the
// server is on offer only in lists of our own, and it needs libneeded.so.1.
var standIns = map[string]string{
	"apt-cache": `
case "$*" in
*Dir::State::Lists*search*) printf 'postgresql-9 - old\npostgresql-15 - database\npostgresql-15-cron - not it\n' ;;
*search*) : ;;
*depends*postgresql-15) printf 'postgresql-15\n  Depends: libllvm14\n  Depends: libneeded1\n  Depends: postgresql-common\n' ;;
*depends*libneeded1) echo libneeded1 ;;
*depends*) echo "unexpected: $*" >&2; exit 1 ;;
esac`,
	"apt-get": `
case "$*" in
*update*) : ;;
*download*) seen=0; for a; do [ $seen = 1 ] && : >"$a.deb"; [ "$a" = download ] && seen=1; done; exit 0 ;;
esac`,
	"dpkg-deb": `
case "$2" in
*/postgresql-15.deb) mkdir -p "$3/usr/lib/postgresql/15/bin" && : >"$3/usr/lib/postgresql/15/bin/initdb" ;;
*/libneeded1.deb) mkdir -p "$3/usr/lib/x86_64-linux-gnu" && : >"$3/usr/lib/x86_64-linux-gnu/libneeded.so.1" ;;
*) echo "unexpected: $*" >&2; exit 1 ;;
esac`,
	"ldd": `
case "$LD_LIBRARY_PATH" in
*x86_64-linux-gnu*) echo '	libneeded.so.1 => /there' ;;
*) echo '	libneeded.so.1 => not found' ;;
esac`,
}

// path makes a folder of stand-ins the first in PATH, or, with none, the only one.
func path(t *testing.T, programs map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for name, script := range programs {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if len(programs) > 0 {
		dir += ":" + os.Getenv("PATH")
	}
	t.Setenv("PATH", dir)
}

func TestFetchBringsTheServerAndItsLibraries(t *testing.T) {
	path(t, standIns)
	dir := t.TempDir()
	bin, err := Fetch(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(dir, "server/usr/lib/postgresql/15/bin"); bin != want {
		t.Errorf("the programs are in %s; want %s", bin, want)
	}
	if got, want := libraries(bin), filepath.Join(dir, "server/usr/lib/x86_64-linux-gnu"); got != want {
		t.Errorf("their libraries are in %q; want %s", got, want)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 1 {
		t.Errorf("%v are left, %v; want the server alone", left, err)
	}
}

func TestFetchSaysWhatIsMissing(t *testing.T) {
	broken := map[string]string{"ldd": `echo '	libelse.so.1 => not found'`}
	for name, script := range standIns {
		if name != "ldd" {
			broken[name] = script
		}
	}
	path(t, broken)
	dir := t.TempDir()
	if _, err := Fetch(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "libelse.so.1") {
		t.Errorf("error %v does not name the library", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 0 {
		t.Errorf("%v are left after a failure, %v", left, err)
	}
}

func TestFetchNeedsApt(t *testing.T) {
	path(t, nil)
	if _, err := Fetch(t.Context(), t.TempDir()); !errors.Is(err, ErrNoPostgres) {
		t.Errorf("without apt-get: %v", err)
	}
}
