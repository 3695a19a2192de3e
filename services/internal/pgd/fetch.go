package pgd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// fetchTime bounds Fetch, which moves some 20 to 60 MB.
const fetchTime = 10 * time.Minute

// fetched is where Fetch puts the programs for a directory, as a pattern of folders.
func fetched(dir string) string { return filepath.Join(dir, "server/usr/lib/postgresql/*/bin") }

// Fetched returns the folder of the programs that Fetch put beneath dir, fetching them if
// there are none.
func Fetched(ctx context.Context, dir string) (bin string, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return "", fmt.Errorf("fetching PostgreSQL: %w", err)
	}
	if found, _ := filepath.Glob(fetched(dir)); len(found) > 0 { // the pattern is well formed
		return found[0], nil
	}
	return Fetch(ctx, dir)
}

// Fetch gets PostgreSQL for a user who may not install it: the newest packages that the
// system's sources offer, checked by apt-get against their signatures and unpacked beneath
// dir (an Options.Dir), where Start finds them. It returns the folder of the programs. Where
// there is no apt-get, or its sources offer none, the error is ErrNoPostgres.
func Fetch(ctx context.Context, dir string) (bin string, err error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	for _, tool := range []string{"apt-get", "apt-cache", "dpkg-deb", "ldd"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "", ErrNoPostgres
		}
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", fmt.Errorf("fetching PostgreSQL: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("fetching PostgreSQL: %w", err)
	}
	work, err := os.MkdirTemp(dir, "fetch-")
	if err != nil {
		return "", fmt.Errorf("fetching PostgreSQL: %w", err)
	}
	defer os.RemoveAll(work)
	f := &fetch{work: work, root: filepath.Join(work, "root"), have: map[string]bool{}}
	if err := f.all(ctx); err != nil {
		return "", fmt.Errorf("fetching PostgreSQL: %w", err)
	}
	server := filepath.Join(dir, "server")
	if err := errors.Join(os.RemoveAll(server), os.Rename(f.root, server)); err != nil {
		return "", fmt.Errorf("fetching PostgreSQL: %w", err)
	}
	found, _ := filepath.Glob(fetched(dir)) // the pattern is well formed
	if len(found) == 0 {
		return "", ErrNoPostgres
	}
	return found[0], nil
}

type fetch struct {
	work, root string          // where packages come down, and where they are unpacked
	own        []string        // options for package lists of our own, where the system's are missing or old
	have       map[string]bool // packages unpacked
}

// all fetches the server, and then libraries until the programs find all theirs.
func (f *fetch) all(ctx context.Context) error {
	name, err := f.newest(ctx)
	if err == nil {
		err = f.get(ctx, name)
	}
	if err != nil { // the system's lists are empty, or name what the servers no longer have
		if err := f.update(ctx); err != nil {
			return err
		}
		if name, err = f.newest(ctx); err != nil {
			return err
		}
		if err := f.get(ctx, name); err != nil {
			return err
		}
	}
	from := []string{name}
	const depth = 5 // libraries of libraries
	for range depth {
		missing, err := f.missing(ctx)
		if err != nil || len(missing) == 0 {
			return err
		}
		needed, err := f.libraries(ctx, from)
		if err != nil {
			return err
		}
		if len(needed) == 0 {
			return fmt.Errorf("no package has the libraries %s", strings.Join(missing, ", "))
		}
		if err := f.get(ctx, needed...); err != nil {
			return err
		}
		from = needed
	}
	if missing, err := f.missing(ctx); err != nil || len(missing) > 0 {
		return errors.Join(err, fmt.Errorf("the libraries %s are missing", strings.Join(missing, ", ")))
	}
	return nil
}

var serverPackage = regexp.MustCompile(`(?m)^postgresql-(\d+) - `)

