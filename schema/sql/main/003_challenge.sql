-- A challenge is one request for a code: to register one device, or to prove a number. Its tables are split by who writes them.
SET LOCAL ROLE latchkey_owner;

CREATE TABLE challenge (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    member_id uuid NOT NULL,
    software_id text NOT NULL,
    purpose text NOT NULL,
    origin text NOT NULL,               -- whose first factor: our own sign-in, or a product's
    device_kind text NOT NULL,
    device_thumbprint bytea NOT NULL,   -- RFC 7638 of the proven key, or SHA-256 of the bearer token
    device_facets jsonb NOT NULL,
    seed bytea NOT NULL,
    epoch bigint NOT NULL,              -- hours of creation since 1970, by this database's clock
    phone_sealed bytea NOT NULL,        -- copied from the member when the challenge was made
    phone_version integer NOT NULL,
    phone_country text NOT NULL,
    phone_last_two text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    -- the verifier's:
    tries smallint NOT NULL DEFAULT 0,
    closed_at timestamptz,
    end_reason text,
    typed_text smallint,                -- the number of the text whose code was typed
    CONSTRAINT challenge_purpose CHECK (purpose IN ('register', 'prove_number')),
    CONSTRAINT challenge_origin CHECK (origin IN ('sign_in', 'device_check')),
    CONSTRAINT challenge_device_kind CHECK (device_kind IN ('key', 'bearer')),
    CONSTRAINT challenge_device_thumbprint CHECK (length(device_thumbprint) = 32),
    CONSTRAINT challenge_seed CHECK (length(seed) = 32),
    -- NIST SP 800-63B-4 section 3.1.3.2: ten minutes at most
    CONSTRAINT challenge_validity CHECK (expires_at > created_at AND expires_at <= created_at + interval '10 minutes'),
    CONSTRAINT challenge_tries CHECK (tries BETWEEN 0 AND 5),
    CONSTRAINT challenge_end_reason CHECK (end_reason IN ('registered', 'proved', 'expired', 'tries', 'locked')),
    CONSTRAINT challenge_end_whole CHECK ((closed_at IS NULL) = (end_reason IS NULL)),
    CONSTRAINT challenge_typed_text CHECK (typed_text BETWEEN 1 AND 3)
) PARTITION BY RANGE (id);
CREATE TABLE challenge_default PARTITION OF challenge DEFAULT;
CREATE INDEX challenge_open ON challenge (expires_at) WHERE closed_at IS NULL;

-- text_request is a wish for a text: the first with the challenge, others by "send another".
CREATE TABLE text_request (
    challenge_id uuid NOT NULL,
    request_no smallint NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (challenge_id, request_no),
    CONSTRAINT text_request_no CHECK (request_no BETWEEN 1 AND 3)
) PARTITION BY RANGE (challenge_id);
CREATE TABLE text_request_default PARTITION OF text_request DEFAULT;
CREATE INDEX text_request_requested_at ON text_request (requested_at);

-- attempt is one try of the dispatcher to hand one text to one provider, written before
-- any request leaves. Its primary key is the lock: of two claims of a challenge's next
-- attempt, one wins.
CREATE TABLE attempt (
    challenge_id uuid NOT NULL,
    attempt_no smallint NOT NULL,
    id uuid NOT NULL,                   -- the client reference that the vendor sees
    request_no smallint NOT NULL,
    text_no smallint NOT NULL,          -- which of the three codes; 0 when none was sent
    provider text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    due_at timestamptz,                 -- in flight: when its lease ends; afterwards: when to try again; null: settled
    finished_at timestamptz,
    ending text,
    reason text,
    vendor_code text,
    vendor_reference text,
    delivered_at timestamptz,           -- by receipt
    receipt_status text,
    PRIMARY KEY (challenge_id, attempt_no),
    CONSTRAINT attempt_text_no CHECK (text_no BETWEEN 0 AND 3),
    CONSTRAINT attempt_ending CHECK (ending IN ('accepted', 'refused_elsewhere', 'refused_never', 'ambiguous', 'not_sent')),
    CONSTRAINT attempt_end_whole CHECK ((finished_at IS NULL) = (ending IS NULL)),
    CONSTRAINT attempt_receipt_status CHECK (receipt_status IN ('delivered', 'undelivered', 'expired', 'rejected', 'in_transit', 'unknown'))
) PARTITION BY RANGE (challenge_id);
CREATE TABLE attempt_default PARTITION OF attempt DEFAULT;
CREATE INDEX attempt_id ON attempt (id);
CREATE INDEX attempt_due ON attempt (due_at) WHERE due_at IS NOT NULL;

