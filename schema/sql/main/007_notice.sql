-- People are told of what happens to their sign-in, and may say that it was not them.
SET LOCAL ROLE latchkey_owner;

-- has_email says to who may read no address that there is one.
ALTER TABLE member ADD COLUMN has_email boolean GENERATED ALWAYS AS (email_sealed IS NOT NULL) STORED;

-- notice is one message to one address of a person, written with the change that it tells of.
CREATE TABLE notice (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    member_id uuid NOT NULL,
    kind text NOT NULL,
    channel text NOT NULL,
    address_sealed bytea,           -- a former address, as the member had it; null: the member's own at the time of sending
    address_version integer,
    software_id text,               -- of a registration
    device_id uuid,
    device_facets jsonb,
    made_at timestamptz NOT NULL DEFAULT now(),
    -- the dispatcher's:
    due_at timestamptz DEFAULT now(),   -- in flight: when its lease ends; before: when to try; null: settled
    tries smallint NOT NULL DEFAULT 0,
    ended_at timestamptz,
    ending text,
    token_digest bytea,             -- SHA-256 of what the link in it carries
    -- login's:
    repudiated_at timestamptz,      -- the person said: this was not me
    CONSTRAINT notice_kind CHECK (kind IN ('device_registered', 'number_changed', 'email_changed', 'password_reset', 'registration_code')),
    CONSTRAINT notice_channel CHECK (channel IN ('text', 'email')),
    CONSTRAINT notice_address_whole CHECK ((address_sealed IS NULL) = (address_version IS NULL)),
    CONSTRAINT notice_device_whole CHECK ((device_id IS NULL) = (software_id IS NULL) AND (device_id IS NULL) = (device_facets IS NULL)),
    CONSTRAINT notice_ending CHECK (ending IN ('sent', 'no_address', 'no_mail', 'never_deliverable', 'too_late')),
    CONSTRAINT notice_end_whole CHECK ((ended_at IS NULL) = (ending IS NULL) AND (ended_at IS NULL OR due_at IS NULL)),
    CONSTRAINT notice_token_digest CHECK (length(token_digest) = 32)
) PARTITION BY RANGE (id);
CREATE TABLE notice_default PARTITION OF notice DEFAULT;
CREATE INDEX notice_due ON notice (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX notice_token_digest ON notice (token_digest) WHERE token_digest IS NOT NULL;
INSERT INTO partitioned_table (name, span, keep) VALUES ('notice', 'day', '30 days');
SELECT partition_upkeep();

-- notice_tell writes notices of changes to people. A former one goes to the address that the
-- person has before the change, so it is called first. Who calls it reads no address and can
-- name none: only those on file are ever written to.
CREATE FUNCTION notice_tell(told uuid[], kinds text[], ids uuid[], channels text[], formers boolean[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public
    AS $$
INSERT INTO notice (id, account_id, member_id, kind, channel, address_sealed, address_version)
SELECT n.id, m.account_id, m.id, n.kind, n.channel,
    CASE WHEN n.former THEN CASE n.channel WHEN 'text' THEN m.phone_sealed ELSE m.email_sealed END END,
    CASE WHEN n.former THEN CASE n.channel WHEN 'text' THEN m.phone_version ELSE m.email_version END END
FROM unnest(told, kinds, ids, channels, formers) AS n(member_id, kind, id, channel, former) JOIN member m ON m.id = n.member_id
$$;
REVOKE ALL ON FUNCTION notice_tell(uuid[], text[], uuid[], text[], boolean[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION notice_tell(uuid[], text[], uuid[], text[], boolean[]) TO latchkey_login, latchkey_console;

-- verifier: tells of registrations, to whom it may not know
GRANT SELECT (has_email, locked_at) ON member TO latchkey_verifier;
GRANT INSERT (id, account_id, member_id, kind, channel, software_id, device_id, device_facets) ON notice TO latchkey_verifier;

-- dispatcher: whom a notice goes to, and in which language
GRANT SELECT (id, phone_sealed, phone_version, email_sealed, email_version, language) ON member TO latchkey_dispatcher;
GRANT SELECT (id, language) ON account TO latchkey_dispatcher;
GRANT SELECT (id, account_id, member_id, kind, channel, address_sealed, address_version, software_id, device_id, device_facets, made_at, due_at, tries, ended_at),
    UPDATE (due_at, tries, ended_at, ending, token_digest) ON notice TO latchkey_dispatcher;

-- login: what a link is about, and that its person said no
GRANT SELECT (id, account_id, member_id, kind, software_id, device_id, device_facets, made_at, token_digest, repudiated_at),
    UPDATE (repudiated_at) ON notice TO latchkey_login;
GRANT UPDATE (email_sealed, email_details, email_version, email_index, locked_at) ON member TO latchkey_login;
-- console: whether a former address is to be told
GRANT SELECT (has_email) ON member TO latchkey_console;
RESET ROLE;
