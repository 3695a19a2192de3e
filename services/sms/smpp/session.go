package smpp

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/linxGnu/gosmpp/data"
	"github.com/linxGnu/gosmpp/pdu"

	"latchkey.dev/services/sms"
)

const (
	maxPDU         = 16 << 10 // bytes; what is longer is no SMPP
	headerLength   = 16
	enquireTimeout = 10 * time.Second
	writeTimeout   = 5 * time.Second
	maxID          = 65 // bytes of a message id, with the 0 at its end
)

// response is what came of one request: an answer, or failed.
type response struct {
	command data.CommandIDType
	status  data.CommandStatusType
	id      string
	failed  sms.Outcome
}

// session is one bound connection.
type session struct {
	conn   net.Conn
	window chan struct{} // a place for each request that waits for its answer
	report func(*pdu.DeliverSM)

	writing sync.Mutex

	mu      sync.Mutex
	last    int32 // sequence number
	waiting map[int32]chan response
	useful  bool // it has answered a request
	gone    bool

	done chan struct{} // closed when the connection is of no use any more
}

func newSession(conn net.Conn, window int, report func(*pdu.DeliverSM)) *session {
	return &session{conn: conn, window: make(chan struct{}, window), report: report, waiting: map[int32]chan response{}, done: make(chan struct{})}
}

// close ends the session; it is safe to call again.
func (s *session) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.gone {
		s.gone = true
		close(s.done)
		_ = s.conn.Close()
	}
}

// ended reports whether the connection is of no use any more.
func (s *session) ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// submit sends the parts of a text and waits for their answers until ctx ends. The answer
// of a part that was not sent, because another failed, is not among them.
func (s *session) submit(ctx context.Context, parts []*pdu.SubmitSM) []response {
	var sent []<-chan response
	var failed *response
	for i, p := range parts {
		answer, out := s.ask(ctx, p, true)
		if answer == nil {
			if i > 0 && out.Ending == sms.RefusedElsewhere { // the others are on their way
				out = sms.Outcome{Ending: sms.Ambiguous, Reason: out.Reason}
			}
			failed = &response{failed: out}
			break
		}
		sent = append(sent, answer)
	}
	var all []response
	for _, answer := range sent {
		select {
		case r := <-answer:
			all = append(all, r)
		case <-ctx.Done():
			all = append(all, response{failed: timedOut})
		}
	}
	if failed != nil {
		all = append(all, *failed)
	}
	return all
}

// ask writes a request. The channel gets its answer, or what the end of the connection
// makes of it; it is nil where the request did not leave whole.
func (s *session) ask(ctx context.Context, p pdu.PDU, windowed bool) (<-chan response, sms.Outcome) {
	if windowed {
		select {
		case s.window <- struct{}{}:
		case <-s.done:
			return nil, unreachable
		case <-ctx.Done(): // nothing was written: the window is full
			return nil, sms.Outcome{Ending: sms.RefusedElsewhere, Reason: sms.ReasonThrottled}
		}
	}
	answer, n := s.expect()
	release := func() {
		s.mu.Lock()
		delete(s.waiting, n)
		s.mu.Unlock()
		if windowed {
			<-s.window
		}
	}
	if answer == nil || ctx.Err() != nil {
		release()
		return nil, unreachable
	}
	p.SetSequenceNumber(n)
	if err := s.write(p); err != nil {
		release()
		return nil, badAnswer
	}
	out := make(chan response, 1)
	go func() {
		defer release()
		select {
		case r := <-answer:
			out <- r
		case <-s.done:
			select {
			case r := <-answer:
				out <- r
			default:
				out <- response{failed: badAnswer} // written, and then the connection was lost
			}
		case <-ctx.Done():
			out <- response{failed: timedOut}
		}
	}()
	return out, sms.Outcome{}
}

// expect makes room for an answer, and the number of its request.
func (s *session) expect() (chan response, int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return nil, 0
	}
	if s.last++; s.last <= 0 { // 1 to 0x7FFFFFFF
		s.last = 1
	}
	answer := make(chan response, 1)
	s.waiting[s.last] = answer
	return answer, s.last
}

// write writes a PDU, or ends the session: after a part of one the stream means nothing.
func (s *session) write(p pdu.PDU) error {
	b := pdu.NewBuffer(nil)
	p.Marshal(b)
	s.writing.Lock()
	defer s.writing.Unlock()
	_ = s.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err := s.conn.Write(b.Bytes())
	if err != nil {
		s.close()
	}
	return err
}

