//go:build !linux

package faults

import "syscall"

// diesWithUs is left to the clean-up of the tests where the kernel has no word for it.
func diesWithUs() *syscall.SysProcAttr { return nil }
