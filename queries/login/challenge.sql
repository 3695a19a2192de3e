-- name: ChallengeInsert :many
-- Makes challenges with their first text request and their events, each only if its proof was
-- not spent before. Only those made come back. Database time sets deadline and epoch.
WITH q AS (
    SELECT unnest(@slots::smallint[]) AS slot, unnest(@proofs::bytea[]) AS proof_digest,
        unnest(@ids::uuid[]) AS id, unnest(@account_ids::uuid[]) AS account_id, unnest(@member_ids::uuid[]) AS member_id,
        unnest(@software_ids::text[]) AS software_id, unnest(@purposes::text[]) AS purpose, unnest(@origins::text[]) AS origin, unnest(@device_kinds::text[]) AS device_kind,
        unnest(@thumbprints::bytea[]) AS thumbprint, unnest(@facets::jsonb[]) AS facets, unnest(@seeds::bytea[]) AS seed,
        unnest(@phones_sealed::bytea[]) AS phone_sealed, unnest(@phone_versions::integer[]) AS phone_version,
        unnest(@phone_countries::text[]) AS phone_country, unnest(@phone_last_twos::text[]) AS phone_last_two, unnest(@languages::text[]) AS language,
        unnest(@event_ids::uuid[]) AS event_id, unnest(@event_bodies::bytea[]) AS body
), spent AS (
    INSERT INTO used_proof (slot, proof_digest) SELECT slot, proof_digest FROM q ON CONFLICT DO NOTHING RETURNING slot, proof_digest
), fresh AS (
    SELECT q.* FROM q JOIN spent s ON s.slot = q.slot AND s.proof_digest = q.proof_digest
), made AS (
    INSERT INTO challenge (id, account_id, member_id, software_id, purpose, origin, device_kind, device_thumbprint, device_facets,
        seed, epoch, phone_sealed, phone_version, phone_country, phone_last_two, language, expires_at)
    SELECT id, account_id, member_id, software_id, purpose, origin, device_kind, thumbprint, facets,
        seed, floor(extract(epoch FROM now()) / 3600)::bigint, phone_sealed, phone_version, phone_country, phone_last_two, language,
        now() + (@valid_seconds::integer) * interval '1 second'
    FROM fresh
), asked AS (
    INSERT INTO text_request (challenge_id, request_no) SELECT id, 1 FROM fresh
), told AS (
    INSERT INTO login_event (id, type, account_id, body) SELECT event_id, 'latchkey.code.requested', account_id, body FROM fresh
)
SELECT id::uuid AS id, (now() + (@valid_seconds::integer) * interval '1 second')::timestamptz AS expires_at FROM fresh;

-- name: ChallengeState :many
-- How challenges stand, for many at once; without seeds, numbers and vendors' references. One
-- whose number is not the member's any more is over.
SELECT c.id, c.account_id, c.member_id, c.software_id, c.purpose, c.origin, c.device_kind, c.device_thumbprint, c.phone_last_two,
    m.phone_index, c.created_at, c.expires_at, c.tries, coalesce(c.end_reason, CASE WHEN c.expires_at <= now() OR m.phone_version <> c.phone_version OR m.deactivated_at IS NOT NULL THEN 'expired' ELSE '' END)::text AS end_reason,
    now()::timestamptz AS now, r.requests::integer AS requests, r.last_requested_at::timestamptz AS last_requested_at,
    coalesce((
        SELECT jsonb_agg(jsonb_build_object('request', a.request_no, 'text', a.text_no, 'ending', coalesce(a.ending, ''),
            'reason', coalesce(a.reason, ''), 'due', a.due_at IS NOT NULL, 'receipt', coalesce(a.receipt_status, ''), 'provider', a.provider) ORDER BY a.attempt_no)
        FROM attempt a WHERE a.challenge_id = c.id), '[]')::jsonb AS attempts
FROM challenge c
JOIN member m ON m.id = c.member_id
CROSS JOIN LATERAL (SELECT count(*) AS requests, max(t.requested_at) AS last_requested_at FROM text_request t WHERE t.challenge_id = c.id) r
WHERE c.id = ANY(@ids::uuid[]);

-- name: TextRequestInsert :many
-- Asks for another text if the challenge is open, fewer than three were asked for and the last
-- one is long enough ago: 30 s after the first, 60 s after the second.
WITH previous AS (
    SELECT t.request_no, t.requested_at FROM text_request t WHERE t.challenge_id = @challenge_id ORDER BY t.request_no DESC LIMIT 1
), asked AS (
    INSERT INTO text_request (challenge_id, request_no)
    SELECT c.id, previous.request_no + 1 FROM challenge c CROSS JOIN previous
    WHERE c.id = @challenge_id AND c.closed_at IS NULL AND c.expires_at > now() AND previous.request_no = @after_request::smallint AND previous.request_no < 3
        AND previous.requested_at + (@step_seconds::integer) * interval '1 second' <= now()
    ON CONFLICT DO NOTHING
    RETURNING request_no
), told AS (
    INSERT INTO login_event (id, type, account_id, body)
    SELECT @event_id::uuid, 'latchkey.text.requested', @account_id::uuid, @event_body::bytea FROM asked
)
SELECT request_no FROM asked;

-- name: EntryInsert :many
-- Writes typed codes, sealed, with their events, each only if its proof was not spent before.
WITH q AS (
    SELECT unnest(@slots::smallint[]) AS slot, unnest(@proofs::bytea[]) AS proof_digest,
        unnest(@ids::uuid[]) AS id, unnest(@challenge_ids::uuid[]) AS challenge_id, unnest(@judge_keys::bigint[]) AS judge_key,
        unnest(@encapsulateds::bytea[]) AS encapsulated, unnest(@sealeds::bytea[]) AS sealed,
        unnest(@event_ids::uuid[]) AS event_id, unnest(@account_ids::uuid[]) AS account_id, unnest(@event_bodies::bytea[]) AS body
), spent AS (
    INSERT INTO used_proof (slot, proof_digest) SELECT slot, proof_digest FROM q ON CONFLICT DO NOTHING RETURNING slot, proof_digest
), fresh AS (
    SELECT q.* FROM q JOIN spent s ON s.slot = q.slot AND s.proof_digest = q.proof_digest
), made AS (
    INSERT INTO entry (id, challenge_id, judge_key, encapsulated, sealed)
    SELECT id, challenge_id, judge_key, encapsulated, sealed FROM fresh
), told AS (
    INSERT INTO login_event (id, type, account_id, body) SELECT event_id, 'latchkey.code.entered', account_id, body FROM fresh
)
SELECT id::uuid AS id FROM fresh;

-- name: VerdictRead :many
SELECT v.entry_id, v.result, v.tries_left, d.id AS device_id, coalesce(d.factor, '')::text AS factor
FROM verdict v LEFT JOIN device d ON d.challenge_id = v.challenge_id AND v.result = 'registered' AND d.revoked_at IS NULL
WHERE v.entry_id = ANY(@ids::uuid[]);
