-- The key database: backed up for 30 days at most and never with the main one, so that no
-- backup holds a code and an erasure is final.
SET LOCAL ROLE latchkey_owner;

-- code_epoch holds the key of one hour of challenges; destroyed a day after.
CREATE TABLE code_epoch (
    epoch bigint PRIMARY KEY,           -- hours since 1970
    key bytea NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT code_epoch_key CHECK (length(key) = 32)
);

-- judge_key holds the verifier's HPKE private keys, one a day.
CREATE TABLE judge_key (
    id bigint PRIMARY KEY,              -- days since 1970
    private_key bytea NOT NULL,
    public_key bytea NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now()
);

-- member_key holds each member's private key, wrapped to the auditor. Destroying it is the erasure.
CREATE TABLE member_key (
    member_id uuid NOT NULL,
    public_key bytea NOT NULL,          -- which of the keys made for a member the member's row took
    wrapped bytea NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (member_id, public_key)
);

GRANT SELECT ON code_epoch TO latchkey_dispatcher;
GRANT SELECT, INSERT, DELETE ON code_epoch TO latchkey_verifier;
GRANT SELECT, INSERT, DELETE ON judge_key TO latchkey_verifier;
GRANT INSERT ON member_key TO latchkey_login, latchkey_console;
GRANT SELECT, DELETE ON member_key TO latchkey_auditor;
RESET ROLE;
