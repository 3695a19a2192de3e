-- name: ReceiptTake :many
-- Keeps reports, and merges each into its attempt, whatever the order of arrival: the first
-- final status stays, but 'delivered' beats any other. No attempt may come twice in a call.
-- Only changes come back, with what is needed to tell them.
WITH q AS (
    SELECT unnest(@ids::uuid[]) AS id, unnest(@attempt_ids::uuid[]) AS attempt_id, unnest(@providers::text[]) AS provider,
        unnest(@statuses::text[]) AS status, unnest(@vendor_codes::text[]) AS vendor_code, unnest(@vendor_references::text[]) AS vendor_reference
), kept AS (
    INSERT INTO receipt (id, attempt_id, provider, status, vendor_code, vendor_reference)
    SELECT id, attempt_id, provider, status, vendor_code, vendor_reference FROM q
), merged AS (
    UPDATE attempt a SET receipt_status = q.status, delivered_at = CASE WHEN q.status = 'delivered' THEN now() ELSE a.delivered_at END
    FROM q WHERE a.id = q.attempt_id AND a.provider = q.provider AND a.receipt_status IS DISTINCT FROM q.status
        AND (a.receipt_status IS NULL OR a.receipt_status IN ('in_transit', 'unknown') OR q.status = 'delivered')
        AND NOT (q.status IN ('in_transit', 'unknown') AND a.receipt_status IS NOT NULL)
    RETURNING q.id AS receipt_id, a.challenge_id, a.attempt_no, a.request_no, a.text_no
)
SELECT m.receipt_id::uuid AS receipt_id, m.challenge_id, m.attempt_no, m.request_no, m.text_no, c.account_id, c.phone_country
FROM merged m JOIN challenge c ON c.id = m.challenge_id;
