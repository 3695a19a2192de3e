-- name: ReceiptTake :many
-- Keeps reports, and merges each into its attempt, whatever the order of arrival: the first
-- final status stays, but 'delivered' beats any other. No attempt may come twice in a call.
-- Only changes come back, with what is needed to tell them. The next provider is due at once
-- for a text that did not arrive, and nobody for one that did. Reports that are kept already
-- are only merged.
WITH q AS (
    SELECT unnest(@ids::uuid[]) AS id, unnest(@attempt_ids::uuid[]) AS attempt_id, unnest(@providers::text[]) AS provider,
        unnest(@statuses::text[]) AS status, unnest(@vendor_codes::text[]) AS vendor_code, unnest(@vendor_references::text[]) AS vendor_reference,
        unnest(@kept::boolean[]) AS kept
), written AS (
    INSERT INTO receipt (id, attempt_id, provider, status, vendor_code, vendor_reference)
    SELECT id, attempt_id, provider, status, vendor_code, vendor_reference FROM q WHERE NOT kept
), merged AS (
    UPDATE attempt a SET receipt_status = q.status, delivered_at = CASE WHEN q.status = 'delivered' THEN now() ELSE a.delivered_at END,
        due_at = CASE
            WHEN a.ending IS DISTINCT FROM 'accepted' THEN a.due_at
            WHEN q.status = 'delivered' THEN NULL
            WHEN q.status IN ('undelivered', 'expired', 'rejected') AND NOT EXISTS (
                SELECT FROM attempt later WHERE later.challenge_id = a.challenge_id AND later.request_no = a.request_no AND later.attempt_no > a.attempt_no) THEN now()
            ELSE a.due_at END
    FROM q WHERE a.id = q.attempt_id AND a.provider = q.provider AND a.receipt_status IS DISTINCT FROM q.status
        AND (a.receipt_status IS NULL OR a.receipt_status IN ('in_transit', 'unknown') OR q.status = 'delivered')
        AND NOT (q.status IN ('in_transit', 'unknown') AND a.receipt_status IS NOT NULL)
    RETURNING q.id AS receipt_id, a.challenge_id, a.attempt_no, a.request_no, a.text_no
)
SELECT m.receipt_id::uuid AS receipt_id, m.challenge_id, m.attempt_no, m.request_no, m.text_no, c.account_id, c.phone_country
FROM merged m JOIN challenge c ON c.id = m.challenge_id;

-- name: AttemptByReference :many
-- The attempts that a vendor's references name.
WITH q AS (SELECT unnest(@providers::text[]) AS provider, unnest(@vendor_references::text[]) AS vendor_reference)
SELECT DISTINCT ON (a.provider, a.vendor_reference) a.provider, a.vendor_reference::text AS vendor_reference, a.id
FROM q JOIN attempt a ON a.provider = q.provider AND a.vendor_reference = q.vendor_reference
WHERE a.vendor_reference <> ''
ORDER BY a.provider, a.vendor_reference, a.challenge_id DESC;

-- name: ReceiptMatch :many
-- Reports that named a text by the vendor's reference before the answer that gave it the
-- reference was recorded: each gets its attempt, and comes back to be merged.
UPDATE receipt r SET attempt_id = a.id
FROM attempt a
WHERE r.attempt_id = '00000000-0000-0000-0000-000000000000' AND r.vendor_reference <> '' AND r.received_at > now() - interval '10 minutes'
    AND a.provider = r.provider AND a.vendor_reference = r.vendor_reference AND a.vendor_reference <> ''
    AND a.challenge_id >= uuid_floor(now() - interval '30 minutes')
RETURNING r.id, r.attempt_id, r.provider, r.status, r.vendor_code, r.vendor_reference, r.received_at;
