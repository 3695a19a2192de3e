-- name: EventInsert :exec
INSERT INTO console_event (id, type, account_id, body)
SELECT unnest(@ids::uuid[]), unnest(@types::text[]), unnest(@account_ids::uuid[]), unnest(@bodies::bytea[]);

-- name: EventUnordered :many
-- Own events of a window of ids that have no place in the order yet.
SELECT e.id FROM console_event e
WHERE e.id >= @since AND e.id < @before AND NOT EXISTS (SELECT FROM leaf WHERE leaf.event_id = e.id)
ORDER BY e.id LIMIT @most;

-- name: EventRead :many
SELECT id, type, account_id, body FROM console_event WHERE id = ANY(@ids::uuid[]) ORDER BY id;
