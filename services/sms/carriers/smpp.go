package carriers

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/linxGnu/gosmpp/data"
	"github.com/linxGnu/gosmpp/pdu"
)

// SMPPAccount is an account at the simulated message centre.
type SMPPAccount struct {
	SystemID, Password string // DemoSMPPSystemID, DemoSMPPPassword
	// HexIDs lets answers have hexadecimal ids and reports the same in decimal, as some
	// message centres do.
	HexIDs bool
}

// What the simulated message centre takes unless Options say otherwise.
const (
	DemoSMPPSystemID = "latchkey"
	DemoSMPPPassword = "demopass"
)

// smppVersion is the user agent of texts that came over SMPP, which has none.
const smppVersion = "SMPP/3.4"

const (
	smppHeld   = 512 // requests of a connection that wait for their answers
	smppAbsent = "001"
	smppAnswer = 10 * time.Second // for a report
	smppAgain  = 200 * time.Millisecond
)

var smppVendor = vendor{carrier: SMPP, name: "SMPP", suspended: "0x00000045", barred: "0x0000000b"}

// centre is a message centre of SMPP 3.4, with which clients bind over TCP.
type centre struct {
	s *Simulator
	o SMPPAccount

	mu     sync.Mutex
	bound  []*smppLink
	change chan struct{} // closed when one binds
	parts  map[string][]string
	ended  sync.WaitGroup // of reports
}

func newCentre(s *Simulator) *centre {
	o := s.o.SMPP
	o.SystemID, o.Password = cmp.Or(o.SystemID, DemoSMPPSystemID), cmp.Or(o.Password, DemoSMPPPassword)
	return &centre{s: s, o: o, change: make(chan struct{}), parts: map[string][]string{}}
}

// smppLink is one connection.
type smppLink struct {
	conn    net.Conn
	ctx     context.Context // ends with it
	close   context.CancelFunc
	writing sync.Mutex
	held    chan struct{}

	mu      sync.Mutex
	last    int32
	waiting map[int32]chan data.CommandStatusType // for the answers to reports
}

func (k *smppLink) write(p pdu.PDU) error {
	b := pdu.NewBuffer(nil)
	p.Marshal(b)
	return k.raw(b.Bytes())
}

func (k *smppLink) raw(b []byte) error {
	k.writing.Lock()
	defer k.writing.Unlock()
	_ = k.conn.SetWriteDeadline(time.Now().Add(smppAnswer))
	_, err := k.conn.Write(b)
	return err
}

// serve speaks with one client until it goes.
func (c *centre) serve(conn net.Conn) {
	k := &smppLink{conn: conn, held: make(chan struct{}, smppHeld), waiting: map[int32]chan data.CommandStatusType{}}
	k.ctx, k.close = context.WithCancel(c.s.ctx)
	stop := context.AfterFunc(k.ctx, func() { conn.Close() })
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	defer conn.Close()
	defer k.close()
	if !c.bind(k) {
		return
	}
	defer c.leave(k)
	for {
		p, err := pdu.Parse(conn)
		if err != nil {
			return
		}
		switch p := p.(type) {
		case *pdu.EnquireLink:
			_ = k.write(p.GetResponse())
		case *pdu.Unbind:
			_ = k.write(p.GetResponse())
			return
		case *pdu.SubmitSM:
			select {
			case k.held <- struct{}{}:
				all.Go(func() { c.submitted(k, p); <-k.held })
			default:
				_ = k.write(smppAnswered(p, data.ESME_RMSGQFUL, ""))
			}
		case *pdu.DeliverSMResp:
			k.mu.Lock()
			if answer := k.waiting[p.SequenceNumber]; answer != nil {
				answer <- p.CommandStatus
				delete(k.waiting, p.SequenceNumber)
			}
			k.mu.Unlock()
		}
	}
}

