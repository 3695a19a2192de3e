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
RESET ROLE;
