package carriers

import (
	"net/http"
	"slices"
)

// Carrier names one simulated carrier.
type Carrier string

const (
	Vonage  Carrier = "vonage"
	Twilio  Carrier = "twilio"
	Webhook Carrier = "webhook" // a service of the operator's own
	AWS     Carrier = "aws"
	SMPP    Carrier = "smpp"
)

// vendors are the carriers, in the order in which the page shows them.
var vendors = []vendor{vonageVendor, twilioVendor, webhookVendor, awsVendor, smppVendor}

// Carriers is the closed set of carriers, in the order in which the page shows them.
var Carriers = names(vendors)

// Usual are the carriers of a simulator whose Options name none.
var Usual = []Carrier{Vonage, Twilio}

// vendor is what sets one carrier apart.
type vendor struct {
	carrier Carrier
	name    string // for a person
	// paths are the patterns under which the vendor's API takes texts; a carrier that
	// speaks no HTTP has none.
	paths    []string
	protocol func(*Simulator) protocol
	// besides are other parts of the API, by their patterns.
	besides func(*Simulator) map[string]http.HandlerFunc
	// suspended and barred are the vendor's error codes for an account that may not send
	// and for a number that must not be texted.
	suspended, barred string
}

func names(of []vendor) (all []Carrier) {
	for _, v := range of {
		all = append(all, v.carrier)
	}
	return all
}

// running are the vendors that a simulator was asked for.
func running(asked []Carrier) (all []vendor) {
	for _, v := range vendors {
		if slices.Contains(asked, v.carrier) {
			all = append(all, v)
		}
	}
	return all
}