func (c *centre) bind(k *smppLink) bool {
	_ = k.conn.SetReadDeadline(time.Now().Add(smppAnswer))
	p, err := pdu.Parse(k.conn)
	request, ok := p.(*pdu.BindRequest)
	if err != nil || !ok {
		return false
	}
	_ = k.conn.SetReadDeadline(time.Time{})
	answer := pdu.NewBindResp(*request)
	answer.SystemID = "simulator"
	switch {
	case !same(request.SystemID, c.o.SystemID):
		answer.CommandStatus = data.ESME_RINVSYSID
	case !same(request.Password, c.o.Password):
		answer.CommandStatus = data.ESME_RINVPASWD
	}
	if k.write(answer) != nil || answer.CommandStatus != data.ESME_ROK {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bound = append(c.bound, k)
	close(c.change)
	c.change = make(chan struct{})
	return true
}

func (c *centre) leave(k *smppLink) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, b := range c.bound {
		if b == k {
			c.bound = append(c.bound[:i:i], c.bound[i+1:]...)
			return
		}
	}
}

func smppAnswered(p *pdu.SubmitSM, status data.CommandStatusType, id string) pdu.PDU {
	answer := pdu.NewSubmitSMRespFromReq(p).(*pdu.SubmitSMResp)
	answer.CommandStatus, answer.MessageID = status, id
	return answer
}

// wait waits for d, and reports whether the connection is there yet.
func (k *smppLink) wait(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-k.ctx.Done():
		return false
	}
}

// submitted does with one request what the line's behaviour says.
func (c *centre) submitted(k *smppLink, p *pdu.SubmitSM) {
	l := c.s.lines[SMPP]
	l.requests.Add(1)
	b := l.draw()
	if !k.wait(time.Duration(b.DelayMS) * time.Millisecond) {
		return
	}
	status := data.ESME_ROK
	switch b.Mode {
	case Hang:
		return
	case Broken, Redirect:
		status = data.ESME_RSYSERR
	case Throttle:
		status = data.ESME_RTHROTTLED
	case Refuse:
		n, _ := strconv.ParseUint(b.Code, 0, 32)
		status = data.CommandStatusType(cmp.Or(n, uint64(data.ESME_RSUBMITFAIL)))
	default:
		if !digits(p.DestAddr.Address(), 7, 15) {
			status = data.ESME_RINVDSTADR
		}
	}
	if status != data.ESME_ROK {
		l.refused.Add(1)
		_ = k.write(smppAnswered(p, status, ""))
		return
	}
	l.taken.Add(1)
	o := order{id: fmt.Sprintf("%X", c.s.run&0xFFFF<<32+c.s.ids.Add(1)), to: "+" + p.DestAddr.Address(), from: p.SourceAddr.Address(), at: c.s.now()}
	if text, whole := c.text(p); whole && !b.Lost {
		c.s.journal.add(Text{At: o.at, Carrier: SMPP, To: o.to, From: o.from, Body: text, Reference: o.id, UserAgent: smppVersion})
	}
	if b.Receipt != ReceiptNone && p.RegisteredDelivery&3 == 1 {
		defer c.ended.Go(func() { c.report(o, b) })
	}
	c.answer(k, b, p, o.id)
}

