-- name: DeadLetterPage :many
-- Letters from the newest to the oldest, without their data.
SELECT id, consumer, subject, message_id, stream_sequence, length(data)::integer AS size, reason, deliveries, buried_at,
    redrive_requested_at, redrive_requested_by, redrives, redriven_at
FROM dead_letter
WHERE id < @before AND (@consumer::text = '' OR consumer = @consumer) AND (@reason::text = '' OR reason = @reason)
    AND (@redriven_too::boolean OR redriven_at IS NULL)
ORDER BY id DESC LIMIT @most;

-- name: DeadLetterRead :one
SELECT id, consumer, subject, message_id, stream_sequence, headers, data, reason, deliveries, buried_at,
    redrive_requested_at, redrive_requested_by, redrives, redriven_at
FROM dead_letter WHERE id = @id;

-- name: DeadLetterMark :many
-- Asks for letters to be redriven and returns those that wait for it now.
UPDATE dead_letter SET redrive_requested_at = now(), redrive_requested_by = @by::text
WHERE id = ANY(@ids::uuid[]) AND redriven_at IS NULL
RETURNING id;

-- name: DeadLetterMarkAll :execrows
-- Asks for every letter of a kind to be redriven that was buried before a moment.
UPDATE dead_letter SET redrive_requested_at = now(), redrive_requested_by = @by::text
WHERE redriven_at IS NULL AND redrive_requested_at IS NULL AND buried_at < @before
    AND (@consumer::text = '' OR consumer = @consumer) AND (@reason::text = '' OR reason = @reason);

-- name: DeadLetterCount :many
-- How many letters wait, by consumer and reason.
SELECT consumer, reason, count(*) AS letters, count(redrive_requested_at) AS marked FROM dead_letter
WHERE redriven_at IS NULL GROUP BY consumer, reason ORDER BY consumer, reason;
