-- name: MemberForSignIn :one
SELECT m.id, m.account_id, c.digest, now()::timestamptz AS read_at
FROM member m JOIN credential c ON c.member_id = m.id
WHERE lower(m.user_id) = lower(@user_id::text) AND m.deactivated_at IS NULL;

-- name: PasswordRead :one
SELECT digest, (must_change_since IS NOT NULL)::boolean AS must_change FROM credential WHERE member_id = @member_id;

-- name: PasswordWrite :execrows
-- Changes a password that is still the one that was proven, and ends every session of the
-- person but the one that did it.
WITH changed AS (
    UPDATE credential SET digest = @digest, changed_at = now(), must_change_since = NULL
    WHERE credential.member_id = @member_id AND credential.digest = @old_digest RETURNING credential.member_id
), ended AS (
    UPDATE session SET ended_at = now() FROM changed
    WHERE session.member_id = changed.member_id AND session.id <> @session_id AND session.ended_at IS NULL
)
SELECT FROM changed;

-- name: PasswordRehash :exec
-- Stores the same password under new parameters, unless it was changed meanwhile.
UPDATE credential SET digest = @digest WHERE member_id = @member_id AND digest = @old_digest;

-- name: MemberRead :one
SELECT id, account_id, role, user_id, public_key, phone_version, phone_country, phone_last_two, phone_index, deactivated_at, email_version, email_index, coalesce(has_email, false)::boolean AS has_email
FROM member WHERE id = @id;

-- name: AccountRead :one
SELECT id, kind, country, countries, contact FROM account WHERE id = @id;

-- name: MemberInsert :one
-- Makes a member, or finds that it exists.
WITH made AS (
    INSERT INTO member (id, account_id, role, user_id, public_key, phone_sealed, phone_details, phone_version, phone_country, phone_last_two, phone_index,
        email_sealed, email_details, email_version, email_index)
    VALUES (@id, @account_id, @role, sqlc.narg('user_id')::text, @public_key, sqlc.narg('phone_sealed')::bytea, sqlc.narg('phone_details')::bytea,
        @phone_version, sqlc.narg('phone_country')::text, sqlc.narg('phone_last_two')::text, sqlc.narg('phone_index')::bytea,
        sqlc.narg('email_sealed')::bytea, sqlc.narg('email_details')::bytea, 1, sqlc.narg('email_index')::bytea)
    ON CONFLICT (id) DO NOTHING RETURNING id
)
SELECT EXISTS (SELECT FROM made)::boolean;

-- name: MemberUpdate :execrows
UPDATE member SET role = @role, user_id = sqlc.narg('user_id')::text, updated_at = now(), version = version + 1 WHERE id = @id AND account_id = @account_id;

-- name: MemberLanguageWrite :execrows
UPDATE member SET language = @language::text, updated_at = now(), version = version + 1 WHERE id = @id;

-- name: MemberLock :exec
-- Waits until no code of this member is being judged, and lets none be until the transaction
-- ends: so a code that came to the former number registers nothing after the change.
SELECT pg_advisory_xact_lock(hashtextextended('latchkey member ' || (@id::uuid)::text, 0));

-- name: MemberPhoneWrite :execrows
-- Changes a number, unless another change came first. One by the person, or a first one, is
-- no change by somebody else; one after a removal is.
UPDATE member SET phone_sealed = sqlc.narg('phone_sealed')::bytea, phone_details = sqlc.narg('phone_details')::bytea,
    phone_country = sqlc.narg('phone_country')::text, phone_last_two = sqlc.narg('phone_last_two')::text,
    phone_index = sqlc.narg('phone_index')::bytea, phone_version = (@old_version::integer) + 1,
    phone_changed_at = CASE WHEN @by_other::boolean AND (phone_index IS NOT NULL OR phone_changed_at IS NOT NULL) THEN now() END, updated_at = now(), version = version + 1
WHERE id = @id AND account_id = @account_id AND phone_version = @old_version::integer;

-- name: MemberEmailWrite :execrows
-- Changes the e-mail address, unless another change came first.
UPDATE member SET email_sealed = sqlc.narg('email_sealed')::bytea, email_details = sqlc.narg('email_details')::bytea,
    email_index = sqlc.narg('email_index')::bytea, email_version = (@old_version::integer) + 1, updated_at = now(), version = version + 1
WHERE id = @id AND account_id = @account_id AND email_version = @old_version::integer;

-- name: CredentialWrite :exec
-- Gives a person a password, and ends all sessions that came of the one before.
WITH ended AS (UPDATE session SET ended_at = now() WHERE session.member_id = @member_id AND session.ended_at IS NULL)
INSERT INTO credential (member_id, digest, must_change_since)
VALUES (@member_id, @digest, CASE WHEN @must_change::boolean THEN now() END)
ON CONFLICT (member_id) DO UPDATE SET digest = EXCLUDED.digest, must_change_since = EXCLUDED.must_change_since, changed_at = now();

