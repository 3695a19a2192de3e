// Package configured makes the senders that an installation's configuration names.
package configured

import (
	"cmp"
	"errors"
	"fmt"

	"latchkey.dev/services/internal/config"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/sms"
	"latchkey.dev/services/sms/awssms"
	"latchkey.dev/services/sms/smpp"
	"latchkey.dev/services/sms/twilio"
	"latchkey.dev/services/sms/vonage"
	"latchkey.dev/services/sms/webhook"
)

// usualRate is how many texts a second a vendor takes where the configuration does not say.
// Vonage allows 30 a second and key (https://api.support.vonage.com/hc/en-us/articles/203993598):
// a little below it, bursts do not meet the limit.
var usualRate = map[string]float64{"vonage": 27}

// Providers returns the configured providers in their order, or everything that is wrong
// with them at once. receiptKey makes the tokens of the addresses that they report to.
func Providers(c config.File, receiptKey secret.String) ([]sms.Provider, error) {
	callback := sms.Callback{Base: c.Receipts, Key: receiptKey}
	var all []sms.Provider
	var errs []error
	for _, p := range c.Providers {
		made, err := provider(p, callback)
		if err != nil {
			errs = append(errs, fmt.Errorf("provider %s: %w", p.Name, err))
			continue
		}
		made.Rate = cmp.Or(p.Rate, usualRate[p.Kind])
		if !callback.Enabled() || p.Kind == "aws" && p.SNSTopic == "" {
			made.Receipts = nil // none are asked for: that none comes says nothing of a text
		}
		all = append(all, made)
	}
	if len(c.Providers) == 0 {
		errs = append(errs, errors.New("no provider is configured: without one no text can be sent"))
	}
	return all, errors.Join(errs...)
}

func provider(p config.Provider, callback sms.Callback) (sms.Provider, error) {
	switch p.Kind {
	case "vonage":
		apiSecret, err := secret.FromFile(p.APISecretFile)
		if err != nil {
			return sms.Provider{}, err
		}
		signature, err := optional(p.SignatureSecretFile)
		if err != nil {
			return sms.Provider{}, err
		}
		s, err := vonage.New(vonage.Options{Name: p.Name, APIKey: p.APIKey, APISecret: apiSecret, From: p.From, BaseURL: p.BaseURL, Receipts: callback,
			SignatureSecret: signature, SignatureMethod: p.SignatureMethod})
		if err != nil {
			return sms.Provider{}, err
		}
		return sms.Provider{Name: p.Name, Sender: s, Receipts: s}, nil
	case "twilio":
		token, err := secret.FromFile(p.AuthTokenFile)
		if err != nil {
			return sms.Provider{}, err
		}
		s, err := twilio.New(twilio.Options{Name: p.Name, AccountSID: p.AccountSID, AuthToken: token, From: p.From,
			MessagingServiceSID: p.MessagingServiceSID, BaseURL: p.BaseURL, Receipts: callback})
		if err != nil {
			return sms.Provider{}, err
		}
		return sms.Provider{Name: p.Name, Sender: s, Receipts: s}, nil
	case "aws":
		key, err := secret.FromFile(p.SecretAccessKeyFile)
		if err != nil {
			return sms.Provider{}, err
		}
		s, err := awssms.New(awssms.Options{Name: p.Name, Region: p.Region, AccessKeyID: p.AccessKeyID, SecretAccessKey: key, From: p.From,
			ConfigurationSet: p.ConfigurationSet, ProtectConfiguration: p.ProtectConfiguration, SNSTopic: p.SNSTopic, BaseURL: p.BaseURL, SNSOrigin: p.SNSURL, Receipts: callback})
		if err != nil {
			return sms.Provider{}, err
		}
		return sms.Provider{Name: p.Name, Sender: s, Receipts: s}, nil
	case "webhook":
		var secrets []secret.String
		for _, path := range p.SecretFiles {
			one, err := secret.FromFile(path)
			if err != nil {
				return sms.Provider{}, err
			}
			secrets = append(secrets, one)
		}
		s, err := webhook.New(webhook.Options{Name: p.Name, URL: p.URL, Secrets: secrets, Receipts: callback})
		if err != nil {
			return sms.Provider{}, err
		}
		return sms.Provider{Name: p.Name, Sender: s, Receipts: s}, nil
	case "smpp":
		password, err := secret.FromFile(p.PasswordFile)
		if err != nil {
			return sms.Provider{}, err
		}
		s, err := smpp.New(smpp.Options{Name: p.Name, Address: p.Address, Plaintext: p.Plaintext, SystemID: p.SystemID, Password: password,
			SystemType: p.SystemType, From: p.From, Window: p.Window, MessageIDs: p.MessageID})
		if err != nil {
			return sms.Provider{}, err
		}
		return sms.Provider{Name: p.Name, Sender: s, Source: s}, nil
	}
	return sms.Provider{}, fmt.Errorf("there is no kind %q", p.Kind)
}

// optional reads a secret that need not be configured, but must not be empty where it is.
func optional(path string) (secret.String, error) {
	if path == "" {
		return secret.String{}, nil
	}
	s, err := secret.FromFile(path)
	if err == nil && s.Empty() {
		err = fmt.Errorf("the secret in %s is empty", path)
	}
	return s, err
}
