package auditor_test

import (
	"regexp"
	"testing"

	"latchkey.dev/services/internal/storetest"
)

// exported are the tables that name a person and are in an export, each with the columns that
// are not, which nobody can read or which say nothing of the person.
var exported = map[string]string{
	"member":            "phone_sealed phone_version phone_index phone_last_two email_sealed email_version email_index has_email version may_lack_device may_be_capped",
	"credential":        "digest",
	"session":           "token_digest account_id",
	"console_session":   "token_digest account_id",
	"device":            "account_id challenge_id",
	"challenge":         "account_id member_id device_thumbprint seed epoch phone_sealed phone_version expires_at typed_text",
	"notice":            "account_id address_sealed address_version device_id due_at tries token_digest",
	"client_assignment": "",
	"number_proof":      "",
	"member_try":        "",
	"operator_right":    "granted_by",
}

// left are those that are not, and why.
var left = map[string]string{
	"console_grant":     "lives for a minute, between login and console",
	"idempotency_key":   "lives for a day, or 30 after an import, keyed digests alone",
	"password_link":     "lives for a day, a digest alone; that it was made is an event",
	"privacy_job":       "is the export itself, and erasures, of whom nothing is left",
	"registration_code": "lives for a day, a digest alone; that it was made, approved and used are events",
}

var namesPerson = regexp.MustCompile(`member|client_id|staff|person`)

// Every table that names a person is in the export, whole, or has a reason not to be.
func TestNothingIsForgottenInAnExport(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	names := map[string]bool{"member": true}
	for _, c := range storetest.Columns(t, a.owner, "uuid") {
		if !namesPerson.MatchString(c.Name) {
			continue
		}
		names[c.Table] = true
		if _, ok := exported[c.Table]; !ok && left[c.Table] == "" {
			t.Errorf("%s names a person by %s: put it in the export and in what an erasure removes, or say here why not", c.Table, c.Name)
		}
	}
	for table := range left {
		if !names[table] {
			t.Errorf("%s names nobody any more", table)
		}
	}
	rows, err := a.owner.Query(t.Context(), `SELECT table_name::text, column_name::text, has_column_privilege('latchkey_auditor', table_name::text, column_name::text, 'SELECT')
		FROM information_schema.columns WHERE table_schema = 'public'`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var table, column string
		var read bool
		if err := rows.Scan(&table, &column, &read); err != nil {
			t.Fatal(err)
		}
		out, ok := exported[table]
		if listed := regexp.MustCompile(`\b` + column + `\b`).MatchString(out); ok && read == listed {
			t.Errorf("%s.%s: the auditor reads it: %v; listed as left out of exports: %v", table, column, read, listed)
		}
		delete(names, table)
	}
	for table := range names {
		t.Errorf("%s is no table", table)
	}
}
