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
-- Two hints that let a list find few among many. Each may be true of too many people, never of
-- too few: a list looks again at whom it finds, and the console's upkeep takes hints back.
ALTER TABLE member
    ADD COLUMN may_lack_device boolean NOT NULL DEFAULT true,   -- false: there was a live registration, and none has been ended since
    ADD COLUMN may_be_capped boolean NOT NULL DEFAULT false;    -- true: wrong codes came to a limit
-- Lists are in the order of user IDs, byte by byte; people without one come first. What a list
-- is filtered by stands before, so that every filter is a range, or a few of them.
CREATE INDEX member_list ON member (account_id, (deactivated_at IS NOT NULL), (phone_index IS NULL), may_lack_device,
    (locked_at IS NOT NULL OR may_be_capped), role, (lower(coalesce(user_id, '')) COLLATE "C"), id);
DROP INDEX member_account_id;   -- the beginning of member_list
CREATE INDEX member_last_two ON member (account_id, phone_country, phone_last_two) WHERE phone_last_two IS NOT NULL;
CREATE INDEX member_capped ON member (id) WHERE may_be_capped;
CREATE INDEX member_email_index ON member (email_index) WHERE email_index IS NOT NULL;
CREATE INDEX member_phone_index ON member (phone_index) WHERE phone_index IS NOT NULL;
CREATE INDEX device_member_id ON device (member_id) WHERE revoked_at IS NULL;

-- Since when a number is the one that somebody else made it, where there was another one
-- before: no code goes to it while the account's cool-down lasts.
ALTER TABLE member ADD COLUMN phone_changed_at timestamptz;
GRANT SELECT (phone_changed_at), UPDATE (phone_changed_at) ON member TO latchkey_login, latchkey_console;

-- A registration that ends may have been the last one. An upgrade puts another in its place at
-- once. A new registration does not wait for this: upkeep takes the hint back later.
CREATE FUNCTION member_may_lack_device() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public
    AS $$ BEGIN UPDATE public.member SET may_lack_device = true WHERE id = NEW.member_id; RETURN NULL; END $$;
CREATE TRIGGER device_ended AFTER UPDATE ON device FOR EACH ROW
    WHEN (OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL AND NEW.revoke_reason <> 'upgraded') EXECUTE FUNCTION member_may_lack_device();

-- try_is_capped says whether wrong codes keep a person from typing another one.
CREATE FUNCTION try_is_capped(t member_try) RETURNS boolean LANGUAGE sql STABLE
    AS $$ SELECT coalesce(t.day_count >= 20 AND t.day_started_at > now() - interval '1 day'
        OR t.hour_count >= 10 AND t.hour_started_at > now() - interval '1 hour' OR t.consecutive >= 100, false) $$;
CREATE FUNCTION member_may_be_capped() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public
    AS $$ BEGIN UPDATE public.member SET may_be_capped = true WHERE id = NEW.member_id; RETURN NULL; END $$;
CREATE TRIGGER member_try_capped AFTER UPDATE ON member_try FOR EACH ROW
    WHEN (NEW.hour_count >= 10 AND OLD.hour_count < 10 OR NEW.day_count >= 20 AND OLD.day_count < 20
        OR NEW.consecutive >= 100 AND OLD.consecutive < 100) EXECUTE FUNCTION member_may_be_capped();
CREATE TRIGGER member_try_came_capped AFTER INSERT ON member_try FOR EACH ROW
    WHEN (NEW.hour_count >= 10 OR NEW.day_count >= 20 OR NEW.consecutive >= 100) EXECUTE FUNCTION member_may_be_capped();

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
    'latchkey.member.deactivated', 'latchkey.member.reactivated', 'latchkey.member.unlocked', 'latchkey.member.password_reset', 'latchkey.member.password_link_made',
    'latchkey.member.registration_code_made', 'latchkey.member.registration_code_approved',
    'latchkey.member.assigned', 'latchkey.member.unassigned', 'latchkey.notice.requested'));

-- password_link lets a person choose a password, once and for a day, in place of the one that
-- is there; it is dead once that one was changed otherwise. A person has one at a time.
CREATE TABLE password_link (
    member_id uuid PRIMARY KEY,
    token_digest bytea NOT NULL UNIQUE,
    made_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT password_link_token_digest CHECK (length(token_digest) = 32)
);
CREATE INDEX password_link_made_at ON password_link (made_at);

