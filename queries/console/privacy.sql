-- name: PrivacyJobInsert :one
-- Asks for an export or an erasure, unless one is on its way: then it is that one.
WITH made AS (
    INSERT INTO privacy_job (id, account_id, member_id, kind, requested_by) VALUES (@id, @account_id, @member_id, @kind, @requested_by)
    ON CONFLICT DO NOTHING RETURNING id
)
SELECT made.id, true AS made FROM made UNION ALL
SELECT j.id, false FROM privacy_job j WHERE j.member_id = @member_id AND j.kind = @kind AND j.requested_by = @requested_by AND j.done_at IS NULL LIMIT 1;

-- name: PrivacyJobsLock :exec
-- Lets one job of an account be asked for at a time.
SELECT pg_advisory_xact_lock(hashtextextended('latchkey privacy jobs ' || (@account_id::uuid)::text, 0));

-- name: PrivacyJobsOpen :one
SELECT count(*) FROM privacy_job WHERE account_id = @account_id AND done_at IS NULL;

-- name: PrivacyJobRead :one
-- A job of who asked for it, for as long as there is something to see.
SELECT id, member_id, kind, requested_at, progress, found, done_at, (coalesce(done_at, now()) + interval '7 days')::timestamptz AS until FROM privacy_job
WHERE id = @id AND account_id = @account_id AND requested_by = @requested_by AND (done_at IS NULL OR done_at > now() - interval '7 days');

-- name: ExportLatest :one
-- The newest export of a person that somebody asked for, while it can be read.
SELECT id FROM privacy_job WHERE member_id = @member_id AND account_id = @account_id AND requested_by = @requested_by AND kind = 'export'
    AND (done_at IS NULL OR done_at > now() - interval '7 days') ORDER BY requested_at DESC LIMIT 1;

-- name: ErasureRead :one
-- The erasure of a person that somebody asked for.
SELECT id FROM privacy_job WHERE member_id = @member_id AND account_id = @account_id AND requested_by = @requested_by AND kind = 'erase';

-- name: MemberForget :one
SELECT member_forget(@id::uuid)::boolean AS was;
