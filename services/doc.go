// Package services holds no code: it is the map of what runs, and its test says who may
// import whom.
//
// Read from the top; imports point down.
//
//	cmd/           the programs: one a service, and latchkey, which is all of them and the command line
//	cmd/latchkey/doctor  looks at an installation and says what is wrong with it
//	example        a product with its own passwords, on the public API alone
//	bench          measures the whole on one machine
//	e2e            the whole system in tests
//	up             every service in one process; up/local brings database and bus with it
//
//	login          signs people in: passwords, proofs of devices, challenges, the pages
//	dispatcher     sends the texts: claims, codes, providers, receipts
//	verifier       judges typed codes and registers devices
//	auditor        orders every event and proves the order; opens people's details, and destroys their keys
//	console        what owners, operators and auditors see and do
//
//	app            a client as a mobile app is one, by the public API alone
//
//	sms            the seam to the companies that carry texts
//	sms/vonage     one of them, by its SDK; sms/twilio, sms/awssms, sms/smpp others; sms/webhook a service of one's own; sms/wire what both stand on
//	sms/configured makes the providers that a configuration names
//	sms/carriers   simulated carriers that speak the vendors' protocols, with a page of the phones
//	sms/smstest    holds every provider to the promises of the seam
//
//	mail           the seam to the mail server that takes notices; mail/mailbox simulates one
//
//	internal/      machinery without business words: the bus, the database, batches, proofs, pages
//
//	event          what services tell each other
//	code           the digits, and the text that carries them
//	factor         what registers a device besides the password: a text's code, an administrator's
//	device         what a device is, and when it is another
//	phone, email   where people are reached
//	routing        which providers may carry texts to a country, and who is asked first
//	access         who may do what in an account
//	notice         what people are told of their sign-in, at which address, and in which words
//	words          what is said to people, in their languages
//
// Services never import each other: what they say to each other is an event. The last
// ones, the domain, are pure: they do no I/O and know of nothing above them.
package services
