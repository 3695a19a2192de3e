-- name: OrderLock :one
-- One auditor orders at a time; the lock ends with its connection.
SELECT pg_try_advisory_lock(hashtext('latchkey auditor order'));

-- name: EventRead :many
-- The given events that the tables hold, and whether they have a place already. The
-- bounds are those of the ids: they keep the search to a few partitions.
SELECT e.id, e.type, e.account_id, e.body,
    coalesce((SELECT true FROM leaf WHERE leaf.event_id = e.id), false)::boolean AS ordered
FROM event e
WHERE e.id = ANY(@ids::uuid[]) AND e.id >= @lowest AND e.id <= @highest;

-- name: EventUnordered :many
-- Looks at the next events by id, and returns those without a place; also the last of a
-- full page, for the look to go on from. The inner query comes first, so that a look
-- costs the same however long the log is.
SELECT page.id, page.service, page.ordered, (page.place = @most::integer)::boolean AS last FROM (
    SELECT e.id, e.service, coalesce((SELECT true FROM leaf WHERE leaf.event_id = e.id), false)::boolean AS ordered,
        row_number() OVER (ORDER BY e.id) AS place
    FROM (SELECT event.id, event.service FROM event WHERE event.id > @after AND event.id < @before ORDER BY event.id LIMIT @most::integer) e
) page
WHERE NOT page.ordered OR page.place = @most::integer ORDER BY page.id;

-- name: LeafInsert :one
-- Places the events after the last, in the order given; returns the first new place.
WITH placed AS (
    INSERT INTO leaf (index, event_id, hash)
    SELECT (SELECT coalesce(max(index), -1) FROM leaf) + given.place, given.event_id, given.hash
    FROM (SELECT unnest(@places::bigint[]) AS place, unnest(@event_ids::uuid[]) AS event_id, unnest(@hashes::bytea[]) AS hash) given
    RETURNING index
)
SELECT coalesce(min(index), -1)::bigint FROM placed;

-- name: LeafOf :many
-- Those of the given events that have a place.
SELECT event_id FROM leaf WHERE event_id = ANY(@event_ids::uuid[]);

-- name: LeafLast :one
-- The last place and its event's id, or no row.
SELECT index, event_id FROM leaf ORDER BY index DESC LIMIT 1;

-- name: AlarmInsert :execrows
-- An event raises an alarm of a kind once.
INSERT INTO audit_alarm (id, kind, event_id, detail)
SELECT unnest(@ids::uuid[]), unnest(@kinds::text[]), unnest(@event_ids::uuid[]), unnest(@details::text[])
ON CONFLICT ON CONSTRAINT audit_alarm_once DO NOTHING;

-- name: AlarmPage :many
-- Alarms from the newest to the oldest.
SELECT id, kind, event_id, detail, raised_at FROM audit_alarm
WHERE id < @before ORDER BY id DESC LIMIT @most;
