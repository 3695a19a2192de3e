package auditor

import "time"

// Hurry makes every look come often, so that tests need not wait.
func (a *Auditor) Hurry(every time.Duration) {
	a.tempo = tempo{gain: every, keep: every, look: every, grace: every}
}
