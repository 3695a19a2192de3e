-- name: CheckRead :many
-- All that decides a sign-in or a device check, for many at once; member_id repeats the question.
WITH q AS (
    SELECT unnest(@members::uuid[]) AS member_id, unnest(@softwares::text[]) AS software_id, unnest(@thumbprints::bytea[]) AS thumbprint
)
SELECT m.id AS member_id, q.software_id::text AS software_id, q.thumbprint::bytea AS thumbprint,
    m.account_id, m.role, m.public_key, (m.deactivated_at IS NOT NULL)::boolean AS deactivated, (m.locked_at IS NOT NULL)::boolean AS repudiated,
    m.phone_sealed, m.phone_version, coalesce(m.phone_country, '')::text AS phone_country, coalesce(m.phone_last_two, '')::text AS phone_last_two,
    m.phone_index,
    a.kind AS account_kind, (a.two_factor_enabled_at IS NOT NULL)::boolean AS two_factor, (a.demographics_enabled_at IS NOT NULL)::boolean AS demographics,
    a.upgrade_policy, a.upgrade_jump, (a.bearer_refused_at IS NOT NULL)::boolean AS bearer_refused, a.contact,
    (cardinality(a.countries) > 0 AND coalesce(m.phone_country, '') <> ALL (a.countries))::boolean AS country_refused,
    EXISTS (SELECT FROM spend_state s WHERE s.account_id = m.account_id AND s.country = m.phone_country AND s.level = 'stop' AND s.until > now())::boolean AS spend_stopped,
    coalesce(m.phone_changed_at + a.number_cooldown > now(), false)::boolean AS cooling,
    coalesce(m.phone_changed_at + a.number_cooldown, now())::timestamptz AS cool_at,
    m.language, a.language AS account_language,
    (c.must_change_since IS NOT NULL)::boolean AS must_change,
    d.id AS device_id, d.seen_facets, coalesce(d.seen_at < now() - interval '1 hour', false)::boolean AS seen_long_ago,
    coalesce(t.day_count >= @day_limit::integer AND t.day_started_at > now() - interval '1 day'
        OR t.hour_count >= @hour_limit::integer AND t.hour_started_at > now() - interval '1 hour'
        OR t.consecutive >= @consecutive_limit::integer, false)::boolean AS locked
FROM q
JOIN member m ON m.id = q.member_id
JOIN account a ON a.id = m.account_id
LEFT JOIN credential c ON c.member_id = m.id
LEFT JOIN device d ON d.member_id = m.id AND d.software_id = q.software_id AND d.thumbprint = q.thumbprint AND d.revoked_at IS NULL
LEFT JOIN member_try t ON t.member_id = m.id;

-- name: ProofSpend :many
-- Spends proofs, and writes the events of those that were not spent before. Only these come back.
WITH q AS (
    SELECT unnest(@slots::smallint[]) AS slot, unnest(@proofs::bytea[]) AS proof_digest,
        unnest(@event_ids::uuid[]) AS event_id, unnest(@event_types::text[]) AS event_type,
        unnest(@account_ids::uuid[]) AS account_id, unnest(@event_bodies::bytea[]) AS body
), spent AS (
    INSERT INTO used_proof (slot, proof_digest) SELECT slot, proof_digest FROM q ON CONFLICT DO NOTHING RETURNING slot, proof_digest
), told AS (
    INSERT INTO login_event (id, type, account_id, body)
    SELECT q.event_id, q.event_type, q.account_id, q.body FROM q JOIN spent s ON s.slot = q.slot AND s.proof_digest = q.proof_digest
    WHERE q.event_type <> ''
)
SELECT proof_digest FROM spent;

-- name: DeviceSee :exec
UPDATE device SET seen_at = now(), seen_facets = @facets, seen_country = nullif(@country::text, '')
WHERE id = @id AND revoked_at IS NULL;

-- name: UsedProofClear :exec
SELECT used_proof_clear(@slot_seconds::integer);

-- name: ClockRead :one
-- The clock that empties used_proof, and that nonces are therefore dated by.
SELECT clock_timestamp()::timestamptz AS now;
