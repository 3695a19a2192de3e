-- Accounts, the people in them, how they sign in, and the products that ask for them.
SET LOCAL ROLE latchkey_owner;

CREATE TABLE account (
    id uuid PRIMARY KEY,
    kind text NOT NULL,
    name text NOT NULL,
    country text NOT NULL,                     -- ISO 3166-1 alpha-2, for numbers written nationally
    contact text NOT NULL DEFAULT '',          -- whom a person without a number is told to ask
    two_factor_enabled_at timestamptz,         -- Pro: null while the feature is off
    demographics_enabled_at timestamptz,
    upgrade_policy text NOT NULL DEFAULT 'evergreen',
    upgrade_jump smallint NOT NULL DEFAULT 4,  -- evergreen: browser majors skipped before it asks again
    bearer_refused_at timestamptz,             -- set: a browser must prove a key, a cookie is not enough
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT account_kind CHECK (kind IN ('standalone_mobile', 'pro')),
    CONSTRAINT account_upgrade_policy CHECK (upgrade_policy IN ('evergreen', 'strict', 'off')),
    CONSTRAINT account_upgrade_jump CHECK (upgrade_jump BETWEEN 1 AND 100),
    CONSTRAINT account_country CHECK (country ~ '^[A-Z]{2}$')
);

CREATE TABLE member (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    role text NOT NULL,
    user_id text,                  -- unique in the installation; null where a product has its own sign-in
    public_key bytea NOT NULL,     -- personal details are sealed to it; its private half is in the key database
    phone_sealed bytea,            -- to the dispatcher; AAD = member id and phone_version
    phone_details bytea,           -- to the member's own key
    phone_version integer NOT NULL DEFAULT 0,
    phone_country text,
    phone_last_two text,
    phone_index bytea,             -- keyed blind index of the number
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deactivated_at timestamptz,
    CONSTRAINT member_role CHECK (role IN ('owner', 'administrator', 'supervisor', 'provider', 'client')),
    CONSTRAINT member_user_id CHECK (length(user_id) BETWEEN 1 AND 128),
    CONSTRAINT member_phone_whole CHECK (
        (phone_sealed IS NULL) = (phone_details IS NULL) AND (phone_sealed IS NULL) = (phone_country IS NULL)
        AND (phone_sealed IS NULL) = (phone_last_two IS NULL) AND (phone_sealed IS NULL) = (phone_index IS NULL)),
    CONSTRAINT member_phone_last_two CHECK (phone_last_two ~ '^[0-9]{2}$')
);
CREATE UNIQUE INDEX member_user_id_key ON member (lower(user_id));
CREATE INDEX member_account_id ON member (account_id);

CREATE TABLE credential (
    member_id uuid PRIMARY KEY,
    digest text NOT NULL,              -- argon2id, its parameters inside
    changed_at timestamptz NOT NULL DEFAULT now(),
    must_change_since timestamptz      -- a generated password, to be changed after the first code
);

-- software is what a registration is for: the web app or the mobile app.
CREATE TABLE software (
    id text PRIMARY KEY,
    kind text NOT NULL,
    name text NOT NULL,                -- what the text calls the service
    autofill_host text NOT NULL DEFAULT '',
    app_hash text NOT NULL DEFAULT '',
    addresses text[] NOT NULL DEFAULT '{}',  -- the htu a product's own sign-in page may prove, besides ours
    CONSTRAINT software_id CHECK (id ~ '^[a-z][a-z0-9-]{0,31}$'),
    CONSTRAINT software_kind CHECK (kind IN ('web', 'mobile')),
    CONSTRAINT software_one_autofill CHECK (autofill_host = '' OR app_hash = ''),
    CONSTRAINT software_app_hash CHECK (app_hash = '' OR length(app_hash) = 11)
);

CREATE TABLE api_key (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    name text NOT NULL,
    key_digest bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz,
    CONSTRAINT api_key_digest_key UNIQUE (key_digest)
);

CREATE TABLE session (
    token_digest bytea PRIMARY KEY,
    id uuid NOT NULL,
    member_id uuid NOT NULL,
    account_id uuid NOT NULL,
    software_id text NOT NULL,
    device_id uuid,                -- null where no second factor was required
    amr text[] NOT NULL,           -- RFC 8176
    created_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz
);
CREATE INDEX session_member_id ON session (member_id);
CREATE INDEX session_device_id ON session (device_id) WHERE ended_at IS NULL;
CREATE INDEX session_created_at ON session (created_at);

-- limit_counter counts what must not happen too often, by keyed digests, never by names.
CREATE TABLE limit_counter (
    scope text NOT NULL,
    key_digest bytea NOT NULL,
    window_start timestamptz NOT NULL,
    count integer NOT NULL,
    PRIMARY KEY (scope, key_digest, window_start),
    CONSTRAINT limit_counter_scope CHECK (scope IN ('password_member', 'password_address', 'challenge_member'))
);
CREATE INDEX limit_counter_window_start ON limit_counter (window_start);

-- used_proof remembers proofs and tickets until they are too old to be replayed. A row's
-- slot follows from the time inside the server's own nonce, so a replay meets its original.
CREATE TABLE used_proof (
    slot smallint NOT NULL,
    proof_digest bytea NOT NULL,
    PRIMARY KEY (slot, proof_digest)
) PARTITION BY LIST (slot);
CREATE TABLE used_proof_0 PARTITION OF used_proof FOR VALUES IN (0);
CREATE TABLE used_proof_1 PARTITION OF used_proof FOR VALUES IN (1);
CREATE TABLE used_proof_2 PARTITION OF used_proof FOR VALUES IN (2);
CREATE TABLE used_proof_3 PARTITION OF used_proof FOR VALUES IN (3);

-- used_proof_clear empties the slot that comes two after the one in use: by this clock, which
-- login dates its nonces by, those of that slot are two minutes old at least, and good for one.
CREATE FUNCTION used_proof_clear(slot_seconds integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public
    AS $$
BEGIN
    EXECUTE format('TRUNCATE public.%I', 'used_proof_' || (floor(extract(epoch FROM now()) / slot_seconds)::bigint + 2) % 4);
END
$$;
REVOKE ALL ON FUNCTION used_proof_clear(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION used_proof_clear(integer) TO latchkey_login;
RESET ROLE;
