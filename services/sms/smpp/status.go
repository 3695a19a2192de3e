package smpp

import (
	"fmt"
	"math/big"
	"strings"

	"github.com/linxGnu/gosmpp/data"

	"latchkey.dev/services/sms"
	"latchkey.dev/services/sms/wire"
)

// outcome reads the answer to one request.
func (s *Sender) outcome(a response) sms.Outcome {
	if a.command != data.SUBMIT_SM_RESP && a.command != data.GENERIC_NACK {
		return badAnswer
	}
	if a.status != data.ESME_ROK {
		return classify(a.status)
	}
	if a.command == data.GENERIC_NACK {
		return badAnswer
	}
	return sms.Outcome{Ending: sms.Accepted, Reason: sms.ReasonOK, Reference: s.reference(a.id)}
}

// reference is an id of an answer as reports write it.
func (s *Sender) reference(id string) string {
	if s.o.MessageIDs == HexToDecimal {
		if n, ok := new(big.Int).SetString(id, 16); ok && len(id) <= wire.MaxReference && !strings.HasPrefix(id, "-") {
			id = n.String()
		}
	}
	return wire.Token(id, wire.MaxReference)
}

func vendorCode(status data.CommandStatusType) string { return fmt.Sprintf("0x%08x", uint32(status)) }

// classify says what a command_status means (SMPP 3.4 section 5.1.3). A status other than
// 0 says that the text was not taken.
func classify(status data.CommandStatusType) sms.Outcome {
	out := sms.Outcome{Ending: sms.RefusedElsewhere, Reason: sms.ReasonRefused, VendorCode: vendorCode(status)}
	switch status {
	case data.ESME_RTHROTTLED, data.ESME_RMSGQFUL:
		out.Reason = sms.ReasonThrottled
	case data.ESME_RINVDSTADR, data.ESME_RINVDSTTON, data.ESME_RINVDSTNPI: // no route from here; another provider may know the number
		out.Reason = sms.ReasonBadNumber
	case data.ESME_RSYSERR, data.ESME_RX_T_APPN, data.ESME_RX_P_APPN, data.ESME_RUNKNOWNERR:
		out.Reason = sms.ReasonProviderError
	case data.ESME_RBINDFAIL, data.ESME_RINVPASWD, data.ESME_RINVSYSID, data.ESME_RALYBND, data.ESME_RINVBNDSTS, data.ESME_RINVSRCADR,
		data.ESME_RINVSRCTON, data.ESME_RINVSRCNPI, data.ESME_RINVMSGLEN, data.ESME_RINVCMDLEN, data.ESME_RINVCMDID, data.ESME_RINVESMCLASS,
		data.ESME_RINVEXPIRY, data.ESME_RINVREGDLVFLG, data.ESME_RINVSYSTYP, data.ESME_RINVSERTYP:
		out.Reason = sms.ReasonMisconfigured
	}
	return out
}
