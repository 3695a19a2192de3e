package awssms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	sdk "github.com/aws/aws-sdk-go-v2/service/pinpointsmsvoicev2"
	"github.com/aws/aws-sdk-go-v2/service/pinpointsmsvoicev2/types"

	"latchkey.dev/services/sms/wire"
)

// spendLimits is what is read of DescribeSpendLimits.
type spendLimits struct {
	SpendLimits []struct {
		Name          types.SpendLimitName
		EnforcedLimit int64 // US dollars
	}
}

// Check implements sms.Checker: it asks how much the account may spend on texts.
func (s *Sender) Check(ctx context.Context) (account string, err error) {
	err = wire.Check(ctx, s.o.Transport, func(a wire.Answer) (err error) {
		account, err = limits(a)
		return err
	}, func(client *http.Client) {
		// The call has ctx's end already.
		_, _ = s.client.DescribeSpendLimits(context.WithoutCancel(ctx), &sdk.DescribeSpendLimitsInput{}, carrying(client))
	})
	return account, err
}

func limits(a wire.Answer) (string, error) {
	if a.Status != http.StatusOK {
		var got answer
		_ = json.Unmarshal(a.Body, &got)
		switch name := exception(a, got); {
		case name == "AccessDeniedException" && got.Reason == "":
			return "", errors.New("AWS knows the access key, but it lacks the right sms-voice:DescribeSpendLimits")
		case name == "AccessDeniedException":
			return "", errors.New("AWS has barred the account from sending texts")
		case a.Status >= 400 && a.Status < 500 && name != "" && name != "ThrottlingException":
			return "", fmt.Errorf("AWS does not take the access key (%s)", code(name, got.Reason))
		}
		return "", fmt.Errorf("AWS answered with HTTP status %d", a.Status)
	}
	var got spendLimits
	if json.Unmarshal(a.Body, &got) != nil {
		return "", errors.New("AWS gave an answer that cannot be read")
	}
	for _, l := range got.SpendLimits {
		if l.Name == types.SpendLimitNameTextMessageMonthlySpendLimit {
			return fmt.Sprintf("at most %d USD a month", l.EnforcedLimit), nil
		}
	}
	return "", nil
}
