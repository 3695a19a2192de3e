package login_test

import (
	"context"
	"net/http"
	"testing"
	"time"
)

// An update that was decided before an erasure and comes after it writes nothing, no password either.
func TestAnUpdateOfWhoIsErasedMeanwhileWritesNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	id := h.member(map[string]any{"role": "provider", "user_id": "ada", "phone": "604 441 0142"})
	events := h.count("SELECT count(*) FROM login_event")
	tx, err := h.owner.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background())
	if _, err := tx.Exec(t.Context(), "SELECT FROM member WHERE id = $1 FOR UPDATE", id); err != nil {
		t.Fatal(err)
	}
	answered := make(chan int, 1)
	go func() {
		status, _ := h.call("PUT", "/v1/members/"+id.String(), map[string]any{"role": "supervisor", "user_id": "ada", "password": password}, "Authorization", "Bearer "+h.apiKey)
		answered <- status
	}()
	for h.count("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'latchkey_login' AND wait_event_type = 'Lock'") == 0 {
		time.Sleep(time.Millisecond)
	}
	for _, sql := range []string{"INSERT INTO privacy_job (id, account_id, member_id, kind, requested_by) SELECT id, account_id, id, 'erase', 'operator' FROM member WHERE id = $1", "SELECT member_forget($1)"} {
		if _, err := tx.Exec(t.Context(), sql, id); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status := <-answered; status != http.StatusServiceUnavailable {
		t.Errorf("the update is answered %d, want 503: sent again it is 410", status)
	}
	if n := h.count("SELECT count(*) FROM credential") + h.count("SELECT count(*) FROM member"); n != 0 {
		t.Errorf("%d rows of who is erased", n)
	}
	if n := h.count("SELECT count(*) FROM login_event"); n != events {
		t.Errorf("%d events tell of a change that was not made", n-events)
	}
}
