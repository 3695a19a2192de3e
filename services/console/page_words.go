package console

import (
	"latchkey.dev/services/device"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/phone"
	"latchkey.dev/services/words"
)

// What pages say of what is a name in the API.
var (
	roleWords = map[device.Role]string{
		device.Owner: "people:role.owner", device.Administrator: "people:role.administrator", device.Supervisor: "people:role.supervisor",
		device.Provider: "people:role.provider", device.Client: "people:role.client",
	}
	faultWords = map[string]string{
		"bad_role": "people:fault.bad_role", "client_or_staff": "people:fault.client_or_staff", "bad_user_id": "people:fault.bad_user_id",
		"user_id_is_made": "people:fault.user_id_is_made", "user_id_taken": "people:fault.user_id_taken", "number_required": "people:fault.number_required",
		"demographics_off": "people:fault.demographics_off", "not_a_number": "people:fault.not_a_number", "cannot_receive": "people:fault.cannot_receive",
		"country_not_allowed": "people:fault.country_not_allowed", "not_an_address": "people:fault.not_an_address", "bad_language": "people:fault.bad_language",
	}
	refusalWords = map[string]string{
		errLastOwner.Type: "people:refused.last_owner", errNoUserID.Type: "people:refused.no_user_id", errNotAssignable.Type: "people:refused.not_staff",
		errSamePerson.Type: "people:refused.same_person",
		errNotConfirm.Type: "privacy:refused.not_confirmed", errManyJobs.Type: "privacy:refused.too_many",
	}
	optionsRefused = map[string]string{errNotProved.Type: "options:refused.not_proved", errOwnerNumber.Type: "options:refused.own_number", errChanged.Type: "options:refused.changed"}
	optionsFaults  = map[string]string{
		"always_on": "options:fault.always_on", "bad_policy": "options:fault.bad_policy", "bad_jump": "options:fault.bad_jump", "bad_language": "people:fault.bad_language",
		"bad_cooldown": "options:fault.bad_cooldown", "bad_contact": "options:fault.bad_contact", "bad_country": "options:fault.bad_country", "too_many": "options:fault.too_many",
		"own_country": "options:fault.own_country",
	}
	doubtWords = map[phone.Doubt]string{phone.MaybeFixed: "people:confirm.maybe_fixed", phone.NotMobile: "people:confirm.doubtful"}
	doneWords  = map[string]string{
		"saved": "people:done.saved", "deactivate": "people:done.deactivate", "reactivate": "people:done.reactivate", "unlock": "people:done.unlock", "revoked": "people:done.revoked",
	}
)

func roleWord(l words.Language, r device.Role) string {
	if key, ok := roleWords[r]; ok {
		return l.Say(key)
	}
	return ""
}

// faultsIn says what is wrong with each field.
func faultsIn(l words.Language, p *web.Problem) map[string]string {
	all := map[string]string{}
	for _, f := range p.Faults {
		if key, ok := faultWords[f.Code]; ok {
			all[f.Field] = l.Say(key)
		} else {
			all[f.Field] = f.Detail
		}
	}
	return all
}

// choice is an entry of a select.
type choice struct{ Value, Word string }

func roleChoices(l words.Language, roles []device.Role) []choice {
	all := make([]choice, len(roles))
	for i, r := range roles {
		all[i] = choice{string(r), roleWord(l, r)}
	}
	return all
}

func languageChoices() []choice {
	all := make([]choice, len(words.Languages))
	for i, l := range words.Languages {
		all[i] = choice{string(l), l.Name()}
	}
	return all
}
