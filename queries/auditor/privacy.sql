-- name: JobClaim :one
-- The job that has waited longest; others pass by it until the transaction ends. Nothing is
-- told of a person before the person is made, and no challenge is kept for more than 31 days.
-- What was on its way when a person was erased is over some seconds later: then it is settled.
-- An erasure goes by days, of which the last begins half a day before it was asked for.
SELECT j.id, j.account_id, j.member_id, j.kind, coalesce(j.reached, b.since)::uuid AS reached, b.since, b.until,
    (now() >= j.requested_at + (@settle_seconds::double precision) * interval '1 second')::boolean AS settled
FROM privacy_job j LEFT JOIN member m ON m.id = j.member_id CROSS JOIN LATERAL (
    SELECT uuid_floor(CASE j.kind WHEN 'export' THEN coalesce(m.created_at, now()) - interval '1 hour' ELSE j.requested_at - interval '32 days 12 hours' END)::uuid AS since,
        uuid_floor(j.requested_at + CASE j.kind WHEN 'export' THEN interval '1 second' ELSE interval '1 hour' END)::uuid AS until) b
WHERE j.done_at IS NULL AND j.next_at <= now()
ORDER BY j.next_at LIMIT 1 FOR UPDATE OF j SKIP LOCKED;

-- name: JobStep :exec
UPDATE privacy_job SET reached = @reached, progress = greatest(progress, @progress), found = found + @found, next_at = now(),
    done_at = CASE WHEN @done::boolean THEN now() END
WHERE id = @id;

-- name: JobPause :exec
UPDATE privacy_job SET next_at = now() + (@seconds::double precision) * interval '1 second' WHERE id = @id;

-- name: JobFind :one
-- Looks at the next events by id and keeps the ids of those that name the person, or are
-- about texts of a challenge that does. It answers how far it looked, at how many, and
-- how many it kept.
WITH page AS MATERIALIZED (
    SELECT event.id, event.type, event.account_id, event.body, row_number() OVER (ORDER BY event.id DESC) AS from_end
    FROM (SELECT e.id, e.type, e.account_id, e.body FROM event e WHERE e.id > @after::uuid AND e.id < @before::uuid ORDER BY e.id LIMIT @most::integer) event
), ours AS MATERIALIZED (
    SELECT page.id, page.type LIKE 'latchkey.sms.%' AS sms, (convert_from(page.body, 'UTF8')::jsonb -> 'data' ->> 'challenge')::uuid AS challenge_id
    FROM page
    WHERE page.account_id = @account_id::uuid AND (page.type LIKE 'latchkey.sms.%' OR position(convert_to((@member_id::uuid)::text, 'UTF8') IN page.body) > 0)
), found AS (
    INSERT INTO privacy_job_event (job_id, event_id, challenge_id)
    SELECT @job_id::uuid, ours.id, ours.challenge_id FROM ours
    WHERE NOT ours.sms OR ours.challenge_id IN (SELECT x.challenge_id FROM ours x WHERE NOT x.sms)
        OR ours.challenge_id IN (SELECT k.challenge_id FROM privacy_job_event k WHERE k.job_id = @job_id::uuid)
    ON CONFLICT DO NOTHING RETURNING event_id
)
SELECT coalesce((SELECT page.id FROM page WHERE page.from_end = 1), @after::uuid)::uuid AS reached,
    (SELECT count(*) FROM page)::integer AS looked, (SELECT count(*) FROM found)::integer AS found;

-- name: JobOldest :one
-- How long the oldest job that is not done has been on its way.
SELECT coalesce(extract(epoch FROM now() - min(requested_at)), 0)::double precision AS seconds FROM privacy_job WHERE done_at IS NULL;

-- name: ChallengesForget :exec
SELECT challenges_forget(@member_id::uuid, @since::uuid, @before::uuid);

-- name: ExportRead :one
-- An export that is ready, for who asked for it.
SELECT j.member_id, j.requested_at FROM privacy_job j
WHERE j.id = @id AND j.account_id = @account_id AND j.requested_by = @requested_by AND j.kind = 'export' AND j.done_at > now() - interval '7 days';

-- name: ExportSweep :exec
-- Exports can be read for a week.
WITH old AS (SELECT j.id FROM privacy_job j WHERE j.kind = 'export' AND j.done_at < now() - interval '7 days' ORDER BY j.done_at LIMIT 10),
events AS (DELETE FROM privacy_job_event WHERE job_id IN (SELECT old.id FROM old))
DELETE FROM privacy_job WHERE id IN (SELECT old.id FROM old);

-- name: ExportMember :one
SELECT m.id, m.role, m.user_id, m.phone_country, m.language, m.created_at, m.updated_at, m.deactivated_at, m.locked_at, m.phone_changed_at,
    a.id AS account_id, a.name AS account_name, a.kind AS account_kind, a.upgrade_policy,
    (a.two_factor_enabled_at IS NOT NULL)::boolean AS two_factor, (a.demographics_enabled_at IS NOT NULL)::boolean AS demographics,
    c.changed_at AS password_changed_at, c.must_change_since AS password_must_change_since, p.proved_at AS number_proved_at, coalesce(t.consecutive, 0)::integer AS wrong_codes, o.granted_at AS operator_since
FROM member m JOIN account a ON a.id = m.account_id
LEFT JOIN credential c ON c.member_id = m.id LEFT JOIN number_proof p ON p.member_id = m.id LEFT JOIN member_try t ON t.member_id = m.id
LEFT JOIN operator_right o ON o.member_id = m.id
WHERE m.id = @id AND m.account_id = @account_id;

-- name: ExportDevices :many
SELECT id, software_id, kind, thumbprint, name, registered_facets, seen_facets, registered_at, factor, seen_at, seen_country, revoked_at, revoke_reason
FROM device WHERE member_id = @member_id ORDER BY registered_at, id;

-- name: ExportSessions :many
SELECT id, software_id, device_id, amr, created_at, seen_at, ended_at FROM session WHERE member_id = @member_id ORDER BY created_at, id;

-- name: ExportConsoleSessions :many
SELECT id, session_id, created_at, seen_at, ended_at FROM console_session WHERE member_id = @member_id ORDER BY created_at, id;

-- name: ExportAssignments :many
SELECT client_id, staff_id, assigned_at FROM client_assignment WHERE client_id = @member_id OR staff_id = @member_id ORDER BY assigned_at, client_id, staff_id;

-- name: ExportNotices :many
SELECT id, kind, channel, software_id, coalesce(device_facets, 'null')::jsonb AS device_facets, made_at, ended_at, ending, repudiated_at
FROM notice WHERE member_id = @member_id ORDER BY id;

-- name: ExportChallenges :many
-- The person's challenges that are still kept: those that the export's events tell of.
SELECT c.id, c.software_id, c.purpose, c.origin, c.device_kind, c.device_facets, c.phone_country, c.phone_last_two, c.language, c.created_at, c.closed_at, c.end_reason, c.tries
FROM challenge c
WHERE c.id IN (SELECT k.challenge_id FROM privacy_job_event k WHERE k.job_id = @job_id) AND c.id > @after ORDER BY c.id LIMIT @most;

-- name: ExportAttempts :many
SELECT challenge_id, attempt_no, text_no, provider, started_at, ending, reason, delivered_at, receipt_status
FROM attempt WHERE challenge_id = ANY(@challenge_ids::uuid[]) ORDER BY challenge_id, attempt_no;

-- name: ExportEvents :many
-- Ids of an export's events, in order.
SELECT event_id FROM privacy_job_event WHERE job_id = @job_id AND event_id > @after ORDER BY event_id LIMIT @most;
