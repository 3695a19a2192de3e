-- name: DatabaseTime :one
SELECT now()::timestamptz;

-- name: JudgePublicKeyInsert :exec
INSERT INTO judge_public_key (id, public_key) VALUES (@id, @public_key) ON CONFLICT DO NOTHING;

-- name: EntryRead :many
-- Entries that have no verdict yet, in the order they were typed.
SELECT e.id, e.challenge_id, e.judge_key, e.encapsulated, e.sealed, e.entered_at, c.member_id
FROM entry e JOIN challenge c ON c.id = e.challenge_id
WHERE e.id = ANY(@ids::uuid[]) AND NOT EXISTS (SELECT FROM verdict v WHERE v.entry_id = e.id)
ORDER BY e.entered_at, e.id;

-- name: EntryUnjudged :many
-- Entries typed in a window of the database's clock that have no verdict.
SELECT e.id, e.entered_at FROM entry e
WHERE e.entered_at >= @since AND e.entered_at < now() - (@lag_seconds::double precision) * interval '1 second'
    AND NOT EXISTS (SELECT FROM verdict v WHERE v.entry_id = e.id)
ORDER BY e.entered_at LIMIT @most;

-- name: MemberLock :exec
-- Serialises all judging of a member until the transaction ends, also of members that have
-- no counter yet. Sorted, so that two batches cannot lock each other out.
SELECT pg_advisory_xact_lock(k) FROM (SELECT unnest(@keys::bigint[]) AS k ORDER BY 1) AS sorted;

-- name: ChallengeLock :many
SELECT id, account_id, member_id, software_id, device_kind, device_thumbprint, device_facets, purpose, seed, epoch,
    expires_at, tries, closed_at
FROM challenge WHERE id = ANY(@ids::uuid[]) ORDER BY id FOR UPDATE;

-- name: MemberTryRead :many
SELECT member_id, hour_started_at, hour_count, day_started_at, day_count, consecutive, now()::timestamptz AS now
FROM member_try WHERE member_id = ANY(@ids::uuid[]);

-- name: MemberTryWrite :exec
INSERT INTO member_try (member_id, hour_started_at, hour_count, day_started_at, day_count, consecutive)
SELECT unnest(@ids::uuid[]), unnest(@hour_starts::timestamptz[]), unnest(@hour_counts::integer[]),
    unnest(@day_starts::timestamptz[]), unnest(@day_counts::integer[]), unnest(@consecutives::integer[])
ON CONFLICT (member_id) DO UPDATE SET hour_started_at = EXCLUDED.hour_started_at, hour_count = EXCLUDED.hour_count,
    day_started_at = EXCLUDED.day_started_at, day_count = EXCLUDED.day_count, consecutive = EXCLUDED.consecutive;

-- name: VerdictInsert :many
-- The winner's rows come back; an entry that was judged meanwhile keeps its first verdict.
INSERT INTO verdict (entry_id, challenge_id, result, tries_left)
SELECT unnest(@entry_ids::uuid[]), unnest(@challenge_ids::uuid[]), unnest(@results::text[]), unnest(@tries_left::smallint[])
ON CONFLICT DO NOTHING RETURNING entry_id;

-- name: ChallengeCount :exec
-- Counts tries and closes what ended ('' leaves it open).
WITH q AS (
    SELECT unnest(@ids::uuid[]) AS id, unnest(@tries::smallint[]) AS tries,
        unnest(@end_reasons::text[]) AS end_reason, unnest(@typed_texts::smallint[]) AS typed_text
)
UPDATE challenge c SET tries = q.tries,
    closed_at = CASE WHEN q.end_reason <> '' THEN now() END,
    end_reason = nullif(q.end_reason, ''), typed_text = nullif(q.typed_text, 0)
FROM q WHERE c.id = q.id AND c.closed_at IS NULL;

-- name: DeviceRetire :exec
-- Ends the live registration of the same key, if there is one: the device was upgraded.
WITH q AS (SELECT unnest(@member_ids::uuid[]) AS member_id, unnest(@software_ids::text[]) AS software_id, unnest(@thumbprints::bytea[]) AS thumbprint)
UPDATE device d SET revoked_at = now(), revoke_reason = 'upgraded'
FROM q WHERE d.member_id = q.member_id AND d.software_id = q.software_id AND d.thumbprint = q.thumbprint AND d.revoked_at IS NULL;

-- name: DeviceInsert :exec
INSERT INTO device (id, account_id, member_id, software_id, kind, thumbprint, challenge_id, registered_facets, seen_facets)
SELECT q.id, c.account_id, c.member_id, c.software_id, c.device_kind, c.device_thumbprint, c.id, c.device_facets, c.device_facets
FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@challenge_ids::uuid[]) AS challenge_id) q
JOIN challenge c ON c.id = q.challenge_id;

-- name: ChallengeExpire :many
-- Closes challenges whose time is over, but for those with an entry that still waits for its verdict.
UPDATE challenge SET closed_at = now(), end_reason = 'expired'
WHERE id IN (
    SELECT c.id FROM challenge c
    WHERE c.closed_at IS NULL AND c.expires_at < now()
        AND NOT EXISTS (SELECT FROM entry e WHERE e.challenge_id = c.id AND NOT EXISTS (SELECT FROM verdict v WHERE v.entry_id = e.id))
    ORDER BY c.id LIMIT @most FOR UPDATE SKIP LOCKED)
RETURNING id, account_id, member_id;

-- name: PartitionUpkeep :one
SELECT partition_upkeep();
