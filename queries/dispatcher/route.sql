-- name: RuleRead :many
SELECT kind, country, provider FROM provider_rule ORDER BY kind, country, position, provider;

-- name: HealthRead :many
SELECT provider, country, breaker, breaker_reason, breaker_changed_at, probe_after, accepted, typed,
    coalesce(usual, -1)::double precision AS usual, -- -1: not known yet
    demoted_at, demoted_until, demotions, judged_since, reports,
    coalesce(receipt_seconds, 0)::double precision AS receipt_seconds, measured_at
FROM provider_health;

-- name: InstanceBeat :one
-- Says that this instance runs, and returns how many do beside it.
WITH beat AS (
    INSERT INTO dispatcher_instance (id) VALUES (@id)
    ON CONFLICT ON CONSTRAINT dispatcher_instance_pkey DO UPDATE SET seen_at = now()
), gone AS (
    DELETE FROM dispatcher_instance WHERE seen_at < now() - interval '1 minute'
)
SELECT count(*)::integer AS others, now()::timestamptz AS now FROM dispatcher_instance i WHERE i.id <> @id AND i.seen_at > now() - interval '5 seconds';

-- name: InstanceLeave :exec
DELETE FROM dispatcher_instance WHERE id = @id;

-- name: BreakerSet :one
INSERT INTO provider_health (provider, country, breaker, breaker_reason, breaker_changed_at, probe_after)
VALUES (@provider, @country, @breaker, @reason, clock_timestamp(),
    CASE WHEN @breaker = 'open' THEN now() + (@probe_seconds::double precision) * interval '1 second' END)
ON CONFLICT (provider, country) DO UPDATE SET breaker = excluded.breaker, breaker_changed_at = excluded.breaker_changed_at, probe_after = excluded.probe_after,
    breaker_reason = CASE WHEN excluded.breaker = 'open' THEN excluded.breaker_reason ELSE provider_health.breaker_reason END
RETURNING breaker_changed_at;

-- name: ProbeClaim :execrows
-- Of all instances one may try an open provider, once in the given time, and earlier by as much as is said.
UPDATE provider_health SET probe_after = now() + (@probe_seconds::double precision) * interval '1 second'
WHERE provider = @provider AND country = @country AND breaker = 'open'
    AND probe_after <= now() + (@early_seconds::double precision) * interval '1 second';

-- name: MeasureBegin :one
-- Whether this instance is to measure now: one does, and not twice in the given time.
SELECT (pg_try_advisory_xact_lock(hashtext('latchkey provider_health measure'))
    AND NOT EXISTS (SELECT FROM provider_health WHERE measured_at > now() - (@pause_seconds::double precision) * interval '1 second'))::boolean AS mine;

-- name: Measure :many
-- What became of the newest texts, by provider and country. A text counts as soon as people have
-- had the time that nine of ten take, twice; one whose code was not needed, since an earlier
-- text's was typed, does not count. Receipts are judged by texts that surely arrived.
WITH recent AS (
    SELECT a.challenge_id, a.provider, a.text_no, a.finished_at, a.delivered_at, a.receipt_status, c.phone_country AS country, c.typed_text, c.closed_at
    FROM attempt a JOIN challenge c ON c.id = a.challenge_id
    WHERE a.challenge_id >= uuid_floor(now() - interval '1 day') AND a.ending = 'accepted'
    ORDER BY a.challenge_id DESC
    LIMIT @most
), typing AS (
    SELECT least(120, greatest(10, 2 * coalesce(percentile_cont(0.9) WITHIN GROUP (ORDER BY extract(epoch FROM closed_at - finished_at)::double precision), 30))) AS seconds
    FROM recent WHERE typed_text = text_no
), ripe AS (
    SELECT r.*, row_number() OVER (PARTITION BY r.provider, r.country ORDER BY r.challenge_id DESC) AS n
    FROM recent r CROSS JOIN typing LEFT JOIN provider_health h ON h.provider = r.provider AND h.country = r.country
    WHERE r.finished_at < now() - typing.seconds * interval '1 second' AND NOT coalesce(r.typed_text < r.text_no, false)
        AND r.finished_at > coalesce(h.judged_since, '-infinity')
), arrived AS (
    SELECT r.provider, r.country, count(*) AS texts, count(r.receipt_status) AS reported,
        percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM r.delivered_at - r.finished_at)::double precision) FILTER (WHERE r.delivered_at IS NOT NULL) AS seconds
    FROM recent r WHERE r.typed_text = r.text_no AND r.finished_at < now() - interval '10 seconds'
    GROUP BY r.provider, r.country
), judged AS (
    SELECT ripe.provider, ripe.country, count(*) AS accepted, count(*) FILTER (WHERE ripe.typed_text = ripe.text_no) AS typed
    FROM ripe WHERE ripe.n <= @sample::integer
    GROUP BY ripe.provider, ripe.country
)
SELECT coalesce(j.provider, a.provider)::text AS provider, coalesce(j.country, a.country)::text AS country,
    coalesce(j.accepted, 0)::integer AS accepted, coalesce(j.typed, 0)::integer AS typed,
    coalesce(a.texts, 0)::integer AS arrived, coalesce(a.reported, 0)::integer AS reported, greatest(coalesce(a.seconds, 0), 0)::double precision AS receipt_seconds
FROM judged j FULL JOIN arrived a ON a.provider = j.provider AND a.country = j.country;

-- name: HealthWrite :exec
-- Writes what was measured and decided. The breaker is not touched.
INSERT INTO provider_health (provider, country, accepted, typed, usual, demoted_at, demoted_until, demotions, judged_since, reports, receipt_seconds, measured_at)
VALUES (@provider, @country, @accepted, @typed, nullif(@usual::double precision, -1), sqlc.narg('demoted_at'), sqlc.narg('demoted_until'), @demotions, sqlc.narg('judged_since'), sqlc.narg('reports'), nullif(@receipt_seconds::double precision, 0), now())
ON CONFLICT (provider, country) DO UPDATE SET accepted = excluded.accepted, typed = excluded.typed, usual = excluded.usual,
    demoted_at = excluded.demoted_at, demoted_until = excluded.demoted_until, demotions = excluded.demotions, judged_since = excluded.judged_since,
    reports = excluded.reports, receipt_seconds = excluded.receipt_seconds, measured_at = excluded.measured_at;
