-- name: MemberLock :exec
-- Waits until no code of this member is being judged, and lets none be until the transaction
-- ends. Login and verifier take the same lock.
SELECT pg_advisory_xact_lock(hashtextextended('latchkey member ' || (@id::uuid)::text, 0));

-- name: MembersLock :exec
-- MemberLock of many, who are to be sorted: two who lock the same never wait for each other.
SELECT pg_advisory_xact_lock(hashtextextended('latchkey member ' || q.id::text, 0)) FROM (SELECT unnest(@ids::uuid[]) AS id) q;

-- name: OwnersLock :exec
-- Lets one change at a time be made that could leave an account without an owner.
SELECT pg_advisory_xact_lock(hashtextextended('latchkey owners ' || (@account_id::uuid)::text, 0));

-- name: OwnersOther :one
-- How many active owners there are besides some.
SELECT count(*) FROM member WHERE account_id = @account_id AND role = 'owner' AND deactivated_at IS NULL AND id <> ALL (@ids::uuid[]);

-- name: AccountRules :one
-- What an account's kind and options say about people.
SELECT kind, country, countries, (two_factor_enabled_at IS NOT NULL)::boolean AS two_factor, (demographics_enabled_at IS NOT NULL)::boolean AS demographics
FROM account WHERE id = @id;

-- name: MemberInsert :exec
-- Makes people. An empty text is none.
INSERT INTO member (id, account_id, role, user_id, public_key, phone_sealed, phone_details, phone_version, phone_country, phone_last_two, phone_index,
    email_sealed, email_details, email_version, email_index, language)
SELECT n.id, @account_id, n.role, nullif(n.user_id, ''), n.public_key, n.phone_sealed, n.phone_details, 1, nullif(n.phone_country, ''), nullif(n.phone_last_two, ''), n.phone_index,
    n.email_sealed, n.email_details, 1, n.email_index, nullif(n.language, '')
FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@roles::text[]) AS role, unnest(@user_ids::text[]) AS user_id, unnest(@public_keys::bytea[]) AS public_key,
    unnest(@phones_sealed::bytea[]) AS phone_sealed, unnest(@phones_details::bytea[]) AS phone_details, unnest(@phone_countries::text[]) AS phone_country,
    unnest(@phones_last_two::text[]) AS phone_last_two, unnest(@phone_indexes::bytea[]) AS phone_index, unnest(@emails_sealed::bytea[]) AS email_sealed,
    unnest(@emails_details::bytea[]) AS email_details, unnest(@email_indexes::bytea[]) AS email_index, unnest(@languages::text[]) AS language) n;

-- name: MemberUpdate :execrows
-- Writes all that is not sealed of those of whom no other change came first. An empty text is none.
UPDATE member SET role = u.role, user_id = nullif(u.user_id, ''), language = nullif(u.language, ''), updated_at = now(), version = member.version + 1
FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@versions::integer[]) AS version, unnest(@roles::text[]) AS role, unnest(@user_ids::text[]) AS user_id,
    unnest(@languages::text[]) AS language) u
WHERE member.id = u.id AND member.account_id = @account_id AND member.version = u.version;

-- name: MemberPhoneWrite :exec
-- A first number is not a change by somebody else; one after a removal is.
UPDATE member SET phone_sealed = u.sealed, phone_details = u.details, phone_country = nullif(u.country, ''), phone_last_two = nullif(u.last_two, ''),
    phone_index = u.index, phone_version = u.version,
    phone_changed_at = CASE WHEN u.id <> @actor_id::uuid AND (phone_index IS NOT NULL OR phone_changed_at IS NOT NULL) THEN now() END
FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@versions::integer[]) AS version, unnest(@sealed::bytea[]) AS sealed, unnest(@details::bytea[]) AS details,
    unnest(@countries::text[]) AS country, unnest(@last_twos::text[]) AS last_two, unnest(@indexes::bytea[]) AS index) u
WHERE member.id = u.id AND member.account_id = @account_id;

-- name: MemberEmailWrite :exec
UPDATE member SET email_sealed = u.sealed, email_details = u.details, email_index = u.index, email_version = u.version
FROM (SELECT unnest(@ids::uuid[]) AS id, unnest(@versions::integer[]) AS version, unnest(@sealed::bytea[]) AS sealed, unnest(@details::bytea[]) AS details,
    unnest(@indexes::bytea[]) AS index) u
WHERE member.id = u.id AND member.account_id = @account_id;

-- name: MemberDeactivate :execrows
-- Lets a person in no more, and ends every session.
WITH ended AS (UPDATE session SET ended_at = now() WHERE session.member_id = @id AND session.ended_at IS NULL)
UPDATE member SET deactivated_at = now(), updated_at = now(), version = version + 1
WHERE member.id = @id AND member.account_id = @account_id AND member.deactivated_at IS NULL;

-- name: MemberReactivate :execrows
UPDATE member SET deactivated_at = NULL, updated_at = now(), version = version + 1
WHERE id = @id AND account_id = @account_id AND deactivated_at IS NOT NULL;

