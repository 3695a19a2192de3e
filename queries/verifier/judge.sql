-- name: DatabaseTime :one
SELECT now()::timestamptz;

-- name: JudgePublicKeyInsert :exec
INSERT INTO judge_public_key (id, public_key) VALUES (@id, @public_key) ON CONFLICT DO NOTHING;

-- name: EntryUnjudged :many
-- Entries typed in a window of the database's clock that have no verdict.
SELECT e.id, e.entered_at FROM entry e
WHERE e.entered_at >= @since AND e.entered_at < now() - (@lag_seconds::double precision) * interval '1 second'
    AND NOT EXISTS (SELECT FROM verdict v WHERE v.entry_id = e.id)
ORDER BY e.entered_at LIMIT @most;

-- name: MemberLock :many
-- Serialises all judging of the members of entries until the transaction ends, also of members
-- that have no counter yet, and returns the entries whose members are locked. Sorted, so that
-- two batches cannot lock each other out.
-- Login takes the same lock where it changes a member's number.
SELECT sorted.id, (pg_advisory_xact_lock(sorted.k) IS NULL)::boolean AS unlocked FROM (
    SELECT e.id, hashtextextended('latchkey member ' || c.member_id::text, 0) AS k
    FROM entry e JOIN challenge c ON c.id = e.challenge_id
    WHERE e.id = ANY(@entry_ids::uuid[]) AND NOT EXISTS (SELECT FROM verdict v WHERE v.entry_id = e.id) ORDER BY k) AS sorted;

-- name: JudgeRead :many
-- All that judging needs of entries that have no verdict yet, their challenges locked. What
-- another verifier judged while MemberLock waited for it shows here.
-- has_device says whether the key that a right code would register has a live registration. A
-- challenge is void when its texts went to a number that is not the member's any more, or the
-- member was deactivated or locked, or is no more. has_email says whether a notice goes by e-mail too.
-- The registration codes are those of the member that were live when the entry was typed.
SELECT e.id, e.judge_key, e.encapsulated, e.sealed, e.entered_at,
    c.id AS challenge_id, c.account_id, c.member_id, c.software_id, c.purpose, c.device_kind, c.device_thumbprint, c.device_facets, c.phone_version, c.seed, c.epoch,
    c.expires_at, c.tries, c.closed_at, now()::timestamptz AS now,
    EXISTS (SELECT FROM device d WHERE d.member_id = c.member_id AND d.software_id = c.software_id
        AND d.thumbprint = c.device_thumbprint AND d.revoked_at IS NULL)::boolean AS has_device,
    (NOT EXISTS (SELECT FROM member m WHERE m.id = c.member_id
        AND m.phone_version = c.phone_version AND m.deactivated_at IS NULL AND m.locked_at IS NULL))::boolean AS void,
    EXISTS (SELECT FROM member m WHERE m.id = c.member_id AND m.has_email)::boolean AS has_email,
    ARRAY(SELECT r.id FROM registration_code r WHERE r.member_id = c.member_id AND r.used_at IS NULL AND r.digest IS NOT NULL
        AND r.expires_at >= e.entered_at ORDER BY r.id)::uuid[] AS registration_code_ids,
    ARRAY(SELECT r.digest FROM registration_code r WHERE r.member_id = c.member_id AND r.used_at IS NULL AND r.digest IS NOT NULL
        AND r.expires_at >= e.entered_at ORDER BY r.id)::bytea[] AS registration_code_digests,
    coalesce(t.hour_started_at, now())::timestamptz AS hour_started_at, coalesce(t.hour_count, 0)::integer AS hour_count,
    coalesce(t.day_started_at, now())::timestamptz AS day_started_at, coalesce(t.day_count, 0)::integer AS day_count,
    coalesce(t.consecutive, 0)::integer AS consecutive
FROM entry e
JOIN challenge c ON c.id = e.challenge_id
LEFT JOIN member_try t ON t.member_id = c.member_id
WHERE e.id = ANY(@entry_ids::uuid[]) AND NOT EXISTS (SELECT FROM verdict v WHERE v.entry_id = e.id)
ORDER BY c.id, e.entered_at, e.id FOR UPDATE OF c;

-- name: MemberTryWrite :exec
INSERT INTO member_try (member_id, hour_started_at, hour_count, day_started_at, day_count, consecutive)
SELECT unnest(@ids::uuid[]), unnest(@hour_starts::timestamptz[]), unnest(@hour_counts::integer[]),
    unnest(@day_starts::timestamptz[]), unnest(@day_counts::integer[]), unnest(@consecutives::integer[])
