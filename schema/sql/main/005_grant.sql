-- What a role may do is what its folder in queries/ asks, and no more.
SET LOCAL ROLE latchkey_owner;
GRANT USAGE ON SCHEMA public TO latchkey_login, latchkey_dispatcher, latchkey_verifier, latchkey_auditor, latchkey_console, latchkey_reader;

-- login: no seed, no end of a challenge, no try, no new device
GRANT SELECT ON account, software, credential, api_key, judge_public_key, member_try, text_request, verdict, limit_counter, session TO latchkey_login;
GRANT SELECT, INSERT, UPDATE (role, user_id, phone_sealed, phone_details, phone_version, phone_country, phone_last_two, phone_index, updated_at)
    ON member TO latchkey_login;
GRANT INSERT, UPDATE ON credential TO latchkey_login;
GRANT INSERT, UPDATE, DELETE ON limit_counter TO latchkey_login;
GRANT INSERT, UPDATE (seen_at, ended_at), DELETE ON session TO latchkey_login;
GRANT SELECT, INSERT ON used_proof TO latchkey_login;
GRANT INSERT ON challenge, text_request, entry, login_event TO latchkey_login;
GRANT SELECT (id, account_id, member_id, software_id, purpose, origin, device_kind, device_thumbprint, phone_version, phone_country, phone_last_two,
    created_at, expires_at, tries, closed_at, end_reason) ON challenge TO latchkey_login;
GRANT SELECT (challenge_id, attempt_no, request_no, text_no, provider, due_at, ending, reason, receipt_status) ON attempt TO latchkey_login;
GRANT SELECT ON device, login_event TO latchkey_login;
GRANT SELECT (event_id) ON leaf TO latchkey_login;
GRANT UPDATE (name, seen_at, seen_facets, seen_country, revoked_at, revoke_reason) ON device TO latchkey_login;

-- dispatcher: no credential, no device, no try, no entry
GRANT SELECT (id, account_id, member_id, software_id, seed, epoch, phone_sealed, phone_version, phone_country,
    created_at, expires_at, closed_at, typed_text) ON challenge TO latchkey_dispatcher;
GRANT SELECT ON text_request, software, dispatcher_event TO latchkey_dispatcher;
GRANT SELECT, INSERT, UPDATE (due_at, finished_at, ending, reason, vendor_code, vendor_reference, delivered_at, receipt_status)
    ON attempt TO latchkey_dispatcher;
GRANT SELECT, INSERT ON receipt TO latchkey_dispatcher;
GRANT INSERT ON dispatcher_event, dead_letter TO latchkey_dispatcher;
GRANT SELECT (event_id) ON leaf TO latchkey_dispatcher;

-- verifier: no number, no credential, no provider
GRANT SELECT (id, account_id, member_id, software_id, purpose, device_kind, device_thumbprint, device_facets, seed, epoch,
    phone_version, created_at, expires_at, tries, closed_at, end_reason, typed_text) ON challenge TO latchkey_verifier;
GRANT SELECT (id, phone_version, deactivated_at) ON member TO latchkey_verifier;
GRANT UPDATE (tries, closed_at, end_reason, typed_text) ON challenge TO latchkey_verifier;
GRANT SELECT ON entry, verifier_event TO latchkey_verifier;
GRANT SELECT, INSERT ON verdict, judge_public_key TO latchkey_verifier;
GRANT SELECT, INSERT, UPDATE ON member_try TO latchkey_verifier;
GRANT SELECT, INSERT ON device TO latchkey_verifier;
GRANT UPDATE (revoked_at, revoke_reason) ON device TO latchkey_verifier;
GRANT INSERT ON verifier_event, dead_letter TO latchkey_verifier;
GRANT SELECT (event_id) ON leaf TO latchkey_verifier;

-- each service takes up letters of its own consumer (a policy says which) that an operator marked
GRANT SELECT ON dead_letter TO latchkey_dispatcher, latchkey_verifier, latchkey_auditor;
GRANT UPDATE (reason, redrive_requested_at, redrives, redriven_at) ON dead_letter TO latchkey_dispatcher, latchkey_verifier, latchkey_auditor;

-- auditor: reads events, writes the order
GRANT SELECT ON event, leaf, audit_alarm TO latchkey_auditor;
GRANT INSERT ON leaf, audit_alarm, dead_letter TO latchkey_auditor;

-- console: opens accounts, gives keys to products, describes the softwares, has letters
-- redriven; no digest of a key is read
GRANT SELECT, INSERT ON account TO latchkey_console;
GRANT SELECT (id, account_id, name, created_at, revoked_at), INSERT, UPDATE (revoked_at) ON api_key TO latchkey_console;
GRANT SELECT (id, account_id, deactivated_at) ON member TO latchkey_console;
GRANT SELECT, INSERT, UPDATE ON software TO latchkey_console;
GRANT SELECT, INSERT ON console_event TO latchkey_console;
GRANT SELECT (event_id) ON leaf TO latchkey_console;
GRANT SELECT ON dead_letter TO latchkey_console;
GRANT UPDATE (redrive_requested_at, redrive_requested_by) ON dead_letter TO latchkey_console;
RESET ROLE;
