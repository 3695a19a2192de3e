-- name: DeliveryRead :many
-- What the dispatcher may know of the challenges whose texts it is asked to send.
-- attempts holds every attempt so far, oldest first.
WITH q AS (SELECT unnest(@challenge_ids::uuid[]) AS challenge_id, unnest(@request_nos::smallint[]) AS request_no)
SELECT c.id, q.request_no::smallint AS request_no, c.account_id, c.member_id, c.seed, c.epoch,
    c.phone_sealed, c.phone_version, c.phone_country, c.expires_at, c.created_at, c.language,
    (c.closed_at IS NULL)::boolean AS open, now()::timestamptz AS now,
    s.name AS software_name, s.autofill_host, s.app_hash,
    coalesce((
        SELECT jsonb_agg(jsonb_build_object('no', a.attempt_no, 'request', a.request_no, 'text', a.text_no, 'provider', a.provider,
            'ending', coalesce(a.ending, ''), 'due_at', a.due_at, 'receipt', coalesce(a.receipt_status, '')) ORDER BY a.attempt_no)
        FROM attempt a WHERE a.challenge_id = c.id), '[]')::jsonb AS attempts
FROM q
JOIN text_request t ON t.challenge_id = q.challenge_id AND t.request_no = q.request_no
JOIN challenge c ON c.id = q.challenge_id
JOIN software s ON s.id = c.software_id;

-- name: RequestUnclaimed :many
-- Texts asked for in a window of the database's clock that no attempt was made of.
SELECT t.challenge_id, t.request_no, t.requested_at
FROM text_request t
WHERE t.requested_at >= @since AND t.requested_at < now() - (@lag_seconds::double precision) * interval '1 second'
    AND NOT EXISTS (SELECT FROM attempt a WHERE a.challenge_id = t.challenge_id AND a.request_no = t.request_no)
ORDER BY t.requested_at
LIMIT @most;

-- name: AttemptSettleClosed :exec
-- Texts that a provider took and whose receipt is overdue need nobody any more once the
-- challenge has ended, or has too little time left for another.
UPDATE attempt a SET due_at = NULL FROM challenge c
WHERE a.due_at <= now() AND a.ending = 'accepted' AND c.id = a.challenge_id
    AND (c.closed_at IS NOT NULL OR c.expires_at <= now() + (@margin_seconds::double precision) * interval '1 second');

-- name: AttemptSettle :exec
-- Nothing follows what ended of a request.
UPDATE attempt SET due_at = NULL WHERE challenge_id = @challenge_id AND request_no = @request_no AND due_at <= now() AND ending IS NOT NULL;

-- name: AttemptDue :many
-- Attempts whose lease ended without a record, and those to be followed by another.
SELECT challenge_id, request_no FROM attempt WHERE due_at <= now() ORDER BY due_at LIMIT @most;

-- name: AttemptClaim :many
-- Writes the next attempts, their leases and events before any request leaves. Of two claims of
-- one attempt number one wins, and only the winner's rows come back. A claim of a challenge
-- that is closed or has less than margin left is not made.
WITH q AS (
    SELECT unnest(@challenge_ids::uuid[]) AS challenge_id, unnest(@attempt_nos::smallint[]) AS attempt_no,
        unnest(@ids::uuid[]) AS id, unnest(@request_nos::smallint[]) AS request_no, unnest(@text_nos::smallint[]) AS text_no,
        unnest(@providers::text[]) AS provider, unnest(@event_ids::uuid[]) AS event_id, unnest(@event_types::text[]) AS event_type,
        unnest(@account_ids::uuid[]) AS account_id, unnest(@event_bodies::bytea[]) AS body
), claimed AS (
    INSERT INTO attempt (challenge_id, attempt_no, id, request_no, text_no, provider, due_at)
    SELECT q.challenge_id, q.attempt_no, q.id, q.request_no, q.text_no, q.provider, now() + (@lease_seconds::double precision) * interval '1 second'
    FROM q JOIN challenge c ON c.id = q.challenge_id
    WHERE c.closed_at IS NULL AND c.expires_at > now() + (@margin_seconds::double precision) * interval '1 second'
    ORDER BY q.challenge_id, q.attempt_no
    ON CONFLICT DO NOTHING
    RETURNING challenge_id, attempt_no, request_no, id
), settled AS ( -- by the winner alone: a loser's text stays due
    UPDATE attempt SET due_at = NULL FROM claimed c
    WHERE attempt.challenge_id = c.challenge_id AND attempt.request_no = c.request_no AND attempt.attempt_no < c.attempt_no AND attempt.due_at IS NOT NULL
), told AS (
    INSERT INTO dispatcher_event (id, type, account_id, body)
    SELECT q.event_id, q.event_type, q.account_id, q.body FROM q JOIN claimed ON claimed.id = q.id
)
SELECT id FROM claimed;

