package carriers

import "net/http"

// routes is everything on one port.
func (s *Simulator) routes() http.Handler {
	mux := http.NewServeMux()
	for _, c := range Carriers {
		mux.Handle(paths[c], s.apis[c])
	}
	return mux
}

// paths are where the vendors' APIs take texts.
var paths = map[Carrier]string{
	Vonage: "POST /sms/json",
	Twilio: "POST /" + twilioVersion + "/Accounts/{sid}/Messages.json",
}

// carrierRoutes is one carrier's API alone.
func (s *Simulator) carrierRoutes(c Carrier) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(paths[c], s.apis[c])
	return mux
}
