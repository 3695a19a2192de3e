-- name: DeviceList :many
-- A person's live registrations, newest first, each with the provider whose text carried the
-- code that was typed, for as long as texts are remembered.
SELECT d.id, d.software_id, coalesce(s.name, '')::text AS software_name, coalesce(s.kind, '')::text AS software_kind, d.kind, d.name,
    d.registered_facets, d.seen_facets, d.registered_at, d.seen_at, coalesce(d.seen_country, '')::text AS seen_country,
    coalesce((SELECT a.provider FROM attempt a WHERE a.challenge_id = c.id AND a.text_no = c.typed_text
        ORDER BY a.attempt_no DESC LIMIT 1), '')::text AS provider
FROM device d
LEFT JOIN software s ON s.id = d.software_id
LEFT JOIN challenge c ON c.id = d.challenge_id
WHERE d.member_id = @member_id AND d.account_id = @account_id AND d.revoked_at IS NULL ORDER BY d.registered_at DESC, d.id LIMIT 200;

-- name: DeviceRevoke :many
-- Ends one registration of some people, or all where none is named, and every session that
-- stands on them. It returns those that ended.
WITH revoked AS (
    UPDATE device SET revoked_at = now(), revoke_reason = @reason::text
    WHERE device.member_id = ANY(@member_ids::uuid[]) AND device.account_id = @account_id AND device.revoked_at IS NULL
        AND (sqlc.narg('id')::uuid IS NULL OR device.id = sqlc.narg('id')::uuid)
    RETURNING device.id, device.member_id
), ended AS (
    UPDATE session SET ended_at = now() FROM revoked WHERE session.device_id = revoked.id AND session.ended_at IS NULL
)
SELECT id, member_id FROM revoked ORDER BY id;

-- name: DeviceCount :one
-- How many live registrations some people have.
SELECT count(*) FROM device WHERE member_id = ANY(@member_ids::uuid[]) AND account_id = @account_id AND revoked_at IS NULL;
