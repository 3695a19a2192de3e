// Package geo says in which country an address of the internet is, by a database that the
// operator keeps: MaxMind's GeoLite2 Country, DB-IP's, or any other of the MaxMind DB format
// (maxmind.github.io/MaxMind-DB). It is for people to look at: nothing is decided by it.
package geo

import (
	"fmt"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
)

// lookAgain is how often the file is looked at: databases are replaced every week or two.
const lookAgain = time.Minute

// Countries knows the countries of addresses. A nil one knows none.
type Countries struct {
	path string
	now  func() time.Time
	db   atomic.Pointer[opened]
	next atomic.Int64 // when to look at the file again, in nanoseconds of the Unix epoch
}

type opened struct {
	*maxminddb.Reader
	written time.Time
}

// Open opens a database file. An empty path gives a nil Countries.
func Open(path string, now func() time.Time) (*Countries, error) {
	if path == "" {
		return nil, nil
	}
	c := &Countries{path: path, now: now}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("opening the database of countries: %w", err)
	}
	db, err := read(path, info.ModTime())
	if err != nil {
		return nil, err
	}
	if _, err := country(db.Lookup(netip.IPv6Loopback())); err != nil {
		return nil, fmt.Errorf("%s is no database of countries: %w", path, err)
	}
	c.db.Store(db)
	c.next.Store(now().Add(lookAgain).UnixNano())
	return c, nil
}

// read reads a whole file: who replaces it may write it in place, under a mapping.
func read(path string, written time.Time) (*opened, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the database of countries: %w", err)
	}
	db, err := maxminddb.OpenBytes(b)
	if err != nil {
		return nil, fmt.Errorf("reading the database of countries in %s: %w", path, err)
	}
	return &opened{db, written}, nil
}

// Of returns the country of an address as ISO 3166-1 alpha-2, "" where it is not known.
func (c *Countries) Of(a netip.Addr) string {
	if c == nil || !a.IsValid() {
		return ""
	}
	c.renew()
	code, err := country(c.db.Load().Lookup(a.Unmap()))
	if err != nil || len(code) != 2 || code[0] < 'A' || code[0] > 'Z' || code[1] < 'A' || code[1] > 'Z' {
		return ""
	}
	return code
}

func country(r maxminddb.Result) (code string, err error) {
	err = r.DecodePath(&code, "country", "iso_code")
	return code, err
}

// renew opens the file anew where another one is there. One that cannot be read, such as one
// that is being written, is tried again a minute later, and the one before goes on.
func (c *Countries) renew() {
	now := c.now()
	due := c.next.Load()
	if now.UnixNano() < due || !c.next.CompareAndSwap(due, now.Add(lookAgain).UnixNano()) {
		return
	}
	info, err := os.Stat(c.path)
	if err != nil || info.ModTime().Equal(c.db.Load().written) {
		return
	}
	if db, err := read(c.path, info.ModTime()); err == nil {
		c.db.Store(db)
	}
}
