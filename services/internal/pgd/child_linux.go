package pgd

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// dieWithParent has the kernel send a child a signal when its parent ends.
func dieWithParent(attr *syscall.SysProcAttr, sig syscall.Signal) { attr.Pdeathsig = sig }

// processes returns the processes that run in a data directory: every process of a
// PostgreSQL has it as its working directory (one that has ended and is not yet waited for
// has none), so a process number that was used again deceives nobody.
func processes(data string, _ int) []int {
	if real, err := filepath.EvalSymlinks(data); err == nil {
		data = real
	}
	links, _ := filepath.Glob("/proc/[0-9]*/cwd") // the pattern is well formed
	var found []int
	for _, link := range links {
		if dir, err := os.Readlink(link); err != nil || dir != data {
			continue // another's, or it ended meanwhile
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link))); err == nil && pid != os.Getpid() {
			found = append(found, pid)
		}
	}
	return found
}