-- name: AttemptFirst :many
-- Reads as DeliveryRead what the first text of a challenge needs and claims its first attempt, as
-- AttemptClaim does, at once. What has an attempt, cannot be claimed or is not as the caller was
-- told (account, country) does not come back.
WITH q AS (
    SELECT unnest(@challenge_ids::uuid[]) AS challenge_id, unnest(@ids::uuid[]) AS id,
        unnest(@account_ids::uuid[]) AS account_id, unnest(@countries::text[]) AS country, unnest(@providers::text[]) AS provider,
        unnest(@event_ids::uuid[]) AS event_id, unnest(@event_bodies::bytea[]) AS body
), claimed AS (
    INSERT INTO attempt (challenge_id, attempt_no, id, request_no, text_no, provider, due_at)
    SELECT q.challenge_id, 1, q.id, t.request_no, 1, q.provider, now() + (@lease_seconds::double precision) * interval '1 second'
    FROM q
    JOIN challenge c ON c.id = q.challenge_id AND c.account_id = q.account_id AND c.phone_country = q.country
    JOIN text_request t ON t.challenge_id = q.challenge_id AND t.request_no = 1
    WHERE c.closed_at IS NULL AND c.expires_at > now() + (@margin_seconds::double precision) * interval '1 second'
    ORDER BY q.challenge_id
    ON CONFLICT DO NOTHING
    RETURNING challenge_id, request_no, id
), told AS (
    INSERT INTO dispatcher_event (id, type, account_id, body)
    SELECT q.event_id, 'latchkey.sms.attempted', q.account_id, q.body FROM q JOIN claimed ON claimed.id = q.id
)
SELECT c.id, a.request_no, c.account_id, c.member_id, c.seed, c.epoch,
    c.phone_sealed, c.phone_version, c.phone_country, c.expires_at, c.created_at, c.language,
    (c.closed_at IS NULL)::boolean AS open, now()::timestamptz AS now,
    s.name AS software_name, s.autofill_host, s.app_hash, '[]'::jsonb AS attempts
FROM claimed a
JOIN challenge c ON c.id = a.challenge_id
JOIN software s ON s.id = c.software_id;

