-- name: OrderLock :one
-- One auditor orders at a time; the lock ends with its connection.
SELECT pg_try_advisory_lock(hashtext('latchkey auditor order'));

-- name: LeafLast :one
SELECT coalesce(max(index), -1)::bigint FROM leaf;

-- name: EventRead :many
-- The given events that the tables hold, and whether they have a place already.
SELECT e.id, e.body, EXISTS (SELECT FROM leaf WHERE leaf.event_id = e.id)::boolean AS ordered
FROM event e WHERE e.id = ANY(@ids::uuid[]);

-- name: EventUnordered :many
-- Events of a window of ids that have no place yet.
SELECT e.id, e.body FROM event e
WHERE e.id >= @since AND e.id < @before AND NOT EXISTS (SELECT FROM leaf WHERE leaf.event_id = e.id)
ORDER BY e.id LIMIT @most;

-- name: LeafInsert :exec
INSERT INTO leaf (index, event_id, hash)
SELECT unnest(@indexes::bigint[]), unnest(@event_ids::uuid[]), unnest(@hashes::bytea[]);

-- name: AlarmInsert :exec
INSERT INTO audit_alarm (id, kind, event_id, detail) VALUES (@id, @kind, @event_id, @detail)
ON CONFLICT ON CONSTRAINT audit_alarm_once DO NOTHING;

-- name: AlarmCount :one
SELECT count(*) FROM audit_alarm;

-- name: LeafPage :many
-- Events in their order, from an index on.
SELECT l.index, l.event_id, l.hash, e.body
FROM leaf l JOIN event e ON e.id = l.event_id
WHERE l.index >= @from_index ORDER BY l.index LIMIT @most;

-- name: LeafSince :one
-- The first place of an event made at or after a moment (its UUIDv7), -1 for none.
SELECT coalesce(min(index), -1)::bigint FROM leaf WHERE event_id >= uuid_floor(@since::timestamptz);
