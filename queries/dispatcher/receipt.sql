-- name: ReceiptInsert :exec
INSERT INTO receipt (id, attempt_id, provider, status, vendor_code, vendor_reference)
VALUES (@id, @attempt_id, @provider, @status, @vendor_code, @vendor_reference);

-- name: ReceiptMerge :many
-- Merges a final status into its attempt, whatever the order of arrival: the first final
-- status stays, but 'delivered' beats any other. Only a change comes back, and is told.
UPDATE attempt SET receipt_status = @status::text,
    delivered_at = CASE WHEN @status::text = 'delivered' THEN now() ELSE delivered_at END
WHERE id = @attempt_id AND provider = @provider AND receipt_status IS DISTINCT FROM @status::text
    AND (receipt_status IS NULL OR receipt_status IN ('in_transit', 'unknown') OR @status::text = 'delivered')
    AND NOT (@status::text IN ('in_transit', 'unknown') AND receipt_status IS NOT NULL)
RETURNING challenge_id, attempt_no, request_no, text_no, provider;

-- name: ChallengeAccount :one
SELECT account_id, phone_country FROM challenge WHERE id = @id;