var errNoPDU = errors.New("what came is no PDU")

// readPDU reads one PDU, with its header.
func readPDU(r io.Reader) (pdu.Header, []byte, error) {
	var head [headerLength]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return pdu.Header{}, nil, err
	}
	length := binary.BigEndian.Uint32(head[:4])
	if length < headerLength || length > maxPDU {
		return pdu.Header{}, nil, errNoPDU
	}
	whole := make([]byte, length)
	copy(whole, head[:])
	if _, err := io.ReadFull(r, whole[headerLength:]); err != nil {
		return pdu.Header{}, nil, err
	}
	return pdu.ParseHeader(head), whole, nil
}

// run reads until the session ends, and enquires meanwhile.
func (s *session) run(ctx context.Context, every time.Duration) {
	defer s.close()
	stop := context.AfterFunc(ctx, s.leave)
	defer stop()
	var beat sync.WaitGroup
	defer beat.Wait()
	defer s.close()
	beat.Go(func() { s.enquire(ctx, every) })
	for {
		_ = s.conn.SetReadDeadline(time.Now().Add(every + 2*enquireTimeout))
		h, whole, err := readPDU(s.conn)
		if err != nil || !s.take(h, whole) {
			return
		}
	}
}

// leave says good-bye and closes.
func (s *session) leave() {
	_ = s.write(pdu.NewUnbind())
	s.close()
}

// enquire tries the connection every so often.
func (s *session) enquire(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-s.done:
			return
		case <-tick.C:
			if s.alive(ctx) != nil {
				s.close()
				return
			}
		}
	}
}

var errSilent = errors.New("the message centre does not answer")

// alive asks for an answer to an enquire_link.
func (s *session) alive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, enquireTimeout)
	defer cancel()
	answer, _ := s.ask(ctx, pdu.NewEnquireLink(), false)
	if answer == nil {
		return errSilent
	}
	if r := <-answer; r.failed.Ending != "" {
		return errSilent
	}
	return nil
}

// take does what a PDU asks, and reports whether the session goes on.
func (s *session) take(h pdu.Header, whole []byte) bool {
	switch h.CommandID {
	case data.ENQUIRE_LINK:
		answer := pdu.NewEnquireLinkResp()
		answer.SetSequenceNumber(h.SequenceNumber)
		return s.write(answer) == nil
	case data.UNBIND:
		answer := pdu.NewUnbindResp()
		answer.SetSequenceNumber(h.SequenceNumber)
		_ = s.write(answer)
		return false
	case data.DELIVER_SM:
		p, err := parse(whole)
		if err != nil {
			return s.acknowledge(h.SequenceNumber, data.ESME_RINVMSGLEN) == nil
		}
		s.report(p)
		return true
	}
	if uint32(h.CommandID)&0x80000000 != 0 {
		s.answered(h, whole)
		return true
	}
	nack := pdu.NewGenericNack().(*pdu.GenericNack)
	nack.CommandStatus = data.ESME_RINVCMDID
	nack.SetSequenceNumber(h.SequenceNumber)
	return s.write(nack) == nil
}

// answered brings an answer to who waits for it. Its body is read here, since gosmpp takes
// no answer that is a header alone, as the specification has it where there is an error.
func (s *session) answered(h pdu.Header, whole []byte) {
	r := response{command: h.CommandID, status: h.CommandStatus}
	body := whole[headerLength:]
	if end := bytes.IndexByte(body, 0); end >= 0 && end < maxID {
		r.id = string(body[:end])
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if answer := s.waiting[h.SequenceNumber]; answer != nil {
		delete(s.waiting, h.SequenceNumber)
		s.useful = true
		answer <- r
	}
}

// parse reads a deliver_sm. gosmpp is not trusted to take whatever comes.
func parse(whole []byte) (d *pdu.DeliverSM, err error) {
	defer func() {
		if recover() != nil {
			d, err = nil, errNoPDU
		}
	}()
	p, err := pdu.Parse(bytes.NewReader(whole))
	if err != nil {
		return nil, errNoPDU
	}
	d, ok := p.(*pdu.DeliverSM)
	if !ok {
		return nil, errNoPDU
	}
	return d, nil
}

// acknowledge answers a deliver_sm.
func (s *session) acknowledge(sequence int32, status data.CommandStatusType) error {
	answer := pdu.NewDeliverSMResp().(*pdu.DeliverSMResp)
	answer.CommandStatus = status
	answer.SetSequenceNumber(sequence)
	return s.write(answer)
}
