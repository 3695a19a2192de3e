package smpp

import (
	"regexp"
	"strings"
	"time"

	"github.com/linxGnu/gosmpp/data"
	"github.com/linxGnu/gosmpp/pdu"

	"latchkey.dev/services/sms"
	"latchkey.dev/services/sms/wire"
)

// receiptMask are the bits of esm_class that tell the kind of a message (SMPP 3.4 section
// 5.2.12); intermediate is a report of the way.
const (
	receiptMask  = 0x3C
	intermediate = 0x20
)

// field is one of a report's text (SMPP 3.4 appendix B): "id:1 sub:001 … stat:DELIVRD err:000 text:".
var field = regexp.MustCompile(`(?i)(?:^|\s)(id|stat|err|done date):\s*([^\s]*)`)

// read reads a report; ok is false for what is none, as a text that somebody sent to us.
func read(d *pdu.DeliverSM) (r sms.Receipt, ok bool) {
	id, hasID := d.OptionalParameters[pdu.TagReceiptedMessageID]
	state, hasState := d.OptionalParameters[pdu.TagMessageStateOption]
	kind := d.EsmClass & receiptMask
	if kind != data.SM_SMSC_DLV_RCPT_TYPE && kind != intermediate && !hasID {
		return sms.Receipt{}, false
	}
	fields := map[string]string{}
	text, _ := d.Message.GetMessageData()
	if before, _, found := strings.Cut(strings.ToLower(string(text)), "text:"); found {
		text = text[:len(before)] // of the text itself nothing is read
	}
	for _, f := range field.FindAllStringSubmatch(string(text), -1) {
		if name := strings.ToLower(f[1]); fields[name] == "" {
			fields[name] = f[2]
		}
	}
	name := fields["id"]
	if hasID {
		name = id.String()
	}
	r = sms.Receipt{Reference: wire.Token(name, wire.MaxReference), Status: byText(fields["stat"]), Code: wire.Token(fields["err"], wire.MaxCode)}
	if hasState && len(state.Data) == 1 {
		r.Status = byState(state.Data[0])
	}
	for _, layout := range []string{"0601021504", "060102150405"} {
		if at, err := time.Parse(layout, fields["done date"]); err == nil {
			r.At = at
		}
	}
	return r, r.Reference != ""
}

// byText reads stat (SMPP 3.4 appendix B).
func byText(stat string) sms.Status {
	switch strings.ToUpper(stat) {
	case "DELIVRD":
		return sms.Delivered
	case "EXPIRED":
		return sms.Expired
	case "DELETED", "UNDELIV":
		return sms.Undelivered
	case "REJECTD":
		return sms.Rejected
	case "ENROUTE", "ACCEPTD":
		return sms.InTransit
	}
	return sms.Unknown
}

// byState reads message_state (SMPP 3.4 section 5.2.28).
func byState(state byte) sms.Status {
	switch state {
	case 1, 6: // enroute, accepted
		return sms.InTransit
	case 2:
		return sms.Delivered
	case 3:
		return sms.Expired
	case 4, 5: // deleted, undeliverable
		return sms.Undelivered
	case 8:
		return sms.Rejected
	}
	return sms.Unknown
}
