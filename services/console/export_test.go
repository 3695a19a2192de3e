package console

import (
	"context"

	"latchkey.dev/services/internal/details"
)

// Sweep is one round of the upkeep.
var Sweep = (*Console).sweep

// Routes lists the patterns of the API.
func (c *Console) Routes() (patterns []string) {
	for _, r := range c.api() {
		patterns = append(patterns, r.pattern)
	}
	return patterns
}

// Occupy takes every slot of the password hashing, and of imports.
func (c *Console) Occupy() (release func()) {
	var taken []func()
	for range c.o.Hashing {
		give, err := c.passwords.Slot(context.Background())
		if err != nil {
			panic(err) // only while others hash
		}
		taken = append(taken, give)
	}
	for range importsAtATime {
		c.imports <- struct{}{}
		taken = append(taken, func() { <-c.imports })
	}
	return func() {
		for _, give := range taken {
			give()
		}
	}
}

// Requests and Answers are the bodies of the API, by the names of their schemas.
var (
	Requests = map[string]any{"NewMember": NewMember{}, "MemberUpdate": MemberUpdate{}, "OptionsUpdate": OptionsUpdate{}, "EraseRequest": eraseRequest{}, "OrderRequest": orderRequest{}}
	Answers  = map[string]any{"Me": me{}, "Member": Member{}, "Made": madeAnswer{}, "Password": passwordAnswer{}, "Members": membersAnswer{}, "Listed": Listed{},
		"Devices": devicesAnswer{}, "Device": Device{}, "Assignments": assignmentsAnswer{}, "Assigned": Assigned{}, "Options": AccountOptions{}, "OptionsReport": OptionsReport{},
		"Shown": details.Shown{}, "Job": PrivacyJob{}, "ImportReport": ImportReport{}, "RowFault": RowFault{},
		"Providers": Providers{}, "Provider": Provider{}, "ProviderRule": ProviderRule{}, "ProviderHealth": ProviderHealth{}, "ProviderRoute": ProviderRoute{}}
)

// Pages lists the patterns of the pages for who is signed in.
func (c *Console) Pages() (patterns []string) {
	for _, p := range c.signedIn() {
		patterns = append(patterns, p.pattern)
	}
	return patterns
}
