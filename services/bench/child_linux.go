package bench

import "syscall"

// dieWithParent has the kernel end a child when this process ends without doing so.
func dieWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGTERM }
