-- name: PrefixFull :many
-- Prefixes to which as many texts went in ten minutes as may.
SELECT a.phone_prefix::text AS prefix FROM attempt a
WHERE a.challenge_id >= uuid_floor(now() - interval '20 minutes') AND a.started_at > now() - interval '10 minutes'
    AND a.phone_prefix IS NOT NULL AND a.ending IN ('accepted', 'ambiguous')
GROUP BY a.phone_prefix HAVING count(*) >= @most::integer;

-- name: ConversionFallen :many
-- Raises the alarm of each prefix of whose texts of an hour fewer than half were typed in, once
-- an hour. A text counts when people have had two minutes, and no earlier one was typed.
WITH recent AS (
    SELECT c.phone_country AS country, a.phone_prefix AS prefix, coalesce(c.typed_text = a.text_no, false) AS typed
    FROM attempt a JOIN challenge c ON c.id = a.challenge_id
    WHERE a.challenge_id >= uuid_floor(now() - interval '1 hour') AND a.ending = 'accepted' AND a.phone_prefix IS NOT NULL
        AND a.finished_at < now() - interval '2 minutes' AND NOT coalesce(c.typed_text < a.text_no, false)
)
INSERT INTO conversion_alarm (country, prefix, hour, accepted, typed)
SELECT country, prefix, date_trunc('hour', now()), count(*), count(*) FILTER (WHERE typed) FROM recent
GROUP BY country, prefix
HAVING count(*) >= @least::integer AND count(*) FILTER (WHERE typed) < 0.5 * count(*)
ORDER BY country, prefix
ON CONFLICT ON CONSTRAINT conversion_alarm_pkey DO NOTHING
RETURNING country, prefix, accepted, typed;

-- name: ConversionSweep :exec
DELETE FROM conversion_alarm WHERE hour < now() - interval '400 days';
