-- Who operates an installation beside its command line, and what is told of it.
SET LOCAL ROLE latchkey_owner;

-- operator_right lets a person of an account do what is of the installation (access.Steer),
-- beside what the role in the account allows. It ends with the person.
CREATE TABLE operator_right (
    member_id uuid PRIMARY KEY REFERENCES member (id) ON DELETE CASCADE,
    granted_at timestamptz NOT NULL DEFAULT now(),
    granted_by text NOT NULL,           -- as events name who acts
    CONSTRAINT operator_right_by CHECK (length(granted_by) BETWEEN 1 AND 100)
);

ALTER TABLE console_event DROP CONSTRAINT console_event_type;
ALTER TABLE console_event ADD CONSTRAINT console_event_type CHECK (type IN (
    'latchkey.account.created', 'latchkey.account.option_changed', 'latchkey.account.key_created', 'latchkey.account.key_revoked', 'latchkey.account.people_exported',
    'latchkey.member.created', 'latchkey.member.updated', 'latchkey.member.number_changed', 'latchkey.device.revoked',
    'latchkey.member.deactivated', 'latchkey.member.reactivated', 'latchkey.member.unlocked', 'latchkey.member.password_reset', 'latchkey.member.password_link_made',
    'latchkey.member.registration_code_made', 'latchkey.member.registration_code_approved',
    'latchkey.member.assigned', 'latchkey.member.unassigned', 'latchkey.member.export_requested', 'latchkey.member.erased',
    'latchkey.member.operator_granted', 'latchkey.member.operator_revoked',
    'latchkey.provider.pinned', 'latchkey.provider.drained', 'latchkey.provider.resumed', 'latchkey.provider.ordered', 'latchkey.provider.tested',
    'latchkey.notice.requested'));

GRANT SELECT, INSERT, DELETE ON operator_right TO latchkey_console;
GRANT SELECT (member_id, granted_at) ON operator_right TO latchkey_auditor;
RESET ROLE;
