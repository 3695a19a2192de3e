package vonage

import (
	"context"
	"net/http"
	"strconv"

	"latchkey.dev/services/sms/wire"
)

// Check implements sms.Checker: it asks for the account's balance
// (https://developer.vonage.com/en/api/account#getAccountBalance), which Vonage keeps in
// euros. Key and secret go in a header, so that they are in nobody's log of addresses.
func (s *Sender) Check(ctx context.Context) (string, error) {
	var got struct {
		Value *float64 `json:"value"`
	}
	err := wire.Check(ctx, s.o.Transport, wire.Into(&got), func(client *http.Client) {
		r, err := http.NewRequest(http.MethodGet, s.o.BaseURL+"/account/get-balance", nil)
		if err != nil {
			return // no request: the address is wrong
		}
		r.SetBasicAuth(s.o.APIKey, s.o.APISecret.Reveal())
		_, _ = client.Do(r)
	})
	if err != nil || got.Value == nil {
		return "", err
	}
	return strconv.FormatFloat(*got.Value, 'f', 2, 64) + " EUR", nil
}
