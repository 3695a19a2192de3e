-- name: DeadLetterInsert :exec
INSERT INTO dead_letter (id, consumer, subject, message_id, stream_sequence, headers, data, reason, deliveries)
VALUES (@id, @consumer, @subject, @message_id, @stream_sequence, @headers, @data, @reason, @deliveries)
ON CONFLICT ON CONSTRAINT dead_letter_once DO NOTHING;
