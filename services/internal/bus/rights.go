package bus

import "slices"

// Services that have a credential on the bus.
const (
	Login       = "login"
	Dispatcher  = "dispatcher"
	Verifier    = "verifier"
	Console     = "console"
	Auditor     = "auditor"
	Provisioner = "provisioner"
)

// Services lists every service that has a credential.
func Services() []string {
	return []string{Login, Dispatcher, Verifier, Console, Auditor, Provisioner}
}

// Permissions are the NATS subjects that a user may publish and subscribe to; what is
// not allowed is refused, and what is denied is refused even where it is allowed.
type Permissions struct {
	Publish     []string
	DenyPublish []string
	Subscribe   []string
}

// says is what each service may tell the others: the events of its own doing.
var says = map[string][]string{
	Login: {
		"latchkey.code.requested.*", "latchkey.text.requested.*", "latchkey.code.entered.*", "latchkey.login.>",
		"latchkey.device.revoked.*", "latchkey.device.named.*", "latchkey.member.>", "latchkey.notice.requested.*",
	},
	Dispatcher: {"latchkey.sms.>", "latchkey.spend.reached.*", "latchkey.conversion.fallen.*", "latchkey.notice.sent.*", "latchkey.notice.abandoned.*"},
	Verifier: {
		"latchkey.device.registered.*", "latchkey.code.rejected.*", "latchkey.code.expired.*",
		"latchkey.number.proved.*", "latchkey.notice.requested.*",
		InboxPrefix(Login) + ".>", // verdicts wake the sign-in that waits for them
	},
	Console: {
		"latchkey.account.>", "latchkey.member.>", "latchkey.device.revoked.*", "latchkey.provider.>", "latchkey.notice.requested.*",
	},
	Auditor: {"latchkey.audit.>"},
	Provisioner: {
		"$JS.API.STREAM.INFO." + Stream, "$JS.API.STREAM.CREATE." + Stream, "$JS.API.STREAM.UPDATE." + Stream,
		"$JS.API.CONSUMER.INFO." + Stream + ".*", "$JS.API.CONSUMER.CREATE." + Stream + ".>",
	},
}

// hears is the durable consumer of each service that has one.
var hears = map[string]string{Dispatcher: DispatcherSend, Verifier: VerifierJudge, Auditor: AuditorOrder}

// nobody may destroy what the stream holds. None of it is allowed to anyone either; it
// is denied as well so that a later, wider allowance cannot give it by accident.
var nobody = []string{
	"$JS.API.STREAM.DELETE.>", "$JS.API.STREAM.PURGE.>", "$JS.API.STREAM.MSG.DELETE.>", "$JS.API.STREAM.RESTORE.>",
}

// InboxPrefix is where replies to a service arrive: no other service may listen there.
func InboxPrefix(service string) string { return "_INBOX_" + service }

// Rights returns what service may do on the bus, and nothing for an unknown service.
// Servers, deployment files and tests are all made from it.
func Rights(service string) Permissions {
	own, known := says[service]
	if !known {
		return Permissions{DenyPublish: []string{">"}, Subscribe: nil}
	}
	p := Permissions{
		Publish:     slices.Clone(own),
		DenyPublish: slices.Clone(nobody),
		Subscribe:   []string{InboxPrefix(service) + ".>"},
	}
	if durable, ok := hears[service]; ok {
		at := Stream + "." + durable
		p.Publish = append(p.Publish,
			"$JS.API.CONSUMER.INFO."+at,
			"$JS.API.CONSUMER.MSG.NEXT."+at,
			"$JS.ACK."+at+".>",
			"$JS.ACK.*.*."+at+".>", // the coming form, with domain and account
		)
	}
	return p
}
