package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// The processes that are told apart.
const (
	ofLatchkey  = "latchkey"
	ofPostgres  = "postgres"
	ofCarriers  = "carriers"
	ofGenerator = "generator"
)

var processes = []string{ofLatchkey, ofPostgres, ofCarriers, ofGenerator}

// usage is what processes have used so far.
type usage struct {
	cpu    map[string]float64 // seconds, by process
	memory map[string]float64 // bytes
}

// usage reads it from /proc. PostgreSQL is its postmaster with all its processes: those
// that ended count in the postmaster's share of its children.
func (r *rig) usage() (u usage, err error) {
	u = usage{cpu: map[string]float64{}, memory: map[string]float64{}}
	for name, pid := range map[string]int{ofLatchkey: r.latchkey.cmd.Process.Pid, ofCarriers: r.carriers.cmd.Process.Pid, ofGenerator: os.Getpid()} {
		s, err := statOf(pid)
		if err != nil {
			return u, err
		}
		u.cpu[name], u.memory[name] = s.own, memoryOf(pid)
	}
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return u, err
	}
	for _, dir := range all {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		s, err := statOf(pid)
		switch {
		case err != nil: // it ended just now
		case pid == r.postmaster:
			u.cpu[ofPostgres] += s.own + s.ended
			u.memory[ofPostgres] += memoryOf(pid)
		case s.parent == r.postmaster:
			u.cpu[ofPostgres] += s.own
			u.memory[ofPostgres] += memoryOf(pid)
		}
	}
	return u, nil
}

// stat is what /proc/<pid>/stat says: proc_pid_stat(5).
type stat struct {
	parent     int
	own, ended float64 // CPU in seconds, of the process and of its children that have ended
}

// ticks a second of the times in /proc: USER_HZ, which is 100 on every Linux.
const ticks = 100

func statOf(pid int) (s stat, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return s, fmt.Errorf("reading what a process used: %w", err)
	}
	return parseStat(b)
}

func parseStat(b []byte) (s stat, err error) {
	// The name, the second field, may hold anything; the last ) ends it.
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 15 {
		return s, errors.New("/proc/<pid>/stat is not as on Linux")
	}
	var wrong error
	number := func(i int) float64 { // i as in the manual, counted from 1
		n, err := strconv.ParseFloat(f[i-3], 64)
		wrong = errors.Join(wrong, err)
		return n
	}
	s = stat{parent: int(number(4)), own: (number(14) + number(15)) / ticks, ended: (number(16) + number(17)) / ticks}
	return s, wrong
}

// memoryOf is a process's proportional share of memory in bytes, so that what processes
// share counts once; 0 where it may not be read.
func memoryOf(pid int) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "Pss:" {
			kb, _ := strconv.ParseFloat(f[1], 64)
			return kb * 1024
		}
	}
	return 0
}

// since is what was used from before on: seconds by process.
func (u usage) since(before usage) map[string]float64 {
	d := map[string]float64{}
	for _, p := range processes {
		d[p] = u.cpu[p] - before.cpu[p]
	}
	return d
}
