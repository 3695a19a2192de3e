// Package carriers simulates the companies that carry texts: servers that speak the
// vendors' protocols as they document them, with phones that receive, receipts that come
// back, and faults on command. Options say which of the carriers run.
//
// One port serves the vendors' APIs, the control API, and at / the page that shows the
// phones: the one place where a code can be read.
//
// # SMPP
//
// The message centre of SMPP 3.4 has no port of its own unless Simulator.Listen gives it one. Its modes
// are the same, as far as the protocol has them: refuse answers with the command_status in code
// (0x0000000b); throttle with ESME_RTHROTTLED; broken and redirect with ESME_RSYSERR; bad_json is half a
// PDU and the end of the connection; no_messages an answer to another command; huge a PDU of 10 MB; down
// ends every connection. Reports go over whichever connection is bound, and come again until they are
// taken; a forged one names a text of nobody, since nothing but the connection makes a report authentic.
//
// # Control API
//
// In JSON. Bad requests get an RFC 9457 problem document. A browser's requests from pages
// of other origins are refused, and so are names with a dot that Options.Hosts does not
// list.
//
//	GET  /control/carriers                      every carrier that runs: a list of State
//	GET  /control/carriers/{carrier}            one of them
//	PUT  /control/carriers/{carrier}/behaviour  a Behaviour, in effect from the next request on
//	GET  /control/texts                         the journal, oldest first: Texts
//	     ?since=seq   only texts after that one
//	     ?to=number   only texts to that number, E.164 with its + (written %2B in a query)
//	     ?limit=n     at most n texts, 1 to 1000 (100)
//	GET  /control/texts/{number}/{n}            the nth Text to a number since the last reset, counted from 1
//	     ?wait=s      waits up to s seconds for it, 0 to 60 (0); 404 if it did not come
//	POST /control/reset                         forgets texts and counters; the carriers work again
package carriers
