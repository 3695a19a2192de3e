-- name: EventInsert :exec
INSERT INTO verifier_event (id, type, account_id, body)
SELECT unnest(@ids::uuid[]), unnest(@types::text[]), unnest(@account_ids::uuid[]), unnest(@bodies::bytea[]);

-- name: EventWindow :many
-- Ids of own events of a window, in order.
SELECT id FROM verifier_event WHERE id >= @since AND id < @before ORDER BY id LIMIT @most;

-- name: EventUnordered :many
-- Those of the given events that have no place in the order yet.
SELECT q.id::uuid AS id FROM (SELECT unnest(@ids::uuid[]) AS id) q
WHERE NOT EXISTS (SELECT FROM leaf WHERE leaf.event_id = q.id);

-- name: EventRead :many
SELECT id, type, account_id, body FROM verifier_event WHERE id = ANY(@ids::uuid[]) ORDER BY id;
