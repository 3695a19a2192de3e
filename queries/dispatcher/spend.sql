-- name: SpendAdd :exec
-- Counts texts of notices; those of codes are counted where their attempts are recorded.
INSERT INTO spend AS s (account_id, country, hour, texts, cost_micros)
VALUES (@account_id, @country, date_trunc('hour', now()), 1, @cost_micros)
ON CONFLICT (account_id, country, hour) DO UPDATE SET texts = s.texts + 1, cost_micros = s.cost_micros + excluded.cost_micros;

-- name: SpendLock :exec
-- One instance at a time judges what was spent: else one that read earlier would take back what another found.
SELECT pg_advisory_xact_lock(hashtext('latchkey spend_state'));

-- name: SpendReached :many
-- Which accounts have spent as much for a country in this hour or day as is worth an alarm.
WITH spent AS (
    SELECT account_id, country, 'hour' AS span, sum(cost_micros) AS cost, date_trunc('hour', now()) + interval '1 hour' AS until
    FROM spend WHERE hour >= date_trunc('hour', now()) GROUP BY account_id, country
    UNION ALL
    SELECT account_id, country, 'day', sum(cost_micros), date_trunc('day', now(), 'UTC') + interval '1 day'
    FROM spend WHERE hour >= date_trunc('day', now(), 'UTC') GROUP BY account_id, country
)
SELECT account_id, country, span::text AS span, cost::bigint AS cost_micros, until::timestamptz AS until FROM spent
WHERE cost >= CASE span WHEN 'hour' THEN @hour_micros::bigint ELSE @day_micros::bigint END
ORDER BY account_id, country, span;

-- name: SpendStateWrite :many
-- Keeps where spending reached a level. Only what changed comes back: of several instances one tells it.
WITH q AS (
    SELECT unnest(@account_ids::uuid[]) AS account_id, unnest(@countries::text[]) AS country, unnest(@spans::text[]) AS span,
        unnest(@levels::text[]) AS level, unnest(@untils::timestamptz[]) AS until
)
INSERT INTO spend_state AS s (account_id, country, span, level, until)
SELECT q.account_id, q.country, q.span, q.level, q.until FROM q ORDER BY q.account_id, q.country, q.span
ON CONFLICT (account_id, country, span) DO UPDATE SET level = excluded.level, until = excluded.until, reached_at = now()
    WHERE (s.level, s.until) IS DISTINCT FROM (excluded.level, excluded.until)
RETURNING s.account_id, s.country, s.span, s.level, s.until;

-- name: SpendStateClear :many
-- Forgets what is over: its hour or day ended, or the limits were raised.
WITH q AS (
    SELECT unnest(@account_ids::uuid[]) AS account_id, unnest(@countries::text[]) AS country, unnest(@spans::text[]) AS span
)
DELETE FROM spend_state s WHERE s.until <= now() OR NOT EXISTS (SELECT FROM q WHERE q.account_id = s.account_id AND q.country = s.country AND q.span = s.span)
RETURNING s.account_id, s.country, s.span, s.level;

-- name: SpendSweep :exec
DELETE FROM spend WHERE hour < now() - interval '400 days';
