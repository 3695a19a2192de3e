-- name: MemberLock :exec
-- Waits until no code of this member is being judged, and lets none be until the transaction
-- ends. Login and verifier take the same lock.
SELECT pg_advisory_xact_lock(hashtextextended('latchkey member ' || (@id::uuid)::text, 0));

-- name: OwnersLock :exec
-- Lets one change at a time be made that could leave an account without an owner.
SELECT pg_advisory_xact_lock(hashtextextended('latchkey owners ' || (@account_id::uuid)::text, 0));

-- name: OwnersOther :one
-- How many active owners there are besides one.
SELECT count(*) FROM member WHERE account_id = @account_id AND role = 'owner' AND deactivated_at IS NULL AND id <> @id;

-- name: AccountRules :one
-- What an account's kind and options say about people.
SELECT kind, country, countries, (two_factor_enabled_at IS NOT NULL)::boolean AS two_factor, (demographics_enabled_at IS NOT NULL)::boolean AS demographics
FROM account WHERE id = @id;

-- name: MemberInsert :exec
INSERT INTO member (id, account_id, role, user_id, public_key, phone_sealed, phone_details, phone_version, phone_country, phone_last_two, phone_index,
    email_sealed, email_details, email_version, email_index, language)
VALUES (@id, @account_id, @role, sqlc.narg('user_id')::text, @public_key, sqlc.narg('phone_sealed')::bytea, sqlc.narg('phone_details')::bytea,
    1, sqlc.narg('phone_country')::text, sqlc.narg('phone_last_two')::text, sqlc.narg('phone_index')::bytea,
    sqlc.narg('email_sealed')::bytea, sqlc.narg('email_details')::bytea, 1, sqlc.narg('email_index')::bytea, sqlc.narg('language')::text);

-- name: MemberUpdate :execrows
-- Writes all that is not sealed, unless another change came first.
UPDATE member SET role = @role, user_id = sqlc.narg('user_id')::text, language = sqlc.narg('language')::text, updated_at = now(), version = version + 1
WHERE id = @id AND account_id = @account_id AND version = @version;

-- name: MemberPhoneWrite :exec
-- A first number is not a change by somebody else; one after a removal is.
UPDATE member SET phone_sealed = sqlc.narg('phone_sealed')::bytea, phone_details = sqlc.narg('phone_details')::bytea,
    phone_country = sqlc.narg('phone_country')::text, phone_last_two = sqlc.narg('phone_last_two')::text,
    phone_index = sqlc.narg('phone_index')::bytea, phone_version = @phone_version,
    phone_changed_at = CASE WHEN @by_other::boolean AND (phone_index IS NOT NULL OR phone_changed_at IS NOT NULL) THEN now() END
WHERE id = @id AND account_id = @account_id;

-- name: MemberEmailWrite :exec
UPDATE member SET email_sealed = sqlc.narg('email_sealed')::bytea, email_details = sqlc.narg('email_details')::bytea,
    email_index = sqlc.narg('email_index')::bytea, email_version = @email_version
WHERE id = @id AND account_id = @account_id;

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
WITH codes AS (UPDATE member_try SET hour_count = 0, day_count = 0, consecutive = 0 WHERE member_try.member_id = @id),
passwords AS (DELETE FROM limit_counter WHERE scope = 'password_member' AND key_digest = @user_digest)
UPDATE member SET locked_at = NULL, updated_at = now(), version = version + 1 WHERE member.id = @id AND member.account_id = @account_id;

-- name: CredentialWrite :exec
-- Gives a person a password that must be changed after the first code, and ends all sessions
-- that came of the one before. It names no EXCLUDED.digest: to read a digest is not granted.
WITH ended AS (UPDATE session SET ended_at = now() WHERE session.member_id = @member_id AND session.ended_at IS NULL)
INSERT INTO credential (member_id, digest, must_change_since) VALUES (@member_id, @digest, now())
ON CONFLICT (member_id) DO UPDATE SET digest = @digest, must_change_since = now(), changed_at = now();

-- name: IdempotencyInsert :execrows
-- Remembers a request. Another one with the same key waits for this transaction.
INSERT INTO idempotency_key (account_id, key_digest, body_digest, member_id) VALUES (@account_id, @key_digest, @body_digest, @member_id)
ON CONFLICT DO NOTHING;

-- name: IdempotencyRead :one
SELECT body_digest, member_id FROM idempotency_key WHERE account_id = @account_id AND key_digest = @key_digest;

-- name: IdempotencySweep :exec
DELETE FROM idempotency_key WHERE (account_id, key_digest) IN (
    SELECT k.account_id, k.key_digest FROM idempotency_key k WHERE k.made_at < now() - interval '1 day' LIMIT 1000);

-- name: AssignmentInsert :execrows
INSERT INTO client_assignment (client_id, staff_id, account_id) VALUES (@client_id, @staff_id, @account_id) ON CONFLICT DO NOTHING;

-- name: AssignmentDelete :execrows
DELETE FROM client_assignment WHERE client_id = @client_id AND staff_id = @staff_id AND account_id = @account_id;

-- name: AssignmentList :many
-- Whose client a person is.
SELECT m.id, m.role, coalesce(m.user_id, '')::text AS user_id FROM client_assignment x JOIN member m ON m.id = x.staff_id
WHERE x.client_id = @client_id AND x.account_id = @account_id ORDER BY lower(coalesce(m.user_id, '')), m.id LIMIT 500;