-- name: MemberUnlock :exec
-- Lifts the lock and forgets wrong codes and, by the keyed digest of the user ID, wrong passwords.
-- What was handed out before "this was not me" was said is good for nothing.
WITH links AS (DELETE FROM password_link p USING member l WHERE l.id = @id AND l.locked_at IS NOT NULL AND p.member_id = l.id),
handed AS (DELETE FROM registration_code r USING member l WHERE l.id = @id AND l.locked_at IS NOT NULL AND r.member_id = l.id AND r.used_at IS NULL),
codes AS (UPDATE member_try SET hour_count = 0, day_count = 0, consecutive = 0 WHERE member_try.member_id = @id),
passwords AS (DELETE FROM limit_counter WHERE scope = 'password_member' AND key_digest = @user_digest)
UPDATE member SET locked_at = NULL, updated_at = now(), version = version + 1 WHERE member.id = @id AND member.account_id = @account_id;

-- name: CredentialWrite :exec
-- Gives a person a password that must be changed after the first code, and ends all sessions
-- that came of the one before. It names no EXCLUDED.digest: to read a digest is not granted.
WITH ended AS (UPDATE session SET ended_at = now() WHERE session.member_id = @member_id AND session.ended_at IS NULL)
INSERT INTO credential (member_id, digest, must_change_since) VALUES (@member_id, @digest, now())
ON CONFLICT (member_id) DO UPDATE SET digest = @digest, must_change_since = now(), changed_at = now();

-- name: PasswordLinkWrite :one
-- Keeps a link to choose a password by, in place of the one before.
INSERT INTO password_link (member_id, token_digest) VALUES (@member_id, @token_digest)
ON CONFLICT (member_id) DO UPDATE SET token_digest = @token_digest, made_at = now()
RETURNING (made_at + interval '1 day')::timestamptz AS expires_at;

-- name: RegistrationCodeInsert :one
-- Keeps a registration code in place of those before that nobody used. One without a digest
-- waits for a day to be approved; the others live for 15 minutes.
WITH ended AS (DELETE FROM registration_code WHERE registration_code.member_id = @member_id AND registration_code.used_at IS NULL)
INSERT INTO registration_code (id, account_id, member_id, digest, made_by, expires_at)
VALUES (@id, @account_id, @member_id, sqlc.narg('digest'), @made_by, now() + CASE WHEN sqlc.narg('digest')::bytea IS NULL THEN interval '1 day' ELSE interval '15 minutes' END)
RETURNING expires_at;

-- name: RegistrationCodeRead :one
-- A registration code that waits for who approves it.
SELECT r.id, r.member_id, r.made_by FROM registration_code r
WHERE r.id = @id AND r.account_id = @account_id AND r.needs_approval AND r.expires_at > now();

-- name: RegistrationCodeApprove :many
UPDATE registration_code SET digest = @digest, approved_by = @approved_by::text, approved_at = now(), expires_at = now() + interval '15 minutes'
WHERE id = @id AND account_id = @account_id AND needs_approval AND expires_at > now()
RETURNING expires_at;

-- name: RegistrationCodePending :many
-- The registration codes of an account that wait for who approves them.
SELECT r.id, r.member_id, r.made_by, r.made_at, r.expires_at, coalesce(m.user_id, '')::text AS user_id, m.role
FROM registration_code r JOIN member m ON m.id = r.member_id
WHERE r.account_id = @account_id AND r.needs_approval AND r.expires_at > now() ORDER BY r.made_at, r.id LIMIT 100;

-- name: RegistrationCodeSweep :exec
DELETE FROM registration_code WHERE expires_at < now() - interval '1 day';

-- name: PasswordLinkSweep :exec
DELETE FROM password_link WHERE made_at < now() - interval '1 day';

-- name: IdempotencyInsert :many
-- Remembers requests, and returns the keys of those that nobody made before. Another one with
-- the same key waits for this transaction.
INSERT INTO idempotency_key (account_id, key_digest, body_digest, member_id, kept_until)
SELECT @account_id, n.key_digest, n.body_digest, n.member_id, now() + make_interval(days => @days::integer)
FROM (SELECT unnest(@key_digests::bytea[]) AS key_digest, unnest(@body_digests::bytea[]) AS body_digest, unnest(@member_ids::uuid[]) AS member_id) n
ON CONFLICT DO NOTHING RETURNING key_digest;

-- name: IdempotencyRead :many
SELECT key_digest, body_digest, member_id FROM idempotency_key WHERE account_id = @account_id AND key_digest = ANY(@key_digests::bytea[]);

-- name: IdempotencySweep :exec
DELETE FROM idempotency_key WHERE (account_id, key_digest) IN (
    SELECT k.account_id, k.key_digest FROM idempotency_key k WHERE k.kept_until < now() LIMIT 20000);

-- name: AssignmentInsert :execrows
INSERT INTO client_assignment (client_id, staff_id, account_id) VALUES (@client_id, @staff_id, @account_id) ON CONFLICT DO NOTHING;

-- name: AssignmentDelete :execrows
DELETE FROM client_assignment WHERE client_id = @client_id AND staff_id = @staff_id AND account_id = @account_id;

-- name: AssignmentList :many
-- Whose client a person is.
SELECT m.id, m.role, coalesce(m.user_id, '')::text AS user_id FROM client_assignment x JOIN member m ON m.id = x.staff_id
WHERE x.client_id = @client_id AND x.account_id = @account_id ORDER BY lower(coalesce(m.user_id, '')), m.id LIMIT 500;
