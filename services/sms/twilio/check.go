package twilio

import (
	"context"
	"net/http"
	"regexp"

	"github.com/twilio/twilio-go/client"
	api "github.com/twilio/twilio-go/rest/api/v2010"

	"latchkey.dev/services/sms/wire"
)

var (
	amount   = regexp.MustCompile(`^-?[0-9]{1,12}(\.[0-9]{1,8})?$`)
	currency = regexp.MustCompile(`^[A-Za-z]{3}$`)
)

// Check implements sms.Checker: it asks for the account's balance
// (https://www.twilio.com/docs/usage/api/balance). Subaccounts have none of their own.
func (s *Sender) Check(ctx context.Context) (string, error) {
	var got struct {
		Balance  string `json:"balance"`
		Currency string `json:"currency"`
	}
	err := wire.Check(ctx, s.o.Transport, wire.Into(&got), func(c *http.Client) {
		_, _ = s.api(c).FetchBalance(new(api.FetchBalanceParams))
	})
	if err != nil || !amount.MatchString(got.Balance) || !currency.MatchString(got.Currency) {
		return "", err
	}
	return got.Balance + " " + got.Currency, nil
}

// api is the SDK, pointed at the account and at where its API is.
func (s *Sender) api(c *http.Client) *api.ApiService {
	inner := &client.Client{Credentials: client.NewCredentials(s.o.AccountSID, s.o.AuthToken.Reveal()), HTTPClient: c}
	inner.SetAccountSid(s.o.AccountSID)
	// NewRequestHandler is not used: it would take region and edge from the environment.
	return api.NewApiService(&client.RequestHandler{Client: pointed{inner, s.o.BaseURL}})
}
