-- What a person may ask, or be asked for: to see all that is held, and to have it gone.
SET LOCAL ROLE latchkey_owner;

-- privacy_job is an export or an erasure on its way. It holds nothing of the person: an
-- export's events are kept by their ids, and opened when it is read. That of an erasure
-- stays: it is what is left of a person beside the events.
CREATE TABLE privacy_job (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    member_id uuid NOT NULL,
    kind text NOT NULL,
    requested_by text NOT NULL,         -- as events name who acts
    requested_at timestamptz NOT NULL DEFAULT now(),
    -- the auditor's:
    reached uuid,                       -- events (export) or challenges (erasure) up to this id were looked through
    progress smallint NOT NULL DEFAULT 0, -- percent
    found integer NOT NULL DEFAULT 0,   -- events of an export
    next_at timestamptz NOT NULL DEFAULT now(), -- when it is worked on again
    done_at timestamptz,
    CONSTRAINT privacy_job_kind CHECK (kind IN ('export', 'erase')),
    CONSTRAINT privacy_job_by CHECK (length(requested_by) BETWEEN 1 AND 100),
    CONSTRAINT privacy_job_progress CHECK (progress BETWEEN 0 AND 100)
);
-- one export of a person on its way for each who asked, and one erasure ever
CREATE UNIQUE INDEX privacy_job_export ON privacy_job (member_id, requested_by) WHERE kind = 'export' AND done_at IS NULL;
CREATE UNIQUE INDEX privacy_job_erase ON privacy_job (member_id) WHERE kind = 'erase';
CREATE INDEX privacy_job_member ON privacy_job (member_id) WHERE kind = 'export';
CREATE INDEX privacy_job_next ON privacy_job (next_at) WHERE done_at IS NULL;
CREATE INDEX privacy_job_account ON privacy_job (account_id) WHERE done_at IS NULL;
CREATE INDEX privacy_job_done ON privacy_job (done_at) WHERE kind = 'export';
CREATE TABLE privacy_job_event (
    job_id uuid NOT NULL,
    event_id uuid NOT NULL,
    challenge_id uuid,                  -- that the event is about
    PRIMARY KEY (job_id, event_id)
);
CREATE INDEX privacy_job_event_challenge ON privacy_job_event (job_id, challenge_id);

-- Nobody comes back under the id of an erased person, whose events still name it.
CREATE FUNCTION member_is_erased() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public
    AS $$
DECLARE
    erased_in uuid := (SELECT account_id FROM privacy_job WHERE member_id = NEW.id AND kind = 'erase');
BEGIN
    IF erased_in IS NOT NULL THEN
        RAISE EXCEPTION 'an erased person stays erased' USING ERRCODE = 'integrity_constraint_violation',
            CONSTRAINT = CASE WHEN erased_in = NEW.account_id THEN 'member_erased' ELSE 'member_elsewhere' END;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER member_erased BEFORE INSERT ON member FOR EACH ROW EXECUTE FUNCTION member_is_erased();

