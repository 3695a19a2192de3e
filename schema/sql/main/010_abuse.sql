-- What must not happen too often with texts, and what they cost.
SET LOCAL ROLE latchkey_owner;

-- Texts are counted by person, number, network address, network and account.
ALTER TABLE limit_counter DROP CONSTRAINT limit_counter_scope;
ALTER TABLE limit_counter ADD CONSTRAINT limit_counter_scope CHECK (scope IN ('password_member', 'password_address', 'challenge_member',
    'text_member', 'text_member_day', 'text_number', 'text_number_day', 'text_address', 'text_address_day',
    'text_network', 'text_network_day', 'text_account', 'text_account_day'));
RESET ROLE;
