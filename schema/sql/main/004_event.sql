-- Every step is an event, written once, in the transaction of the change it tells of, to a
-- table that only its own service may write. No role may change or delete one.
SET LOCAL ROLE latchkey_owner;

CREATE FUNCTION event_is_forever() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'events are never changed or deleted'; END $$;

CREATE TABLE login_event (
    id uuid PRIMARY KEY,
    type text NOT NULL,
    account_id uuid NOT NULL,
    body bytea NOT NULL,        -- the exact bytes that were published
    CONSTRAINT login_event_type CHECK (type IN (
        'latchkey.code.requested', 'latchkey.text.requested', 'latchkey.code.entered',
        'latchkey.login.succeeded', 'latchkey.login.refused', 'latchkey.login.ended', 'latchkey.login.password_changed',
        'latchkey.device.named', 'latchkey.device.revoked',
        'latchkey.member.created', 'latchkey.member.updated', 'latchkey.member.number_changed', 'latchkey.member.locked',
        'latchkey.notice.requested')),
    CONSTRAINT login_event_body CHECK (length(body) BETWEEN 2 AND 65536)
) PARTITION BY RANGE (id);
CREATE TABLE dispatcher_event (
    id uuid PRIMARY KEY,
    type text NOT NULL,
    account_id uuid NOT NULL,
    body bytea NOT NULL,
    CONSTRAINT dispatcher_event_type CHECK (type IN (
        'latchkey.sms.attempted', 'latchkey.sms.accepted', 'latchkey.sms.refused', 'latchkey.sms.unanswered',
        'latchkey.sms.abandoned', 'latchkey.sms.delivered', 'latchkey.sms.undelivered',
        'latchkey.notice.sent', 'latchkey.notice.abandoned')),
    CONSTRAINT dispatcher_event_body CHECK (length(body) BETWEEN 2 AND 65536)
) PARTITION BY RANGE (id);
CREATE TABLE verifier_event (
    id uuid PRIMARY KEY,
    type text NOT NULL,
    account_id uuid NOT NULL,
    body bytea NOT NULL,
    CONSTRAINT verifier_event_type CHECK (type IN (
        'latchkey.device.registered', 'latchkey.number.proved', 'latchkey.code.rejected', 'latchkey.code.expired', 'latchkey.notice.requested')),
    CONSTRAINT verifier_event_body CHECK (length(body) BETWEEN 2 AND 65536)
) PARTITION BY RANGE (id);
CREATE TABLE console_event (
    id uuid PRIMARY KEY,
    type text NOT NULL,
    account_id uuid NOT NULL,
    body bytea NOT NULL,
    CONSTRAINT console_event_type CHECK (type IN (
        'latchkey.account.created', 'latchkey.account.option_changed', 'latchkey.account.key_created', 'latchkey.account.key_revoked',
        'latchkey.member.created', 'latchkey.member.updated', 'latchkey.member.number_changed', 'latchkey.device.revoked')),
    CONSTRAINT console_event_body CHECK (length(body) BETWEEN 2 AND 65536)
) PARTITION BY RANGE (id);
CREATE TABLE login_event_default PARTITION OF login_event DEFAULT;
CREATE TABLE dispatcher_event_default PARTITION OF dispatcher_event DEFAULT;
CREATE TABLE verifier_event_default PARTITION OF verifier_event DEFAULT;
CREATE TABLE console_event_default PARTITION OF console_event DEFAULT;
CREATE TRIGGER login_event_forever BEFORE UPDATE OR DELETE ON login_event FOR EACH ROW EXECUTE FUNCTION event_is_forever();
CREATE TRIGGER dispatcher_event_forever BEFORE UPDATE OR DELETE ON dispatcher_event FOR EACH ROW EXECUTE FUNCTION event_is_forever();
CREATE TRIGGER verifier_event_forever BEFORE UPDATE OR DELETE ON verifier_event FOR EACH ROW EXECUTE FUNCTION event_is_forever();
CREATE TRIGGER console_event_forever BEFORE UPDATE OR DELETE ON console_event FOR EACH ROW EXECUTE FUNCTION event_is_forever();

