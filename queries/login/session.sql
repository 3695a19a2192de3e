-- name: SessionInsert :many
-- A session of a registered device, selected from the registration itself: without a live
-- registration there is no session, nor with a password that was changed since it was proven.
INSERT INTO session (token_digest, id, member_id, account_id, software_id, device_id, amr)
SELECT @token_digest, @id, d.member_id, d.account_id, d.software_id, d.id, @amr::text[]
FROM device d WHERE d.id = @device_id AND d.member_id = @member_id AND d.revoked_at IS NULL
    AND NOT EXISTS (SELECT FROM credential c WHERE c.member_id = @member_id AND c.changed_at > @proved_at)
RETURNING id;

-- name: SessionInsertUnrequired :many
-- A session where no second factor is required.
INSERT INTO session (token_digest, id, member_id, account_id, software_id, amr)
SELECT @token_digest, @id, @member_id, @account_id, @software_id, @amr::text[]
WHERE NOT EXISTS (SELECT FROM credential c WHERE c.member_id = @member_id AND c.changed_at > @proved_at)
RETURNING id;

-- name: SessionRead :one
-- A live session: an hour since it was last seen, a day since it was made (NIST SP 800-63B-4
-- section 2.2.3), its member active and not locked, and its registration not revoked.
SELECT s.id, s.member_id, s.account_id, s.software_id, s.device_id, s.amr, s.created_at,
    (s.seen_at < now() - interval '1 minute')::boolean AS stale, coalesce(m.user_id, '')::text AS user_id, m.role, m.language,
    a.language AS account_language, a.kind AS account_kind,
    (c.must_change_since IS NOT NULL)::boolean AS must_change
FROM session s
JOIN member m ON m.id = s.member_id AND m.deactivated_at IS NULL AND m.locked_at IS NULL
JOIN account a ON a.id = s.account_id
LEFT JOIN credential c ON c.member_id = s.member_id
LEFT JOIN device d ON d.id = s.device_id
WHERE s.token_digest = @token_digest AND s.ended_at IS NULL
    AND s.seen_at > now() - interval '1 hour' AND s.created_at > now() - interval '24 hours'
    AND (s.device_id IS NULL OR d.revoked_at IS NULL);

-- name: SessionSee :exec
UPDATE session SET seen_at = now() WHERE token_digest = @token_digest AND ended_at IS NULL;

-- name: SessionEnd :execrows
UPDATE session SET ended_at = now() WHERE token_digest = @token_digest AND ended_at IS NULL;

-- name: SessionSweep :exec
DELETE FROM session WHERE token_digest IN (
    SELECT s.token_digest FROM session s WHERE s.created_at < now() - interval '25 hours' LIMIT 1000 FOR UPDATE SKIP LOCKED);

-- name: DeviceList :many
SELECT id, software_id, kind, name, registered_facets, seen_facets, registered_at, seen_at
FROM device WHERE member_id = @member_id AND revoked_at IS NULL ORDER BY registered_at DESC LIMIT 200;

-- name: DeviceName :execrows
UPDATE device SET name = @name WHERE id = @id AND member_id = @member_id AND revoked_at IS NULL;

-- name: DeviceRevoke :execrows
-- Ends a registration and every session that stands on it.
WITH ended AS (UPDATE session SET ended_at = now() WHERE session.device_id = @id AND session.member_id = @member_id AND session.ended_at IS NULL)
UPDATE device SET revoked_at = now(), revoke_reason = @reason::text WHERE device.id = @id AND device.member_id = @member_id AND device.revoked_at IS NULL;

-- name: DeviceRevokeAll :many
-- Ends all of a member's registrations, and every session that stands on one; returns which ended.
WITH ended AS (UPDATE session SET ended_at = now() WHERE session.member_id = @member_id AND session.device_id IS NOT NULL AND session.ended_at IS NULL)
UPDATE device SET revoked_at = now(), revoke_reason = @reason::text WHERE device.member_id = @member_id AND device.revoked_at IS NULL
RETURNING device.id;

-- name: ConsoleGrantInsert :exec
-- Hands a signed-in person over to the console.
INSERT INTO console_grant (code_digest, challenge, session_id, member_id, account_id)
VALUES (@code_digest, @challenge, @session_id, @member_id, @account_id);
