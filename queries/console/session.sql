-- name: GrantTake :one
-- Takes what login handed over, once, for the browser that asked for it.
DELETE FROM console_grant WHERE code_digest = @code_digest AND challenge = @challenge AND made_at > now() - interval '1 minute'
RETURNING session_id, member_id, account_id;

-- name: GrantSweep :exec
DELETE FROM console_grant WHERE made_at < now() - interval '10 minutes';

-- name: ConsoleSessionInsert :exec
INSERT INTO console_session (token_digest, id, session_id, member_id, account_id)
VALUES (@token_digest, @id, @session_id, @member_id, @account_id);

-- name: ConsoleSessionSee :exec
UPDATE console_session SET seen_at = now() WHERE token_digest = @token_digest AND ended_at IS NULL;

-- name: ConsoleSessionEnd :execrows
UPDATE console_session SET ended_at = now() WHERE token_digest = @token_digest AND ended_at IS NULL;

-- name: ConsoleSessionSweep :exec
DELETE FROM console_session WHERE token_digest IN (
    SELECT c.token_digest FROM console_session c WHERE c.created_at < now() - interval '25 hours' LIMIT 1000 FOR UPDATE SKIP LOCKED);

-- name: PersonByConsoleSession :one
-- Who is at the console: an hour since it was last seen, a day since the sign-in (NIST SP
-- 800-63B-4 section 2.2.3), the sign-in's own session not ended, the person active and the
-- registration not revoked.
SELECT c.id, s.member_id, s.account_id, s.amr, m.role, coalesce(m.user_id, '')::text AS user_id, coalesce(m.language, '')::text AS language,
    a.kind AS account_kind, a.name AS account_name, a.language AS account_language, (a.two_factor_enabled_at IS NOT NULL)::boolean AS two_factor,
    (cr.must_change_since IS NOT NULL AND s.device_id IS NOT NULL)::boolean AS must_change,
    (m.role <> 'client' AND EXISTS (SELECT FROM operator_right o WHERE o.member_id = m.id))::boolean AS operates, (c.seen_at < now() - interval '1 minute')::boolean AS stale
FROM console_session c
JOIN session s ON s.id = c.session_id AND s.ended_at IS NULL AND s.created_at > now() - interval '24 hours'
JOIN member m ON m.id = s.member_id AND m.deactivated_at IS NULL AND m.locked_at IS NULL
JOIN account a ON a.id = s.account_id
LEFT JOIN credential cr ON cr.member_id = s.member_id
LEFT JOIN device d ON d.id = s.device_id
WHERE c.token_digest = @token_digest AND c.ended_at IS NULL AND c.seen_at > now() - interval '1 hour'
    AND (s.device_id IS NULL OR d.revoked_at IS NULL);

-- name: PersonBySession :one
-- The same for a program that sends the token of a session of login.
SELECT s.id, s.member_id, s.account_id, s.amr, m.role, coalesce(m.user_id, '')::text AS user_id, coalesce(m.language, '')::text AS language,
    a.kind AS account_kind, a.name AS account_name, a.language AS account_language, (a.two_factor_enabled_at IS NOT NULL)::boolean AS two_factor,
    (cr.must_change_since IS NOT NULL AND s.device_id IS NOT NULL)::boolean AS must_change,
    (m.role <> 'client' AND EXISTS (SELECT FROM operator_right o WHERE o.member_id = m.id))::boolean AS operates
FROM session s
JOIN member m ON m.id = s.member_id AND m.deactivated_at IS NULL AND m.locked_at IS NULL
JOIN account a ON a.id = s.account_id
LEFT JOIN credential cr ON cr.member_id = s.member_id
LEFT JOIN device d ON d.id = s.device_id
WHERE s.token_digest = @token_digest AND s.ended_at IS NULL
    AND s.seen_at > now() - interval '1 hour' AND s.created_at > now() - interval '24 hours'
    AND (s.device_id IS NULL OR d.revoked_at IS NULL);

-- name: APIKeyRead :one
SELECT id, account_id FROM api_key WHERE key_digest = @key_digest AND revoked_at IS NULL;