ON CONFLICT (member_id) DO UPDATE SET hour_started_at = EXCLUDED.hour_started_at, hour_count = EXCLUDED.hour_count,
    day_started_at = EXCLUDED.day_started_at, day_count = EXCLUDED.day_count, consecutive = EXCLUDED.consecutive;

-- name: DeviceRetire :exec
-- Ends the live registration of the same key, if there is one: the device was upgraded.
WITH q AS (SELECT unnest(@member_ids::uuid[]) AS member_id, unnest(@software_ids::text[]) AS software_id, unnest(@thumbprints::bytea[]) AS thumbprint)
UPDATE device d SET revoked_at = now(), revoke_reason = 'upgraded'
FROM q WHERE d.member_id = q.member_id AND d.software_id = q.software_id AND d.thumbprint = q.thumbprint AND d.revoked_at IS NULL;

-- name: RegistrationCodeUse :execrows
-- Spends registration codes, each for one challenge. What it does not count was spent before.
UPDATE registration_code r SET used_at = now(), used_challenge = q.challenge_id
FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@challenge_ids::uuid[]) AS challenge_id) q
WHERE r.id = q.id AND r.used_at IS NULL;

-- name: JudgeWrite :exec
-- Keeps what was judged: an entry that was judged meanwhile keeps its first verdict; tries are
-- counted and challenges closed ('' leaves one open); the devices of right codes are
-- registered, with notices of them; the numbers of those that were to prove one are proved; and
-- events tell it.
WITH judged AS (
    INSERT INTO verdict (entry_id, challenge_id, result, tries_left)
    SELECT unnest(@entry_ids::uuid[]), unnest(@entry_challenge_ids::uuid[]), unnest(@results::text[]), unnest(@tries_left::smallint[])
    ON CONFLICT DO NOTHING
), counted AS (
    UPDATE challenge c SET tries = q.tries,
        closed_at = CASE WHEN q.end_reason <> '' THEN now() END,
        end_reason = nullif(q.end_reason, ''), typed_text = nullif(q.typed_text, 0)
    FROM (SELECT unnest(@challenge_ids::uuid[]) AS id, unnest(@tries::smallint[]) AS tries,
        unnest(@end_reasons::text[]) AS end_reason, unnest(@typed_texts::smallint[]) AS typed_text) q
    WHERE c.id = q.id AND c.closed_at IS NULL
), registered AS (
    INSERT INTO device (id, account_id, member_id, software_id, kind, thumbprint, challenge_id, registered_facets, seen_facets, factor)
    SELECT q.id, q.account_id, q.member_id, q.software_id, q.kind, q.thumbprint, q.challenge_id, q.facets, q.facets, q.factor
    FROM (SELECT unnest(@device_ids::uuid[]) AS id, unnest(@device_account_ids::uuid[]) AS account_id, unnest(@device_member_ids::uuid[]) AS member_id,
        unnest(@device_software_ids::text[]) AS software_id, unnest(@device_kinds::text[]) AS kind, unnest(@device_thumbprints::bytea[]) AS thumbprint,
        unnest(@device_challenge_ids::uuid[]) AS challenge_id, unnest(@device_facets::jsonb[]) AS facets,
        unnest(@device_factors::text[]) AS factor) q
), noticed AS (
    INSERT INTO notice (id, account_id, member_id, kind, channel, software_id, device_id, device_facets)
    SELECT q.id, q.account_id, q.member_id, 'device_registered', q.channel, q.software_id, q.device_id, q.facets
    FROM (SELECT unnest(@notice_ids::uuid[]) AS id, unnest(@notice_account_ids::uuid[]) AS account_id, unnest(@notice_member_ids::uuid[]) AS member_id,
        unnest(@notice_channels::text[]) AS channel, unnest(@notice_software_ids::text[]) AS software_id,
        unnest(@notice_device_ids::uuid[]) AS device_id, unnest(@notice_facets::jsonb[]) AS facets) q
), proved AS (
    INSERT INTO number_proof (member_id, phone_version)
    SELECT DISTINCT ON (q.member_id) q.member_id, q.phone_version
    FROM (SELECT unnest(@proof_member_ids::uuid[]) AS member_id, unnest(@proof_phone_versions::integer[]) AS phone_version) q
    ORDER BY q.member_id, q.phone_version DESC
    ON CONFLICT (member_id) DO UPDATE SET phone_version = EXCLUDED.phone_version, proved_at = now()
)
INSERT INTO verifier_event (id, type, account_id, body)
SELECT unnest(@event_ids::uuid[]), unnest(@event_types::text[]), unnest(@event_account_ids::uuid[]), unnest(@event_bodies::bytea[]);

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
