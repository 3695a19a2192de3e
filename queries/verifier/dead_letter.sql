-- name: DeadLetterInsert :exec
INSERT INTO dead_letter (id, consumer, subject, message_id, stream_sequence, headers, data, digest, reason, deliveries)
VALUES (@id, @consumer, @subject::text, @message_id::text, @stream_sequence, @headers, @data::bytea,
    sha256(convert_to(@message_id::text || ' ' || @subject::text || ' ', 'UTF8') || @data::bytea), @reason, @deliveries)
ON CONFLICT ON CONSTRAINT dead_letter_once DO NOTHING;

-- name: DeadLetterMarked :many
-- Letters that an operator wants redriven.
SELECT id, subject, message_id, stream_sequence, headers, data, reason, deliveries, redrives FROM dead_letter
WHERE consumer = @consumer AND id > @after AND redrive_requested_at IS NOT NULL AND redriven_at IS NULL
ORDER BY id LIMIT @most;

-- name: DeadLetterRedriven :exec
UPDATE dead_letter SET redriven_at = now(), redrives = redrives + 1
WHERE id = @id AND redrive_requested_at IS NOT NULL AND redriven_at IS NULL;

-- name: DeadLetterRebury :exec
-- It could not be handled this time either; an operator may ask again.
UPDATE dead_letter SET reason = @reason, redrives = redrives + 1, redrive_requested_at = NULL
WHERE id = @id AND redrive_requested_at IS NOT NULL AND redriven_at IS NULL;
