-- People as owners and administrators work with them: addresses, languages, options.
SET LOCAL ROLE latchkey_owner;

ALTER TABLE account
    ADD COLUMN countries text[] NOT NULL DEFAULT '{}',         -- where numbers may be, ISO 3166-1 alpha-2; empty: anywhere
    ADD COLUMN language text NOT NULL DEFAULT 'en',            -- of people who have chosen none, BCP 47
    ADD COLUMN number_cooldown interval NOT NULL DEFAULT '0',  -- how long no code goes to a number after it was changed by somebody else
    ADD COLUMN version integer NOT NULL DEFAULT 1,             -- of the options: an update names the one that it saw
    ADD CONSTRAINT account_language CHECK (language IN ('en', 'fr', 'es', 'de')),
    ADD CONSTRAINT account_number_cooldown CHECK (number_cooldown BETWEEN interval '0' AND interval '7 days'),
    ADD CONSTRAINT account_countries CHECK (array_length(countries, 1) <= 250);

ALTER TABLE member
    ADD COLUMN email_sealed bytea,      -- to the dispatcher; AAD = member id and email_version
    ADD COLUMN email_details bytea,     -- to the member's own key
    ADD COLUMN email_version integer NOT NULL DEFAULT 0,
    ADD COLUMN email_index bytea,       -- keyed blind index of the address
    ADD COLUMN language text,           -- null: as the browser asks, else the account's
    ADD COLUMN locked_at timestamptz,   -- set by "this was not me": no sign-in until an administrator unlocks
    ADD COLUMN version integer NOT NULL DEFAULT 1,  -- an update names the one that it saw
    ADD CONSTRAINT member_language CHECK (language IN ('en', 'fr', 'es', 'de')),
    ADD CONSTRAINT member_email_whole CHECK (
        (email_sealed IS NULL) = (email_details IS NULL) AND (email_sealed IS NULL) = (email_index IS NULL));
-- Members are listed and searched by user ID; those without one come first.
CREATE INDEX member_list ON member (account_id, (lower(coalesce(user_id, ''))) text_pattern_ops, id);
CREATE INDEX member_without_number ON member (account_id, (lower(coalesce(user_id, ''))) text_pattern_ops, id) WHERE phone_sealed IS NULL;
CREATE INDEX member_email_index ON member (email_index) WHERE email_index IS NOT NULL;
CREATE INDEX member_phone_index ON member (phone_index) WHERE phone_index IS NOT NULL;
CREATE INDEX device_member_id ON device (member_id) WHERE revoked_at IS NULL;

-- Since when a number is the one that somebody else made it, where there was another one
-- before: no code goes to it while the account's cool-down lasts.
ALTER TABLE member ADD COLUMN phone_changed_at timestamptz;
GRANT SELECT (phone_changed_at), UPDATE (phone_changed_at) ON member TO latchkey_login, latchkey_console;

-- number_proof is the last time that a person typed the code of a text to the own number, to prove it.
CREATE TABLE number_proof (
    member_id uuid PRIMARY KEY,
    phone_version integer NOT NULL,     -- of the number that it was
    proved_at timestamptz NOT NULL DEFAULT now()
);

-- client_assignment says which staff see which clients.
CREATE TABLE client_assignment (
    client_id uuid NOT NULL,
    staff_id uuid NOT NULL,
    account_id uuid NOT NULL,
    assigned_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (client_id, staff_id)
);
CREATE INDEX client_assignment_staff_id ON client_assignment (staff_id);

-- console_grant hands a person with a session of login over to the console, once.
CREATE TABLE console_grant (
    code_digest bytea PRIMARY KEY,
    challenge bytea NOT NULL,       -- SHA-256 of what the browser's cookie of the console holds
    session_id uuid NOT NULL,
    member_id uuid NOT NULL,
    account_id uuid NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT console_grant_digests CHECK (length(code_digest) = 32 AND length(challenge) = 32)
);
CREATE INDEX console_grant_made_at ON console_grant (made_at);

-- console_session is a browser at the console. It ends with the session of login that it came of.
CREATE TABLE console_session (
    token_digest bytea PRIMARY KEY,
    id uuid NOT NULL,
    session_id uuid NOT NULL,
    member_id uuid NOT NULL,
    account_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    CONSTRAINT console_session_digest CHECK (length(token_digest) = 32)
);
CREATE INDEX console_session_created_at ON console_session (created_at);
CREATE INDEX session_id ON session (id);

