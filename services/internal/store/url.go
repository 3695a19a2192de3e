package store

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"latchkey.dev/services/internal/secret"
)

// URLFor returns the URL by which a role reaches a database of the cluster that admin's
// URL (or keyword string) is of. The password is left out if empty.
func URLFor(admin secret.String, database, role string, password secret.String) (secret.String, error) {
	if v := admin.Reveal(); !strings.HasPrefix(v, "postgres://") && !strings.HasPrefix(v, "postgresql://") {
		quote := func(v string) string { return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v) + "'" }
		// What comes later in a keyword string counts.
		return secret.New(fmt.Sprintf("%s dbname=%s user=%s password=%s", v, quote(database), quote(role), quote(password.Reveal()))), nil
	}
	u, err := url.Parse(admin.Reveal())
	if err != nil {
		return secret.String{}, errors.New("the database's URL cannot be read") // its error would quote it
	}
	u.User = url.User(role)
	if !password.Empty() {
		u.User = url.UserPassword(role, password.Reveal())
	}
	u.Path = "/" + database
	q := u.Query()
	for _, k := range []string{"user", "password", "dbname", "database"} {
		q.Del(k)
	}
	u.RawQuery = q.Encode()
	return secret.New(u.String()), nil
}