INSERT INTO partitioned_table (name, span, keep) VALUES
    ('login_event', 'month', '6 years 30 days'), ('dispatcher_event', 'month', '6 years 30 days'),
    ('verifier_event', 'month', '6 years 30 days'), ('console_event', 'month', '6 years 30 days');

CREATE VIEW event AS
    SELECT id, type, account_id, body, 'login' AS service FROM login_event
    UNION ALL SELECT id, type, account_id, body, 'dispatcher' FROM dispatcher_event
    UNION ALL SELECT id, type, account_id, body, 'verifier' FROM verifier_event
    UNION ALL SELECT id, type, account_id, body, 'console' FROM console_event;

-- leaf gives every event its place in the one order, without gaps.
CREATE TABLE leaf (
    index bigint PRIMARY KEY,
    event_id uuid NOT NULL,
    hash bytea NOT NULL,        -- SHA-256 of 0x00 and the body: RFC 9162 section 2.1.1
    CONSTRAINT leaf_event_once UNIQUE (event_id),
    CONSTRAINT leaf_index CHECK (index >= 0),
    CONSTRAINT leaf_hash CHECK (length(hash) = 32)
);
CREATE TRIGGER leaf_forever BEFORE UPDATE OR DELETE ON leaf FOR EACH ROW EXECUTE FUNCTION event_is_forever();

-- audit_alarm is where the table, the stream and the order disagree.
CREATE TABLE audit_alarm (
    id uuid PRIMARY KEY,
    kind text NOT NULL,
    event_id uuid,
    detail text NOT NULL,
    raised_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT audit_alarm_kind CHECK (kind IN ('not_in_table', 'bytes_differ', 'not_in_stream')),
    CONSTRAINT audit_alarm_once UNIQUE (kind, event_id)
);

-- dead_letter keeps messages that no consumer could handle. One may be redriven: an operator
-- asks for it, and the service whose consumer it was takes it up as if it came once more.
CREATE TABLE dead_letter (
    id uuid PRIMARY KEY,                -- UUIDv7, by the time of the burial
    consumer text NOT NULL,
    subject text NOT NULL,
    message_id text NOT NULL,
    stream_sequence bigint NOT NULL,    -- starts anew when the bus lost its store
    headers jsonb NOT NULL,
    data bytea NOT NULL,
    digest bytea NOT NULL,              -- SHA-256 of message id, subject and data
    reason text NOT NULL,
    deliveries integer NOT NULL,
    buried_at timestamptz NOT NULL DEFAULT now(),
    redrive_requested_at timestamptz,   -- null again when the letter was buried again
    redrive_requested_by text,
    redrives integer NOT NULL DEFAULT 0,
    redriven_at timestamptz,            -- set: the consumer handled it after all
    CONSTRAINT dead_letter_once UNIQUE (consumer, digest),
    CONSTRAINT dead_letter_digest CHECK (length(digest) = 32),
    CONSTRAINT dead_letter_redrive_whole CHECK (redrive_requested_at IS NULL OR redrive_requested_by IS NOT NULL),
    CONSTRAINT dead_letter_redrive_by CHECK (length(redrive_requested_by) BETWEEN 1 AND 200),
    CONSTRAINT dead_letter_redrives CHECK (redrives >= 0)
);
CREATE INDEX dead_letter_asked ON dead_letter (consumer, id) WHERE redrive_requested_at IS NOT NULL AND redriven_at IS NULL;

-- A service sees and writes the letters of its own consumer alone.
ALTER TABLE dead_letter ENABLE ROW LEVEL SECURITY;
CREATE POLICY dead_letter_dispatcher ON dead_letter TO latchkey_dispatcher USING (consumer = 'dispatcher-send');
CREATE POLICY dead_letter_verifier ON dead_letter TO latchkey_verifier USING (consumer = 'verifier-judge');
CREATE POLICY dead_letter_auditor ON dead_letter TO latchkey_auditor USING (consumer = 'auditor-order');
CREATE POLICY dead_letter_console ON dead_letter TO latchkey_console USING (true);
SELECT partition_upkeep();
RESET ROLE;
