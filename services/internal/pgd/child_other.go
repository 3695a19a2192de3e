//go:build !linux

package pgd

import "syscall"

// dieWithParent does nothing where the kernel has no such service: the next Start stops
// what a killed process left running.
func dieWithParent(*syscall.SysProcAttr, syscall.Signal) {}

// processes returns the postmaster if it is alive.
func processes(_ string, master int) []int {
	if master == 0 || syscall.Kill(master, 0) != nil {
		return nil
	}
	return []int{master}
}
