-- Texts by the first digits of the numbers that they go to: who makes texts for money has many
-- numbers of a few prefixes, and types in none of their codes.
SET LOCAL ROLE latchkey_owner;

-- At most five digits of a number in E.164 without its +: an area, never a person.
ALTER TABLE attempt ADD COLUMN phone_prefix text CONSTRAINT attempt_phone_prefix CHECK (phone_prefix ~ '^[1-9][0-9]{0,4}$');

-- conversion_alarm is where hardly any code was typed in, once an hour.
CREATE TABLE conversion_alarm (
    country text NOT NULL,
    prefix text NOT NULL,
    hour timestamptz NOT NULL,          -- that it was raised in
    accepted integer NOT NULL,          -- texts of the hour before
    typed integer NOT NULL,
    PRIMARY KEY (country, prefix, hour),
    CONSTRAINT conversion_alarm_counts CHECK (typed >= 0 AND accepted >= typed)
);

ALTER TABLE dispatcher_event DROP CONSTRAINT dispatcher_event_type;
ALTER TABLE dispatcher_event ADD CONSTRAINT dispatcher_event_type CHECK (type IN (
    'latchkey.sms.attempted', 'latchkey.sms.accepted', 'latchkey.sms.refused', 'latchkey.sms.unanswered',
    'latchkey.sms.abandoned', 'latchkey.sms.delivered', 'latchkey.sms.undelivered',
    'latchkey.notice.sent', 'latchkey.notice.abandoned', 'latchkey.spend.reached', 'latchkey.conversion.fallen'));

GRANT UPDATE (phone_prefix) ON attempt TO latchkey_dispatcher;
GRANT SELECT, INSERT, DELETE ON conversion_alarm TO latchkey_dispatcher;
GRANT SELECT ON conversion_alarm TO latchkey_console, latchkey_auditor;
RESET ROLE;