// newest returns the name of the newest server package on offer.
func (f *fetch) newest(ctx context.Context) (string, error) {
	out, err := f.run(ctx, f.work, "apt-cache", slices.Concat(f.own, []string{"search", "--names-only", `^postgresql-[0-9]+$`})...)
	if err != nil {
		return "", err
	}
	newest := 0
	for _, m := range serverPackage.FindAllStringSubmatch(out, -1) {
		if v, err := strconv.Atoi(m[1]); err == nil {
			newest = max(newest, v)
		}
	}
	if newest == 0 {
		return "", ErrNoPostgres
	}
	return fmt.Sprintf("postgresql-%d", newest), nil
}

// update gets package lists into a folder of our own, which needs no rights.
func (f *fetch) update(ctx context.Context) error {
	lists, cache := filepath.Join(f.work, "lists"), filepath.Join(f.work, "cache")
	if err := errors.Join(os.MkdirAll(filepath.Join(lists, "partial"), 0o755), os.MkdirAll(filepath.Join(cache, "archives/partial"), 0o755)); err != nil {
		return err
	}
	f.own = []string{"-o", "Dir::State::Lists=" + lists, "-o", "Dir::Cache=" + cache}
	_, err := f.run(ctx, f.work, "apt-get", slices.Concat(f.own, []string{"-qq", "update"})...)
	return err
}

// get downloads packages and unpacks them.
func (f *fetch) get(ctx context.Context, names ...string) error {
	into, err := os.MkdirTemp(f.work, "packages-")
	if err != nil {
		return err
	}
	args := []string{"-qq", "-o", "APT::Sandbox::User=", "download"}
	if _, err := f.run(ctx, into, "apt-get", slices.Concat(f.own, args, names)...); err != nil {
		return err
	}
	files, _ := filepath.Glob(filepath.Join(into, "*.deb")) // the pattern is well formed
	if len(files) < len(names) {
		return fmt.Errorf("apt-get brought %d packages of %d", len(files), len(names))
	}
	for _, file := range files {
		if _, err := f.run(ctx, into, "dpkg-deb", "-x", file, f.root); err != nil {
			return err
		}
	}
	for _, n := range names {
		f.have[n] = true
	}
	return nil
}

// missing returns the libraries that neither the system nor what was unpacked has.
func (f *fetch) missing(ctx context.Context) ([]string, error) {
	bins, _ := filepath.Glob(filepath.Join(f.root, "usr/lib/postgresql/*/bin")) // the pattern is well formed
	if len(bins) == 0 {
		return nil, errors.New("the package holds no programs where they are expected")
	}
	var missing []string
	for _, program := range []string{"bin/postgres", "bin/initdb", "lib/plpgsql.so", "lib/dict_snowball.so"} {
		cmd := exec.CommandContext(ctx, "ldd", filepath.Join(filepath.Dir(bins[0]), program))
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "LD_LIBRARY_PATH=" + libraries(bins[0])}
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("looking for the libraries of %s: %w", program, err)
		}
		for line := range strings.Lines(string(out)) {
			if name, lost := strings.CutSuffix(strings.TrimSpace(line), " => not found"); lost && !slices.Contains(missing, name) {
				missing = append(missing, name)
			}
		}
	}
	return missing, nil
}

// libraries returns the library packages that the given ones depend on, but for those of
// the compiler for queries, which is large and which we leave off.
func (f *fetch) libraries(ctx context.Context, of []string) ([]string, error) {
	args := []string{"depends", "--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks", "--no-replaces", "--no-enhances"}
	out, err := f.run(ctx, f.work, "apt-cache", slices.Concat(f.own, args, of)...)
	if err != nil {
		return nil, err
	}
	var needed []string
	for line := range strings.Lines(out) {
		_, name, depends := strings.Cut(strings.TrimSpace(line), "Depends: ")
		if !depends || !strings.HasPrefix(name, "lib") || strings.HasPrefix(name, "libllvm") || name == "libc6" || f.have[name] || slices.Contains(needed, name) {
			continue
		}
		needed = append(needed, name)
	}
	return needed, nil
}

func (f *fetch) run(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, lastLine(complaint.String()))
	}
	return string(out), nil
}
