package pgd

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ErrNoPostgres says how to get a PostgreSQL.
var ErrNoPostgres = errors.New("no PostgreSQL found: install it (on Debian, `apt-get install postgresql`), or set LATCHKEY_POSTGRES_BIN to the folder of its programs, or LATCHKEY_DATABASE_URL to a running one")

// places are where systems put the programs, each as a pattern of folders.
var places = []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin"}

// find returns the folder of the programs: those that were named, or else the ones in
// PATH, then the system's and the fetched ones, the newest first. Where there are data,
// only programs of their version can run them.
func find(o Options) (string, error) {
	bin := o.Bin
	if bin == "" {
		bin = os.Getenv("LATCHKEY_POSTGRES_BIN")
	}
	var folders []string
	if bin != "" {
		folders = []string{bin}
	} else {
		if p, err := exec.LookPath("postgres"); err == nil {
			if p, err = filepath.EvalSymlinks(p); err == nil {
				folders = append(folders, filepath.Dir(p))
			}
		}
		var installed []string
		for _, place := range append(slices.Clone(places), fetched(o.Dir)) {
			found, _ := filepath.Glob(place) // the patterns are well formed
			installed = append(installed, found...)
		}
		slices.SortStableFunc(installed, func(a, b string) int { return version(b) - version(a) })
		folders = append(folders, installed...)
	}
	folders = slices.DeleteFunc(folders, func(f string) bool {
		_, err := os.Stat(filepath.Join(f, "initdb"))
		return err != nil
	})
	if len(folders) == 0 {
		return "", ErrNoPostgres
	}
	made, err := os.ReadFile(filepath.Join(o.Dir, "data", "PG_VERSION"))
	if err != nil { // no data yet, or none that we may read: prepare says what is wrong
		return folders[0], nil
	}
	want, err := strconv.Atoi(strings.TrimSpace(string(made)))
	if err != nil {
		return "", fmt.Errorf("reading which PostgreSQL made the data in %s: %w", o.Dir, err)
	}
	for _, f := range folders {
		if v := version(f); v == want || v == 0 { // PostgreSQL itself refuses where 0 is wrong
			return f, nil
		}
	}
	return "", fmt.Errorf("the data in %s were made by PostgreSQL %d, which is not installed (%s is): install it, or move the data with pg_upgrade", o.Dir, want, folders[0])
}

// version is the major version that a folder of programs names, or 0.
func version(bin string) int {
	name := filepath.Base(filepath.Dir(bin)) // "15", "pgsql-15" or "postgresql@15"
	v, _ := strconv.Atoi(name[strings.LastIndexAny(name, "-@")+1:])
	return v
}

// libraries are the folders of shared libraries that belong to programs outside the
// system's own folders, or "".
func libraries(bin string) string {
	root := filepath.Join(bin, "../../../../..") // of .../usr/lib/postgresql/15/bin
	if root == "/" {
		return ""
	}
	found, _ := filepath.Glob(filepath.Join(root, "usr/lib/*-linux-*")) // the pattern is well formed
	return strings.Join(found, ":")
}
