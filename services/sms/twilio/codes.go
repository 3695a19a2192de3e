package twilio

import "latchkey.dev/services/sms"

// classify says what an error code means for the next step
// (https://www.twilio.com/docs/api/errors). Codes that we do not know are refusals that
// another provider may not share.
func classify(code int) sms.Outcome {
	if v, ok := verdicts[code]; ok {
		return v
	}
	return sms.Outcome{Ending: sms.RefusedElsewhere, Reason: sms.ReasonRefused}
}

var verdicts = table(map[sms.Outcome][]int{
	// The number itself: no such number, a landline, a short code, a premium number.
	// 21211 also stands for a number written wrongly; ours are validated before.
	{Ending: sms.RefusedNever, Reason: sms.ReasonBadNumber}: {21211, 21217, 21265, 21268, 21401, 21614, 21635},
	// The person answered STOP to this sender.
	{Ending: sms.RefusedNever, Reason: sms.ReasonOptedOut}: {21610},
	// Twilio has no way to it: not reachable, no route from this sender, unknown destination,
	// "landline or unreachable carrier".
	{Ending: sms.RefusedElsewhere, Reason: sms.ReasonBadNumber}: {21214, 21612, 30003, 30005, 30006},
	// Rates: API, sender's queue, per second, per account.
	{Ending: sms.RefusedElsewhere, Reason: sms.ReasonThrottled}: {14107, 20429, 21611, 30001, 30022, 88811},
	// Credentials, account, sender, permissions, and what our own request has wrong.
	{Ending: sms.RefusedElsewhere, Reason: sms.ReasonMisconfigured}: {20001, 20002, 20003, 20004, 20006, 20008, 20404, 21212, 21213, 21266, 21267,
		21408, 21602, 21603, 21604, 21605, 21606, 21608, 21609, 21617, 21618, 21619, 21620, 21621, 21656, 21658, 21659, 21660, 21661,
		21701, 21702, 21703, 21704, 21705, 30024, 30034, 30035},
	// Money, suspension, daily limits.
	{Ending: sms.RefusedElsewhere, Reason: sms.ReasonQuota}: {10001, 10002, 20005, 30002, 30010, 63038, 90010},
	// Twilio's own failure, said before the text was taken.
	{Ending: sms.RefusedElsewhere, Reason: sms.ReasonProviderError}: {20503, 30008, 30009, 30017},
})

// table turns the lists around.
func table(lists map[sms.Outcome][]int) map[int]sms.Outcome {
	out := map[int]sms.Outcome{}
	for verdict, codes := range lists {
		for _, code := range codes {
			out[code] = verdict
		}
	}
	return out
}
