package deadletter

import "context"

// RunOnce takes up every marked letter once.
func (r *Redriver) RunOnce(ctx context.Context) error { return r.runOnce(ctx) }