-- name: PasswordLinkRead :one
-- Whose password a link lets be chosen.
SELECT m.id, m.account_id, coalesce(m.user_id, '')::text AS user_id, m.language, a.language AS account_language,
    (m.phone_index IS NOT NULL)::boolean AS has_number, coalesce(m.has_email, false)::boolean AS has_email
FROM password_link l JOIN member m ON m.id = l.member_id JOIN account a ON a.id = m.account_id
WHERE l.token_digest = @token_digest AND l.made_at > now() - interval '1 day' AND m.user_id IS NOT NULL AND m.deactivated_at IS NULL
    AND NOT EXISTS (SELECT FROM credential c WHERE c.member_id = m.id AND c.changed_at > l.made_at);

-- name: PasswordLinkUse :execrows
-- Uses a link up, for who holds MemberLock.
DELETE FROM password_link l WHERE l.token_digest = @token_digest AND l.made_at > now() - interval '1 day'
    AND NOT EXISTS (SELECT FROM credential c WHERE c.member_id = l.member_id AND c.changed_at > l.made_at);

-- name: APIKeyRead :one
SELECT id, account_id FROM api_key WHERE key_digest = @key_digest AND revoked_at IS NULL;

-- name: SoftwareRead :many
SELECT id, kind, name, autofill_host, app_hash, addresses FROM software;

-- name: JudgeKeyLatest :one
SELECT id, public_key FROM judge_public_key ORDER BY id DESC LIMIT 1;

-- name: LimitAdd :one
-- Counts one, and returns the count of the window that ends now. It moves in tenths, so
-- that no moment of the clock forgives all at once.
WITH w AS (SELECT to_timestamp(floor(extract(epoch FROM now()) * 10 / (@window_seconds::integer)) * (@window_seconds::integer) / 10) AS start),
added AS (
    INSERT INTO limit_counter (scope, key_digest, window_start, count)
    SELECT @scope, @key_digest, w.start, 1 FROM w
    ON CONFLICT (scope, key_digest, window_start) DO UPDATE SET count = limit_counter.count + 1
    RETURNING count
)
SELECT (added.count + coalesce((
    SELECT sum(l.count) FROM limit_counter l
    WHERE l.scope = @scope AND l.key_digest = @key_digest AND l.window_start < w.start
        AND l.window_start > now() - (@window_seconds::integer) * interval '1 second'), 0))::integer
FROM added CROSS JOIN w;

-- name: LimitTake :many
-- Counts texts before they are asked for: each key once, with all that a batch adds to it. What
-- was counted before in the window that ends now comes back. The rows are locked until the end
-- of the transaction, so that of two batches one sees the other's.
WITH q AS (
    SELECT unnest(@scopes::text[]) AS scope, unnest(@key_digests::bytea[]) AS key_digest,
        unnest(@window_seconds::integer[]) AS window_seconds, unnest(@counts::integer[]) AS n
), w AS (
    SELECT q.*, to_timestamp(floor(extract(epoch FROM now()) * 10 / q.window_seconds) * q.window_seconds / 10) AS start FROM q
), added AS (
    INSERT INTO limit_counter AS c (scope, key_digest, window_start, count)
    SELECT w.scope, w.key_digest, w.start, w.n FROM w ORDER BY w.scope, w.key_digest
    ON CONFLICT (scope, key_digest, window_start) DO UPDATE SET count = c.count + excluded.count
    RETURNING c.scope, c.key_digest, c.count
)
SELECT w.scope::text AS scope, w.key_digest::bytea AS key_digest, (added.count - w.n + coalesce((
    SELECT sum(l.count) FROM limit_counter l
    WHERE l.scope = w.scope AND l.key_digest = w.key_digest AND l.window_start < w.start
        AND l.window_start > now() - w.window_seconds * interval '1 second'), 0))::integer AS before
FROM w JOIN added ON added.scope = w.scope AND added.key_digest = w.key_digest;

-- name: LimitGive :exec
-- Takes back, in the transaction of LimitTake, what was counted of texts that are not asked for.
WITH q AS (
    SELECT unnest(@scopes::text[]) AS scope, unnest(@key_digests::bytea[]) AS key_digest,
        unnest(@window_seconds::integer[]) AS window_seconds, unnest(@counts::integer[]) AS n
)
UPDATE limit_counter c SET count = c.count - q.n FROM q
WHERE c.scope = q.scope AND c.key_digest = q.key_digest
    AND c.window_start = to_timestamp(floor(extract(epoch FROM now()) * 10 / q.window_seconds) * q.window_seconds / 10);

-- name: LimitRead :one
SELECT coalesce(sum(count), 0)::integer FROM limit_counter
WHERE scope = @scope AND key_digest = @key_digest AND window_start > now() - (@window_seconds::integer) * interval '1 second';

-- name: LimitClear :exec
DELETE FROM limit_counter WHERE scope = @scope AND key_digest = @key_digest;

-- name: LimitSweep :exec
DELETE FROM limit_counter WHERE window_start < now() - interval '2 days';