-- idempotency_key remembers a request that made a person, or a line of an imported file that
-- did: sent again, it makes nobody else.
CREATE TABLE idempotency_key (
    account_id uuid NOT NULL,
    key_digest bytea NOT NULL,     -- keyed, of who asked and what key came with it
    body_digest bytea NOT NULL,    -- keyed: the body names a person
    member_id uuid NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    kept_until timestamptz NOT NULL,
    PRIMARY KEY (account_id, key_digest)
);
CREATE INDEX idempotency_key_kept_until ON idempotency_key (kept_until);

GRANT SELECT, INSERT, DELETE ON idempotency_key TO latchkey_console;
-- registration_code registers one device of a member whose phone is lost. The code itself was
-- shown once. One that takes two people has no digest, since there is no code, until the second
-- of them approves it, within a day.
CREATE TABLE registration_code (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    member_id uuid NOT NULL,
    digest bytea,                   -- SHA-256 of member and code
    needs_approval boolean GENERATED ALWAYS AS (digest IS NULL) STORED,
    made_by text NOT NULL,          -- as events name actors
    made_at timestamptz NOT NULL DEFAULT now(),
    approved_by text,
    approved_at timestamptz,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    used_challenge uuid,
    CONSTRAINT registration_code_digest CHECK (length(digest) = 32),
    CONSTRAINT registration_code_validity CHECK (expires_at <= coalesce(approved_at, made_at) + CASE WHEN digest IS NULL THEN interval '1 day' ELSE interval '15 minutes' END),
    CONSTRAINT registration_code_approved_whole CHECK ((approved_by IS NULL) = (approved_at IS NULL) AND (approved_by IS NULL OR digest IS NOT NULL)),
    CONSTRAINT registration_code_two_people CHECK (approved_by <> made_by),
    CONSTRAINT registration_code_used_whole CHECK ((used_at IS NULL) = (used_challenge IS NULL) AND (used_at IS NULL OR digest IS NOT NULL)),
    CONSTRAINT registration_code_once UNIQUE (used_challenge)
);
CREATE INDEX registration_code_live ON registration_code (member_id) WHERE used_at IS NULL;
CREATE INDEX registration_code_made_at ON registration_code (made_at);
ALTER TABLE device
    ADD COLUMN factor text NOT NULL DEFAULT 'sms', -- what registered it
    ADD CONSTRAINT device_factor CHECK (factor IN ('sms', 'registration_code'));
GRANT SELECT (id, account_id, member_id, needs_approval, made_by, made_at, approved_at, expires_at, used_at), INSERT (id, account_id, member_id, digest, made_by, expires_at),
    UPDATE (digest, approved_by, approved_at, expires_at), DELETE ON registration_code TO latchkey_console;
GRANT SELECT (id, member_id, digest, expires_at, used_at), UPDATE (used_at, used_challenge) ON registration_code TO latchkey_verifier;

-- whose text a registration came by
GRANT SELECT (id, typed_text) ON challenge TO latchkey_console;
GRANT SELECT (challenge_id, attempt_no, text_no, provider) ON attempt TO latchkey_console;
GRANT UPDATE (language, version) ON member TO latchkey_login;
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
    language, locked_at, created_at, updated_at, deactivated_at, version, may_lack_device, may_be_capped) ON member TO latchkey_console;
GRANT UPDATE (may_lack_device, may_be_capped) ON member TO latchkey_console;
GRANT INSERT, UPDATE (role, user_id, phone_sealed, phone_details, phone_version, phone_country, phone_last_two, phone_index,
    email_sealed, email_details, email_version, email_index, language, locked_at, updated_at, deactivated_at, version) ON member TO latchkey_console;
GRANT SELECT (member_id, changed_at, must_change_since), INSERT, UPDATE ON credential TO latchkey_console;
GRANT SELECT, INSERT, DELETE ON client_assignment TO latchkey_console;
-- a digest of a link is written here and never read; login knows it by what is brought
GRANT SELECT (member_id, made_at), INSERT, UPDATE (token_digest, made_at), DELETE ON password_link TO latchkey_console;
GRANT SELECT, DELETE ON password_link TO latchkey_login;
GRANT SELECT, UPDATE (revoked_at, revoke_reason) ON device TO latchkey_console;
GRANT SELECT, UPDATE (hour_count, day_count, consecutive) ON member_try TO latchkey_console;
GRANT SELECT (scope, key_digest), DELETE ON limit_counter TO latchkey_console;
RESET ROLE;
