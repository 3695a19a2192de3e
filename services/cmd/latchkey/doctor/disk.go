package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// How full a disk may be, in percent (THREATS.md).
const (
	fullWarning = 70
	fullFault   = 85
)

func (p *patient) disk(_ context.Context, f *findings) {
	seen := map[uint64]bool{}
	for _, folder := range []struct{ what, path string }{{"the data", p.Data}, {"PostgreSQL", p.in("postgres")}, {"the bus", p.in("bus")}} {
		percent, device, err := used(folder.path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // elsewhere, and not known
		case err != nil:
			f.warning("see that the folder can be entered", "how full the disk of %s is cannot be asked: %v", folder.what, err)
		case !seen[device]:
			judgeDisk(f, folder.what, folder.path, percent)
		}
		seen[device] = true
	}
}

func judgeDisk(f *findings, what, path string, percent int) {
	const do = "make room, or give it a larger disk"
	switch {
	case percent >= fullFault:
		f.fault(do, "the disk of %s (%s) is %d %% full: soon nothing can be written", what, path, percent)
	case percent >= fullWarning:
		f.warning(do, "the disk of %s (%s) is %d %% full", what, path, percent)
	default:
		f.ok("the disk of %s (%s) is %d %% full", what, path, percent)
	}
}

// used is how much of what one may use of a folder's disk is used, in percent, as df tells it.
func used(path string) (percent int, device uint64, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, 0, err
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		device = uint64(s.Dev)
	}
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return 0, 0, err
	}
	taken, left := float64(s.Blocks)-float64(s.Bfree), float64(s.Bavail)
	if taken+left == 0 {
		return 0, device, nil
	}
	return int(100*taken/(taken+left) + 0.5), device, nil
}
