-- What must not happen too often with texts, and what they cost.
SET LOCAL ROLE latchkey_owner;

-- Texts are counted by person, number, network address, network and account.
ALTER TABLE limit_counter DROP CONSTRAINT limit_counter_scope;
ALTER TABLE limit_counter ADD CONSTRAINT limit_counter_scope CHECK (scope IN ('password_member', 'password_address', 'challenge_member',
    'text_member', 'text_member_day', 'text_number', 'text_number_day', 'text_address', 'text_address_day',
    'text_network', 'text_network_day', 'text_account', 'text_account_day'));

-- spend is what texts cost, by account and country: those that a provider took, or may have.
CREATE TABLE spend (
    account_id uuid NOT NULL,
    country text NOT NULL,
    hour timestamptz NOT NULL,          -- that it began
    texts integer NOT NULL,
    cost_micros bigint NOT NULL,        -- millionths of the configured currency
    PRIMARY KEY (account_id, country, hour),
    CONSTRAINT spend_counts CHECK (texts >= 0 AND cost_micros >= 0)
);
CREATE INDEX spend_hour ON spend (hour);

-- spend_state is where spending reached the alarm or the stop of its hour or day.
CREATE TABLE spend_state (
    account_id uuid NOT NULL,
    country text NOT NULL,
    span text NOT NULL,
    level text NOT NULL,
    reached_at timestamptz NOT NULL DEFAULT now(),
    until timestamptz NOT NULL,         -- the end of the hour or day (UTC)
    PRIMARY KEY (account_id, country, span),
    CONSTRAINT spend_state_span CHECK (span IN ('hour', 'day')),
    CONSTRAINT spend_state_level CHECK (level IN ('alarm', 'stop'))
);

ALTER TABLE dispatcher_event DROP CONSTRAINT dispatcher_event_type;
ALTER TABLE dispatcher_event ADD CONSTRAINT dispatcher_event_type CHECK (type IN (
    'latchkey.sms.attempted', 'latchkey.sms.accepted', 'latchkey.sms.refused', 'latchkey.sms.unanswered',
    'latchkey.sms.abandoned', 'latchkey.sms.delivered', 'latchkey.sms.undelivered',
    'latchkey.notice.sent', 'latchkey.notice.abandoned', 'latchkey.spend.reached'));

GRANT SELECT, INSERT, UPDATE, DELETE ON spend, spend_state TO latchkey_dispatcher;
GRANT SELECT (phone_country) ON member TO latchkey_dispatcher;
GRANT SELECT ON spend_state TO latchkey_login;
GRANT SELECT ON spend, spend_state TO latchkey_console, latchkey_auditor;
RESET ROLE;
