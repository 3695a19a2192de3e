-- Which provider carries a text: what operators decided, and what the dispatchers have learnt.
-- Both are shared by all instances and outlive them.
SET LOCAL ROLE latchkey_owner;

-- provider_rule is an operator's word, stronger than anything learnt: 'pin' puts a provider
-- first, 'drain' gives it no new text, 'order' replaces the configured order.
CREATE TABLE provider_rule (
    kind text NOT NULL,
    country text NOT NULL,              -- ISO 3166-1 alpha-2; '': every country without a rule of its own
    provider text NOT NULL,
    position smallint NOT NULL DEFAULT 0, -- in an order, from 0
    set_at timestamptz NOT NULL DEFAULT now(),
    set_by text NOT NULL,
    PRIMARY KEY (kind, country, provider),
    CONSTRAINT provider_rule_kind CHECK (kind IN ('pin', 'drain', 'order')),
    CONSTRAINT provider_rule_country CHECK (country ~ '^([A-Z]{2})?$'),
    CONSTRAINT provider_rule_provider CHECK (provider ~ '^[a-z][a-z0-9_-]{0,31}$'),
    CONSTRAINT provider_rule_position CHECK (position BETWEEN 0 AND 99)
);
CREATE UNIQUE INDEX provider_rule_one_pin ON provider_rule (country) WHERE kind = 'pin';

-- provider_health is what is known of a provider in a country, or ('') of the provider as a whole.
CREATE TABLE provider_health (
    provider text NOT NULL,
    country text NOT NULL,
    -- the circuit breaker: what one instance finds, all keep to
    breaker text NOT NULL DEFAULT 'closed',
    breaker_reason text NOT NULL DEFAULT '', -- of the failure that opened it last
    breaker_changed_at timestamptz NOT NULL DEFAULT now(),
    probe_after timestamptz,            -- while open: when the next text may try the provider
    -- conversion: of the texts it accepted, how many were typed in
    accepted integer NOT NULL DEFAULT 0, -- of the newest texts old enough to have been typed
    typed integer NOT NULL DEFAULT 0,
    usual double precision,             -- the share that is usual here; null: not known yet
    demoted_at timestamptz,             -- null: keeps its place in the order
    demoted_until timestamptz,          -- the earliest moment at which it may get it back
    demotions integer NOT NULL DEFAULT 0, -- in the last day: each doubles how long the next lasts
    judged_since timestamptz,           -- older texts are counted no more; null: all are
    -- receipts, of texts that surely arrived since they were typed in: whether they come, and how soon
    reports boolean,                    -- null: not known yet
    receipt_seconds double precision,   -- that nearly all of them take; null: not known yet
    measured_at timestamptz,
    PRIMARY KEY (provider, country),
    CONSTRAINT provider_health_breaker CHECK (breaker IN ('closed', 'open', 'half_open')),
    CONSTRAINT provider_health_counts CHECK (accepted >= 0 AND typed BETWEEN 0 AND accepted AND demotions >= 0),
    CONSTRAINT provider_health_usual CHECK (usual BETWEEN 0 AND 1),
    CONSTRAINT provider_health_demotion CHECK ((demoted_at IS NULL) = (demoted_until IS NULL)),
    CONSTRAINT provider_health_receipt CHECK (receipt_seconds > 0)
);

-- dispatcher_instance lists the dispatchers that run: a provider's rate is shared by them.
CREATE TABLE dispatcher_instance (
    id uuid PRIMARY KEY,
    seen_at timestamptz NOT NULL DEFAULT now()
);

-- A report over a connection of its own (SMPP) names its text by the vendor's reference alone.
CREATE INDEX attempt_vendor_reference ON attempt (provider, vendor_reference) WHERE vendor_reference <> '';
CREATE INDEX receipt_unmatched ON receipt (provider, vendor_reference) WHERE attempt_id = '00000000-0000-0000-0000-000000000000';

GRANT UPDATE (attempt_id) ON receipt TO latchkey_dispatcher;
GRANT SELECT ON provider_rule TO latchkey_dispatcher, latchkey_console, latchkey_auditor;
GRANT INSERT, DELETE ON provider_rule TO latchkey_console; -- a rule is set or taken away, never changed
GRANT SELECT, INSERT, UPDATE ON provider_health TO latchkey_dispatcher;
GRANT SELECT ON provider_health TO latchkey_console, latchkey_auditor;
GRANT SELECT, INSERT, UPDATE, DELETE ON dispatcher_instance TO latchkey_dispatcher;
GRANT SELECT ON dispatcher_instance TO latchkey_console;
RESET ROLE;
