package event

// Kinds is the closed set of types, with what makes an empty Data of each.
var Kinds = kinds