// text is what the phone shows once all parts are there.
func (c *centre) text(p *pdu.SubmitSM) (string, bool) {
	text, _ := p.Message.GetMessage() // what cannot be read is shown as nothing
	total, nth, name, ok := p.Message.UDH().GetConcatInfo()
	if !ok || total == 0 || nth == 0 || nth > total {
		return text, true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key := fmt.Sprintf("%s/%s/%d/%d", p.SourceAddr.Address(), p.DestAddr.Address(), name, total)
	parts := c.parts[key]
	if parts == nil {
		if len(c.parts) > maxWaiting {
			clear(c.parts)
		}
		parts = make([]string, total)
		c.parts[key] = parts
	}
	parts[nth-1] = text
	for _, part := range parts {
		if part == "" {
			return "", false
		}
	}
	delete(c.parts, key)
	return strings.Join(parts, ""), true
}

// answer answers a request that was taken, or what its mode makes of it.
func (c *centre) answer(k *smppLink, b Behaviour, p *pdu.SubmitSM, id string) {
	whole := pdu.NewBuffer(nil)
	smppAnswered(p, data.ESME_ROK, id).Marshal(whole)
	text := whole.Bytes()
	switch b.Mode {
	case DropAfterAccept:
		k.close()
	case HangAfterAccept:
	case Drip:
		k.writing.Lock()
		defer k.writing.Unlock()
		for i := range text {
			_ = k.conn.SetWriteDeadline(time.Now().Add(smppAnswer))
			if _, err := k.conn.Write(text[i : i+1]); err != nil || !k.wait(dripEvery) {
				return
			}
		}
	case BadJSON:
		_ = k.raw(text[:len(text)/2])
		k.close()
	case NoMessages:
		other := pdu.NewEnquireLinkResp()
		other.SetSequenceNumber(p.SequenceNumber)
		_ = k.write(other)
	case Huge:
		text[0], text[1], text[2], text[3] = 0, byte(hugeAnswer>>16), byte(hugeAnswer>>8&0xFF), byte(hugeAnswer&0xFF)
		for range hugeAnswer / (64 << 10) {
			if k.raw(append(text, make([]byte, 64<<10-len(text))...)) != nil {
				return
			}
		}
	default:
		_ = k.write(smppAnswered(p, data.ESME_ROK, id))
	}
}

// report sends the reports of one request, over whichever connection is bound, until they
// are taken.
func (c *centre) report(o order, b Behaviour) {
	states := []string{"DELIVRD"}
	if b.Receipt == ReceiptFailed {
		states[0] = "UNDELIV"
	}
	if b.Reorder {
		states = append([]string{"ENROUTE"}, states...)
	}
	again := time.Duration(b.ReceiptDelayMS) * time.Millisecond
	for _, state := range arranged(b, states...) {
		for range maxTries {
			select {
			case <-time.After(again):
			case <-c.s.ctx.Done():
				return
			}
			again = 0
			k := c.someone()
			if k == nil {
				return
			}
			if c.deliver(k, o, b, state) {
				break
			}
			again = smppAgain
		}
	}
}

// someone is a connection that is bound, once there is one; nil when the simulator closes.
func (c *centre) someone() *smppLink {
	for {
		c.mu.Lock()
		change := c.change
		var k *smppLink
		if len(c.bound) > 0 {
			k = c.bound[len(c.bound)-1]
		}
		c.mu.Unlock()
		if k != nil {
			return k
		}
		select {
		case <-change:
		case <-c.s.ctx.Done():
			return nil
		}
	}
}

// deliver sends one report and tells whether it was taken.
func (c *centre) deliver(k *smppLink, o order, b Behaviour, state string) bool {
	id, code, number := o.id, "000", map[string]byte{"ENROUTE": 1, "DELIVRD": 2, "UNDELIV": 5}[state]
	if state == "UNDELIV" {
		code = smppAbsent
	}
	if b.Receipt == ReceiptForged {
		id = "0" + id // of nobody's text: what SMPP reports is authentic by its connection
	}
	if n, err := strconv.ParseUint(id, 16, 64); err == nil && c.o.HexIDs {
		id = strconv.FormatUint(n, 10)
	}
	p := pdu.NewDeliverSM().(*pdu.DeliverSM)
	p.EsmClass = data.SM_SMSC_DLV_RCPT_TYPE
	p.SourceAddr, _ = pdu.NewAddressWithTonNpiAddr(1, 1, o.to[1:])
	p.DestAddr, _ = pdu.NewAddressWithTonNpiAddr(5, 0, o.from)
	at := o.at.UTC().Format("0601021504")
	_ = p.Message.SetMessageDataWithEncoding([]byte("id:"+id+" sub:001 dlvrd:001 submit date:"+at+" done date:"+at+" stat:"+state+" err:"+code+" text:"), data.GSM7BIT)
	p.RegisterOptionalParam(pdu.Field{Tag: pdu.TagReceiptedMessageID, Data: append([]byte(id), 0)})
	p.RegisterOptionalParam(pdu.Field{Tag: pdu.TagMessageStateOption, Data: []byte{number}})

	answer := make(chan data.CommandStatusType, 1)
	k.mu.Lock()
	k.last++
	p.SetSequenceNumber(k.last)
	k.waiting[k.last] = answer
	k.mu.Unlock()
	if k.write(p) != nil {
		k.close()
		return false
	}
	count := &c.s.lines[SMPP].receipts
	timer := time.NewTimer(smppAnswer)
	defer timer.Stop()
	select {
	case status := <-answer:
		if status == data.ESME_ROK {
			count.taken.Add(1)
			return true
		}
		count.refused.Add(1)
	case <-timer.C:
	case <-k.ctx.Done():
	}
	return false
}