-- receipt keeps every authentic delivery report, also one that comes before its attempt.
CREATE TABLE receipt (
    id uuid PRIMARY KEY,
    attempt_id uuid NOT NULL,
    provider text NOT NULL,
    status text NOT NULL,
    vendor_code text NOT NULL,
    vendor_reference text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT receipt_status CHECK (status IN ('delivered', 'undelivered', 'expired', 'rejected', 'in_transit', 'unknown')),
    CONSTRAINT receipt_once UNIQUE (id, attempt_id)
) PARTITION BY RANGE (id);
CREATE TABLE receipt_default PARTITION OF receipt DEFAULT;
CREATE INDEX receipt_attempt_id ON receipt (attempt_id);

-- entry is one typed code, sealed to the verifier. Its database time says whether it is in time.
CREATE TABLE entry (
    id uuid PRIMARY KEY,
    challenge_id uuid NOT NULL,
    judge_key bigint NOT NULL,
    encapsulated bytea NOT NULL,
    sealed bytea NOT NULL,
    entered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT entry_sealed CHECK (length(sealed) BETWEEN 1 AND 256 AND length(encapsulated) BETWEEN 1 AND 256)
) PARTITION BY RANGE (id);
CREATE TABLE entry_default PARTITION OF entry DEFAULT;
CREATE INDEX entry_entered_at ON entry (entered_at);

-- verdict is the verifier's one answer to an entry.
CREATE TABLE verdict (
    entry_id uuid PRIMARY KEY,
    challenge_id uuid NOT NULL,
    result text NOT NULL,
    tries_left smallint NOT NULL,
    judged_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT verdict_result CHECK (result IN ('registered', 'proved', 'wrong', 'expired', 'closed', 'locked', 'unreadable'))
) PARTITION BY RANGE (entry_id);
CREATE TABLE verdict_default PARTITION OF verdict DEFAULT;

-- member_try counts a person's wrong codes across challenges. Only a right code resets it.
CREATE TABLE member_try (
    member_id uuid PRIMARY KEY,
    hour_started_at timestamptz NOT NULL,
    hour_count integer NOT NULL,
    day_started_at timestamptz NOT NULL,
    day_count integer NOT NULL,
    consecutive integer NOT NULL,
    CONSTRAINT member_try_counts CHECK (hour_count >= 0 AND day_count >= 0 AND consecutive >= 0)
);

-- device is a registration: one member, one software, one proven key. Rows are never deleted:
-- they are the record of every authenticator ever bound (NIST SP 800-63B-4 section 4.1).
CREATE TABLE device (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    member_id uuid NOT NULL,
    software_id text NOT NULL,
    kind text NOT NULL,
    thumbprint bytea NOT NULL,
    challenge_id uuid NOT NULL,
    registered_facets jsonb NOT NULL,
    seen_facets jsonb NOT NULL,
    seen_country text,                 -- ISO 3166-1 alpha-2 of the address then; null: not known
    name text NOT NULL DEFAULT '',
    registered_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz,
    revoke_reason text,
    CONSTRAINT device_kind CHECK (kind IN ('key', 'bearer')),
    CONSTRAINT device_seen_country CHECK (seen_country ~ '^[A-Z]{2}$'),
    CONSTRAINT device_name CHECK (length(name) <= 100),
    CONSTRAINT device_challenge_once UNIQUE (challenge_id),
    CONSTRAINT device_revoke_reason CHECK (revoke_reason IN ('member', 'administrator', 'owner', 'upgraded', 'number_changed', 'deactivated', 'erased')),
    CONSTRAINT device_revoke_whole CHECK ((revoked_at IS NULL) = (revoke_reason IS NULL))
);
CREATE UNIQUE INDEX device_live_key ON device (member_id, software_id, thumbprint) WHERE revoked_at IS NULL;

-- A registration that has ended never lives again: who may end one could else make one.
CREATE FUNCTION device_revoked_is_final() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'a registration that has ended never lives again'; END $$;
CREATE TRIGGER device_revoked_final BEFORE UPDATE ON device FOR EACH ROW
    WHEN (OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at) EXECUTE FUNCTION device_revoked_is_final();

-- judge_public_key is what login seals typed codes to; the private half is in the key database.
CREATE TABLE judge_public_key (
    id bigint PRIMARY KEY,      -- days since 1970
    public_key bytea NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now()
);

INSERT INTO partitioned_table (name, span, keep) VALUES
    ('challenge', 'day', '30 days'), ('text_request', 'day', '30 days'), ('attempt', 'day', '30 days'),
    ('receipt', 'day', '30 days'), ('entry', 'day', '30 days'), ('verdict', 'day', '30 days');
RESET ROLE;
