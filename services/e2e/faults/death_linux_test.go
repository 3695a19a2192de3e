package faults

import "syscall"

// diesWithUs has the kernel kill a child when we end.
func diesWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
