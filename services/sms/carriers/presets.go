package carriers

// preset is a behaviour that the page has a button for.
type preset struct {
	Name   string
	Label  string
	Effect string // what it does, for the person who presses it
	of     func(vendor) Behaviour
}

func always(b Behaviour) func(vendor) Behaviour { return func(vendor) Behaviour { return b } }

// refusing refuses with each vendor's own code for the same thing.
func refusing(code func(vendor) string) func(vendor) Behaviour {
	return func(v vendor) Behaviour { return Behaviour{Mode: Refuse, Code: code(v)} }
}

var presets = []preset{
	{"accept", "Works", "Takes each text, and the phone gets it.", always(Behaviour{Mode: Accept})},
	{"slow", "Slow", "Takes each text after 2 seconds.", always(Behaviour{Mode: Accept, DelayMS: 2000})},
	{"refuse", "Refuses", "Says that the account may not send. No text.", refusing(func(v vendor) string { return v.suspended })},
	{"bar", "Bars the number", "Says that this number must not be texted. No text.", refusing(func(v vendor) string { return v.barred })},
	{"throttle", "Throttles", "Takes one text a second and refuses the others.", always(Behaviour{Mode: Throttle, Rate: 1})},
	{"hang", "Hangs", "Reads the request and never answers. No text.", always(Behaviour{Mode: Hang})},
	{"drip", "Drips", "Brings the text, and answers a byte at a time.", always(Behaviour{Mode: Drip})},
	{"drop", "Drops after accepting", "Brings the text, and closes the connection instead of answering.", always(Behaviour{Mode: DropAfterAccept})},
	{"broken", "Fails", "Answers with an error page, HTTP 500. No text.", always(Behaviour{Mode: Broken, Code: "500"})},
	{"down", "Is down", "Cannot be reached. No text.", always(Behaviour{Mode: Down})},
	{"undelivered", "Cannot deliver", "Takes the text and later reports that it did not arrive. No text.", always(Behaviour{Mode: Accept, Receipt: ReceiptFailed, Lost: true})},
	{"silent", "Sends no receipts", "Brings the text, and never reports it.", always(Behaviour{Mode: Accept, Receipt: ReceiptNone})},
	{"lie", "Lies", "Keeps the text, and reports it as delivered. No text.", always(Behaviour{Mode: Accept, Lost: true})},
	{"forge", "Has its receipts forged", "Brings the text; the report comes from a stranger.", always(Behaviour{Mode: Accept, Receipt: ReceiptForged})},
}

// presetOf is the name of the preset that a behaviour is, "" for none.
func presetOf(v vendor, b Behaviour) string {
	for _, p := range presets {
		if p.of(v).whole() == b {
			return p.Name
		}
	}
	return ""
}
