package doctor

import (
	"reflect"
	"slices"
	"testing"

	"latchkey.dev/services/internal/config"
)

// Every file that the configuration can name as holding a secret is looked at, also those of
// kinds that have their fields in a part of their own.
func TestEverySecretFileIsLookedAt(t *testing.T) {
	t.Parallel()
	var all []string
	for _, of := range []any{config.Provider{APISecretFile: "/a", AuthTokenFile: "/b", AWS: config.AWS{SecretAccessKeyFile: "/c"}}, &config.Mail{PasswordFile: "/d"}, (*config.Mail)(nil),
		struct {
			Keys []string `yaml:"old_key_files"`
			Not  string   `yaml:"profile"`
		}{[]string{"/e", "/f"}, "/g"}} {
		for _, named := range secretFiles(reflect.ValueOf(of), "") {
			all = append(all, named[0]+" "+named[1])
		}
	}
	if want := []string{"api_secret_file /a", "auth_token_file /b", "secret_access_key_file /c", "password_file /d", "old_key_file /e", "old_key_file /f"}; !slices.Equal(all, want) {
		t.Errorf("looked at are %q, want %q", all, want)
	}
}
