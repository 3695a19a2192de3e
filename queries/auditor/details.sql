-- name: DetailsRead :one
-- What is sealed to a person's own key.
SELECT public_key, phone_details, email_details FROM member WHERE id = @id AND account_id = @account_id;

-- name: OwnEventInsert :exec
INSERT INTO auditor_event (id, type, account_id, body) VALUES (@id, @type, @account_id, @body);

-- name: OwnEventWindow :many
-- Ids of own events of a window, in order.
SELECT id FROM auditor_event WHERE id >= @since AND id < @before ORDER BY id LIMIT @most;

-- name: OwnEventUnordered :many
-- Those of the given events that have no place in the order yet.
SELECT q.id::uuid AS id FROM (SELECT unnest(@ids::uuid[]) AS id) q
WHERE NOT EXISTS (SELECT FROM leaf WHERE leaf.event_id = q.id);

-- name: OwnEventRead :many
SELECT id, type, account_id, body FROM auditor_event WHERE id = ANY(@ids::uuid[]) ORDER BY id;
