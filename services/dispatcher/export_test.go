package dispatcher

// CodesWaiting is how many codes wait for a slot.
func (d *Dispatcher) CodesWaiting() int {
	d.codes.mu.Lock()
	defer d.codes.mu.Unlock()
	return d.codes.count
}