-- who may end a registration through the console, and what the console tells of
ALTER TABLE device DROP CONSTRAINT device_revoke_reason;
ALTER TABLE device ADD CONSTRAINT device_revoke_reason CHECK (revoke_reason IN ('member', 'administrator', 'owner', 'product', 'operator', 'upgraded', 'number_changed', 'deactivated', 'erased', 'repudiated'));
ALTER TABLE console_event DROP CONSTRAINT console_event_type;
ALTER TABLE console_event ADD CONSTRAINT console_event_type CHECK (type IN (
    'latchkey.account.created', 'latchkey.account.option_changed', 'latchkey.account.key_created', 'latchkey.account.key_revoked',
    'latchkey.member.created', 'latchkey.member.updated', 'latchkey.member.number_changed', 'latchkey.device.revoked',
    'latchkey.member.deactivated', 'latchkey.member.reactivated', 'latchkey.member.unlocked', 'latchkey.member.password_reset',
    'latchkey.member.assigned', 'latchkey.member.unassigned', 'latchkey.notice.requested'));

-- idempotency_key remembers a request that made a person, for a day: sent again, it makes
-- nobody else.
CREATE TABLE idempotency_key (
    account_id uuid NOT NULL,
    key_digest bytea NOT NULL,     -- keyed, of who asked and what key came with it
    body_digest bytea NOT NULL,    -- keyed: the body names a person
    member_id uuid NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, key_digest)
);
CREATE INDEX idempotency_key_made_at ON idempotency_key (made_at);

GRANT SELECT, INSERT, DELETE ON idempotency_key TO latchkey_console;
-- whose text a registration came by
GRANT SELECT (id, typed_text) ON challenge TO latchkey_console;
GRANT SELECT (challenge_id, attempt_no, text_no, provider) ON attempt TO latchkey_console;
GRANT UPDATE (version) ON member TO latchkey_login;
GRANT SELECT, INSERT, UPDATE (phone_version, proved_at) ON number_proof TO latchkey_verifier;
-- what its texts are written in: fixed when it is made, since the dispatcher knows nobody's choice
ALTER TABLE challenge
    ADD COLUMN language text NOT NULL DEFAULT 'en',
    ADD CONSTRAINT challenge_language CHECK (language IN ('en', 'fr', 'es', 'de'));
GRANT SELECT (language) ON challenge TO latchkey_dispatcher;

GRANT SELECT ON number_proof TO latchkey_console;
GRANT SELECT (phone_version) ON challenge TO latchkey_console;
GRANT UPDATE (contact, two_factor_enabled_at, demographics_enabled_at, upgrade_policy, upgrade_jump, bearer_refused_at, countries, language,
    number_cooldown, version) ON account TO latchkey_console;
GRANT INSERT ON console_grant TO latchkey_login;
GRANT SELECT, DELETE ON console_grant TO latchkey_console;
GRANT SELECT, INSERT, UPDATE (seen_at, ended_at), DELETE ON console_session TO latchkey_console;
-- whose session and key it is, and whether it lives
GRANT SELECT (token_digest, id, member_id, account_id, device_id, amr, created_at, seen_at, ended_at), UPDATE (ended_at) ON session TO latchkey_console;
GRANT SELECT (key_digest) ON api_key TO latchkey_console;
-- people: sealed details are written and never read
GRANT SELECT (id, account_id, role, user_id, public_key, phone_version, phone_country, phone_last_two, phone_index, email_version, email_index,
    language, locked_at, created_at, updated_at, deactivated_at, version) ON member TO latchkey_console;
GRANT INSERT, UPDATE (role, user_id, phone_sealed, phone_details, phone_version, phone_country, phone_last_two, phone_index,
    email_sealed, email_details, email_version, email_index, language, locked_at, updated_at, deactivated_at, version) ON member TO latchkey_console;
GRANT SELECT (member_id, changed_at, must_change_since), INSERT, UPDATE ON credential TO latchkey_console;
GRANT SELECT, INSERT, DELETE ON client_assignment TO latchkey_console;
GRANT SELECT, UPDATE (revoked_at, revoke_reason) ON device TO latchkey_console;
GRANT SELECT, UPDATE (hour_count, day_count, consecutive) ON member_try TO latchkey_console;
GRANT SELECT (scope, key_digest), DELETE ON limit_counter TO latchkey_console;
RESET ROLE;
