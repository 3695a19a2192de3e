-- name: NoticeDue :many
-- Notices to be sent, tried again, or taken for lost; not those that the stream may still bring.
SELECT id FROM notice WHERE due_at <= now() - (@lag_seconds::double precision) * interval '1 second' ORDER BY due_at LIMIT @most;

-- name: NoticeClaim :many
-- Takes notices for a while, before anything leaves, and reads all that is said in them. Of two
-- claims one wins. The service's name is that of the software registered for, else of the web app.
WITH q AS (
    SELECT unnest(@ids::uuid[]) AS id, unnest(@text_digests::bytea[]) AS text_digest, unnest(@email_digests::bytea[]) AS email_digest
), claimed AS (
    UPDATE notice n SET tries = n.tries + 1, due_at = now() + (@lease_seconds::double precision) * interval '1 second',
        token_digest = CASE n.channel WHEN 'text' THEN q.text_digest ELSE q.email_digest END
    FROM q WHERE n.id = q.id AND n.due_at <= now()
    RETURNING n.id, n.account_id, n.member_id, n.kind, n.channel, n.address_sealed, n.address_version, n.software_id, n.device_facets, n.made_at, n.tries
)
SELECT c.id, c.account_id, c.member_id, c.kind, c.channel, c.made_at, c.tries, now()::timestamptz AS now,
    coalesce(c.device_facets, '{}')::jsonb AS device_facets,
    coalesce(c.address_sealed, CASE c.channel WHEN 'text' THEN m.phone_sealed ELSE m.email_sealed END, '')::bytea AS address_sealed,
    coalesce(c.address_version, CASE c.channel WHEN 'text' THEN m.phone_version ELSE m.email_version END, 0)::integer AS address_version,
    coalesce(CASE WHEN c.address_sealed IS NULL THEN m.phone_country END, '')::text AS phone_country, -- '': of a number that is theirs no more
    coalesce(m.language, a.language, 'en')::text AS language,
    coalesce((SELECT s.name FROM software s ORDER BY coalesce(s.id = c.software_id, false) DESC, s.id = 'web' DESC, s.id LIMIT 1), '')::text AS service
FROM claimed c
LEFT JOIN member m ON m.id = c.member_id
LEFT JOIN account a ON a.id = c.account_id;

-- name: NoticeRecord :many
-- Writes how tries ended: for good with an ending, else when to try again; and the events that
-- tell it. Only what was written comes back.
WITH q AS (
    SELECT unnest(@ids::uuid[]) AS id, unnest(@endings::text[]) AS ending, -- '': another try
        unnest(@retry_seconds::double precision[]) AS retry_seconds,
        unnest(@event_ids::uuid[]) AS event_id, unnest(@event_types::text[]) AS event_type,
        unnest(@account_ids::uuid[]) AS account_id, unnest(@event_bodies::bytea[]) AS body
), recorded AS (
    UPDATE notice n SET ending = nullif(q.ending, ''), ended_at = CASE WHEN q.ending <> '' THEN now() END,
        due_at = CASE WHEN q.ending = '' THEN now() + q.retry_seconds * interval '1 second' END
    FROM q WHERE n.id = q.id AND n.ended_at IS NULL
    RETURNING n.id
), told AS (
    INSERT INTO dispatcher_event (id, type, account_id, body)
    SELECT q.event_id, q.event_type, q.account_id, q.body FROM q JOIN recorded r ON r.id = q.id WHERE q.ending <> ''
)
SELECT id FROM recorded;