-- challenges_forget removes the challenges of an erased person, from one id up to another, with
-- all that came of them, and the notices of that time. An attempt's vendor reference would
-- lead to the number at the provider. Nothing comes to a challenge later than an hour.
CREATE FUNCTION challenges_forget(erased uuid, since uuid, before uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public
    AS $$
DECLARE
    gone uuid[];
    sent uuid[];
    until uuid := uuid_floor(to_timestamp(('x' || substr(replace(before::text, '-', ''), 1, 12))::bit(48)::bigint / 1000.0) + interval '1 hour');
BEGIN
    IF NOT EXISTS (SELECT FROM privacy_job WHERE member_id = erased AND kind = 'erase') THEN
        RAISE EXCEPTION 'this person is not erased';
    END IF;
    DELETE FROM notice WHERE id >= since AND id < before AND member_id = erased;
    WITH c AS (DELETE FROM challenge WHERE id >= since AND id < before AND member_id = erased RETURNING id) SELECT array_agg(id) INTO gone FROM c;
    IF gone IS NULL THEN
        RETURN;
    END IF;
    DELETE FROM text_request WHERE challenge_id >= since AND challenge_id < before AND challenge_id = ANY(gone);
    WITH a AS (DELETE FROM attempt WHERE challenge_id >= since AND challenge_id < before AND challenge_id = ANY(gone) RETURNING id) SELECT array_agg(id) INTO sent FROM a;
    DELETE FROM receipt WHERE attempt_id = ANY(sent);
    WITH e AS (DELETE FROM entry WHERE id >= since AND id < until AND challenge_id = ANY(gone) RETURNING id)
    DELETE FROM verdict v USING e WHERE v.entry_id = e.id AND v.entry_id >= since AND v.entry_id < until;
END
$$;

-- member_forget removes a person, whose erasure is on its way, and what is kept beside: all but
-- challenges, and notices that were sent, which are many and go one day after the other. Those
-- challenges that may be open are closed, and emptied: what is on its way of them ends before
-- they go. Of devices the dates remain, as the record of every authenticator ever bound (NIST SP
-- 800-63B-4 section 4.1). It answers whether there was such a person.
CREATE FUNCTION member_forget(erased uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public
    AS $$
DECLARE
    exports uuid[];
BEGIN
    IF NOT EXISTS (SELECT FROM privacy_job WHERE member_id = erased AND kind = 'erase') THEN
        RAISE EXCEPTION 'this person is not erased';
    END IF;
    UPDATE challenge SET phone_sealed = '', phone_country = '', phone_last_two = '', device_facets = '{}',
        closed_at = coalesce(closed_at, now()), end_reason = coalesce(end_reason, 'expired')
    WHERE id >= uuid_floor(now() - interval '20 minutes') AND id < uuid_floor(now() + interval '10 minutes') AND member_id = erased;
    DELETE FROM notice WHERE due_at IS NOT NULL AND member_id = erased;
    DELETE FROM credential WHERE member_id = erased;
    DELETE FROM session WHERE member_id = erased;
    DELETE FROM console_session WHERE member_id = erased;
    DELETE FROM console_grant WHERE member_id = erased;
    DELETE FROM client_assignment WHERE client_id = erased OR staff_id = erased;
    DELETE FROM member_try WHERE member_id = erased;
    DELETE FROM number_proof WHERE member_id = erased;
    DELETE FROM idempotency_key WHERE member_id = erased;
    DELETE FROM password_link WHERE member_id = erased;
    DELETE FROM registration_code WHERE member_id = erased;
    -- the jobs first: whoever works on one is waited for, and then nothing is added to it
    WITH j AS (DELETE FROM privacy_job WHERE member_id = erased AND kind = 'export' RETURNING id) SELECT array_agg(id) INTO exports FROM j;
    DELETE FROM privacy_job_event WHERE job_id = ANY(exports);
    UPDATE device SET name = '', registered_facets = '{}', seen_facets = '{}', seen_country = NULL WHERE member_id = erased;
    DELETE FROM member WHERE id = erased;
    RETURN FOUND;
END
$$;
REVOKE ALL ON FUNCTION member_forget(uuid), challenges_forget(uuid, uuid, uuid), member_is_erased() FROM PUBLIC;

-- what the auditor tells of: that details were opened, or are gone
CREATE TABLE auditor_event (
    id uuid PRIMARY KEY,
    type text NOT NULL,
    account_id uuid NOT NULL,
    body bytea NOT NULL,
    CONSTRAINT auditor_event_type CHECK (type IN (
        'latchkey.audit.number_shown', 'latchkey.audit.member_exported', 'latchkey.audit.key_destroyed')),
    CONSTRAINT auditor_event_body CHECK (length(body) BETWEEN 2 AND 65536)
) PARTITION BY RANGE (id);
CREATE TABLE auditor_event_default PARTITION OF auditor_event DEFAULT;
CREATE TRIGGER auditor_event_forever BEFORE UPDATE OR DELETE ON auditor_event FOR EACH ROW EXECUTE FUNCTION event_is_forever();
INSERT INTO partitioned_table (name, span, keep) VALUES ('auditor_event', 'month', '6 years 30 days');
CREATE OR REPLACE VIEW event AS
    SELECT id, type, account_id, body, 'login' AS service FROM login_event
    UNION ALL SELECT id, type, account_id, body, 'dispatcher' FROM dispatcher_event
    UNION ALL SELECT id, type, account_id, body, 'verifier' FROM verifier_event
    UNION ALL SELECT id, type, account_id, body, 'console' FROM console_event
    UNION ALL SELECT id, type, account_id, body, 'auditor' FROM auditor_event;
SELECT partition_upkeep();

ALTER TABLE console_event DROP CONSTRAINT console_event_type;
ALTER TABLE console_event ADD CONSTRAINT console_event_type CHECK (type IN (
    'latchkey.account.created', 'latchkey.account.option_changed', 'latchkey.account.key_created', 'latchkey.account.key_revoked', 'latchkey.account.people_exported',
    'latchkey.member.created', 'latchkey.member.updated', 'latchkey.member.number_changed', 'latchkey.device.revoked',
    'latchkey.member.deactivated', 'latchkey.member.reactivated', 'latchkey.member.unlocked', 'latchkey.member.password_reset', 'latchkey.member.password_link_made',
    'latchkey.member.registration_code_made', 'latchkey.member.registration_code_approved',
    'latchkey.member.assigned', 'latchkey.member.unassigned', 'latchkey.member.export_requested', 'latchkey.member.erased',
    'latchkey.notice.requested'));

GRANT SELECT, INSERT ON privacy_job TO latchkey_console;
GRANT EXECUTE ON FUNCTION member_forget(uuid) TO latchkey_console;
GRANT SELECT, INSERT ON auditor_event, privacy_job_event TO latchkey_auditor;
GRANT DELETE ON privacy_job, privacy_job_event TO latchkey_auditor;
GRANT SELECT, UPDATE (reached, progress, found, next_at, done_at) ON privacy_job TO latchkey_auditor;
GRANT EXECUTE ON FUNCTION challenges_forget(uuid, uuid, uuid) TO latchkey_auditor;
-- what an export shows: no digest, no token, no seed, nothing that is sealed to somebody else
GRANT SELECT (id, account_id, role, user_id, public_key, phone_details, phone_country, email_details, language, locked_at, phone_changed_at, created_at, updated_at,
    deactivated_at) ON member TO latchkey_auditor;
GRANT SELECT (id, name, kind, upgrade_policy, two_factor_enabled_at, demographics_enabled_at) ON account TO latchkey_auditor;
GRANT SELECT (member_id, changed_at, must_change_since) ON credential TO latchkey_auditor;
GRANT SELECT (id, member_id, software_id, kind, thumbprint, name, registered_facets, seen_facets, registered_at, factor, seen_at, seen_country, revoked_at, revoke_reason) ON device TO latchkey_auditor;
GRANT SELECT (id, member_id, software_id, device_id, amr, created_at, seen_at, ended_at) ON session TO latchkey_auditor;
GRANT SELECT (id, session_id, member_id, created_at, seen_at, ended_at) ON console_session TO latchkey_auditor;
GRANT SELECT (id, software_id, purpose, origin, device_kind, device_facets, phone_country, phone_last_two, language, created_at, closed_at, end_reason, tries) ON challenge TO latchkey_auditor;
GRANT SELECT (challenge_id, attempt_no, text_no, provider, started_at, ending, reason, delivered_at, receipt_status) ON attempt TO latchkey_auditor;
GRANT SELECT (id, member_id, kind, channel, software_id, device_facets, made_at, ended_at, ending, repudiated_at) ON notice TO latchkey_auditor;
GRANT SELECT ON client_assignment, number_proof, member_try TO latchkey_auditor;
RESET ROLE;