-- name: AttemptRecord :many
-- Writes how attempts ended, when to follow them up (NULL: never), and the events that tell it.
-- What a provider took is followed up when its receipt says that it did not arrive, or is overdue.
WITH q AS (
    SELECT unnest(@challenge_ids::uuid[]) AS challenge_id, unnest(@attempt_nos::smallint[]) AS attempt_no,
        unnest(@endings::text[]) AS ending, unnest(@reasons::text[]) AS reason, unnest(@vendor_codes::text[]) AS vendor_code,
        unnest(@vendor_references::text[]) AS vendor_reference,
        unnest(@follow_seconds::double precision[]) AS follow_seconds, -- negative: settled
        unnest(@countries::text[]) AS country, unnest(@cost_micros::bigint[]) AS cost_micros, unnest(@prefixes::text[]) AS prefix,
        unnest(@event_ids::uuid[]) AS event_id, unnest(@event_types::text[]) AS event_type,
        unnest(@account_ids::uuid[]) AS account_id, unnest(@event_bodies::bytea[]) AS body
), recorded AS (
    UPDATE attempt a SET ending = q.ending, reason = q.reason, vendor_code = q.vendor_code, vendor_reference = q.vendor_reference,
        finished_at = now(), phone_prefix = nullif(q.prefix, ''),
        due_at = CASE
            WHEN a.due_at IS NULL THEN NULL
            WHEN q.ending = 'accepted' AND a.receipt_status = 'delivered' THEN NULL -- the receipt was faster than this
            WHEN q.ending = 'accepted' AND a.receipt_status IN ('undelivered', 'expired', 'rejected') THEN now()
            WHEN q.follow_seconds >= 0 THEN now() + q.follow_seconds * interval '1 second' END
    FROM q WHERE a.challenge_id = q.challenge_id AND a.attempt_no = q.attempt_no AND a.ending IS NULL
    RETURNING a.challenge_id, a.attempt_no, (a.due_at IS NOT NULL)::boolean AS follow
), told AS (
    INSERT INTO dispatcher_event (id, type, account_id, body)
    SELECT q.event_id, q.event_type, q.account_id, q.body FROM q JOIN recorded r ON r.challenge_id = q.challenge_id AND r.attempt_no = q.attempt_no
), spent AS ( -- what a provider took, or may have, costs
    INSERT INTO spend AS s (account_id, country, hour, texts, cost_micros)
    SELECT q.account_id, q.country, date_trunc('hour', now()), count(*), sum(q.cost_micros)
    FROM q JOIN recorded r ON r.challenge_id = q.challenge_id AND r.attempt_no = q.attempt_no
    WHERE q.ending IN ('accepted', 'ambiguous')
    GROUP BY q.account_id, q.country ORDER BY q.account_id, q.country
    ON CONFLICT (account_id, country, hour) DO UPDATE SET texts = s.texts + excluded.texts, cost_micros = s.cost_micros + excluded.cost_micros
)
SELECT challenge_id, attempt_no, follow FROM recorded;

-- name: RequestAbandon :many
-- Ends requested texts that will not be sent (any more): what was due is settled, and an attempt
-- row of ending 'not_sent' keeps a later sweep or replay from taking the request up again.
WITH q AS (
    SELECT unnest(@challenge_ids::uuid[]) AS challenge_id, unnest(@attempt_nos::smallint[]) AS attempt_no,
        unnest(@ids::uuid[]) AS id, unnest(@request_nos::smallint[]) AS request_no, unnest(@reasons::text[]) AS reason,
        unnest(@event_ids::uuid[]) AS event_id, unnest(@event_types::text[]) AS event_type,
        unnest(@account_ids::uuid[]) AS account_id, unnest(@event_bodies::bytea[]) AS body
), ended AS (
    INSERT INTO attempt (challenge_id, attempt_no, id, request_no, text_no, provider, finished_at, ending, reason)
    SELECT challenge_id, attempt_no, id, request_no, 0, '', now(), 'not_sent', reason FROM q
    ORDER BY challenge_id, attempt_no
    ON CONFLICT DO NOTHING
    RETURNING challenge_id, request_no, id
), settled AS (
    UPDATE attempt SET due_at = NULL FROM ended e
    WHERE attempt.challenge_id = e.challenge_id AND attempt.request_no = e.request_no AND attempt.due_at IS NOT NULL
), told AS (
    INSERT INTO dispatcher_event (id, type, account_id, body)
    SELECT q.event_id, q.event_type, q.account_id, q.body FROM q JOIN ended ON ended.id = q.id
)
SELECT id FROM ended;

-- name: DatabaseTime :one
SELECT now()::timestamptz;
