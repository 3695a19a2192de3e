package login

// The cookies. None of them is read by the API, and none by a script.
const (
	sessionCookie = "__Host-latchkey"
	formCookie    = "__Host-latchkey-form"       // binds forms to the browser that got them
	checkCookie   = "__Host-latchkey-check"      // which challenges this browser may look at
	deviceCookie  = "__Host-latchkey-device"     // the device, where the browser cannot keep a key
	consoleCookie = "__Host-latchkey-to-console" // the console's challenge, for after the sign-in
	knownCookie   = "__Host-latchkey-known"      // who registered here before, for a true reason when it is gone
)
