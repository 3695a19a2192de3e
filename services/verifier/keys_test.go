package verifier

import (
	"errors"
	"testing"

	queries "latchkey.dev/queries/verifier"
	"latchkey.dev/services/internal/storetest"
)

// The key that login seals to shows also when the first try to show it failed: else
// nobody could type a code until the verifier is started again.
func TestAJudgesKeyIsPublishedAfterAFailure(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	owner := db.Owner(t)
	k := newKeyring(queries.New(db.KeysPool(t, "verifier")), queries.New(db.Pool(t, "verifier")))
	if _, err := owner.Exec(t.Context(), "ALTER TABLE judge_public_key RENAME TO away"); err != nil {
		t.Fatal(err)
	}
	if err := k.upkeep(t.Context()); err == nil {
		t.Fatal("publishing a key to a table that is away did not fail")
	}
	if _, err := owner.Exec(t.Context(), "ALTER TABLE away RENAME TO judge_public_key"); err != nil {
		t.Fatal(err)
	}
	if err := k.upkeep(t.Context()); err != nil {
		t.Fatal(err)
	}
	var id int64
	if err := owner.QueryRow(t.Context(), "SELECT id FROM judge_public_key").Scan(&id); err != nil || !k.opener.Has(id) {
		t.Errorf("published key: %v, held: %v", err, k.opener.Has(id))
	}
}

// F29: a key that any verifier destroyed is gone from the memory of all.
func TestDestroyedKeysAreForgotten(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	k := newKeyring(queries.New(db.KeysPool(t, "verifier")), queries.New(db.Pool(t, "verifier")))
	if err := k.upkeep(t.Context()); err != nil {
		t.Fatal(err)
	}
	owner := db.KeysOwner(t)
	var today, hour int64
	if err := owner.QueryRow(t.Context(), "SELECT max(j.id), min(c.epoch) FROM judge_key j, code_epoch c").Scan(&today, &hour); err != nil {
		t.Fatal(err)
	}
	const old = 1
	for _, sql := range []string{"INSERT INTO judge_key (id, private_key, public_key) SELECT 1, private_key, public_key FROM judge_key", "INSERT INTO code_epoch (epoch, key) SELECT 1, key FROM code_epoch LIMIT 1"} {
		if _, err := owner.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.judgeKey(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	if _, err := k.epoch(t.Context(), old); err != nil || !k.opener.Has(old) {
		t.Fatalf("the old keys are not read: %v, %v", err, k.opener.Has(old))
	}
	for _, sql := range []string{"DELETE FROM judge_key WHERE id = 1", "DELETE FROM code_epoch WHERE epoch = 1"} {
		if _, err := owner.Exec(t.Context(), sql); err != nil { // as another verifier does
			t.Fatal(err)
		}
	}
	if err := k.upkeep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := k.epoch(t.Context(), old); !errors.Is(err, errNoKey) || k.opener.Has(old) {
		t.Errorf("a destroyed hour's key: %v; a destroyed judge's key is held: %v", err, k.opener.Has(old))
	}
	if _, err := k.epoch(t.Context(), hour); err != nil || !k.opener.Has(today) {
		t.Errorf("the keys in use: %v, %v", err, k.opener.Has(today))
	}
}
