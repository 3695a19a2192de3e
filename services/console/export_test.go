package console

// Sweep is one round of the upkeep.
var Sweep = (*Console).sweep
