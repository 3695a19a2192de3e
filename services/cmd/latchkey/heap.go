package main

import (
	"os"
	"runtime/debug"
)

const (
	// heapGrowth is how much the heap may grow between two collections, in percent of what
	// lives. Little lives in it (some 30 MB), so that Go's own 100 collects without need:
	// a tenth of the CPU goes into it under load, at 400 a fortieth.
	heapGrowth = 400
	// heapLimit is from where on it is collected as often as it must, in bytes.
	heapLimit = 1 << 30
)

// collectSeldom spends memory on collecting less, where the environment does not decide
// (GOGC and GOMEMLIMIT, see package runtime).
func collectSeldom() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(heapLimit)
	}
}
