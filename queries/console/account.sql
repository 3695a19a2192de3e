-- name: AccountInsert :exec
INSERT INTO account (id, kind, name, country, contact, two_factor_enabled_at, demographics_enabled_at)
VALUES (@id, @kind, @name, @country, @contact, CASE WHEN @two_factor::boolean THEN now() END, CASE WHEN @demographics::boolean THEN now() END);

-- name: AccountList :many
-- With how many people each has. A page follows the name and id of the last one.
SELECT a.id, a.kind, a.name, a.country, a.contact, (a.two_factor_enabled_at IS NOT NULL)::boolean AS two_factor,
    (a.demographics_enabled_at IS NOT NULL)::boolean AS demographics, a.created_at,
    (SELECT count(*) FROM member m WHERE m.account_id = a.id AND m.deactivated_at IS NULL) AS members
FROM account a WHERE (a.name, a.id) > (@after_name::text, @after_id::uuid)
ORDER BY a.name, a.id LIMIT @most;

-- name: AccountExists :one
SELECT EXISTS (SELECT FROM account WHERE id = @id);

-- name: APIKeyInsert :exec
INSERT INTO api_key (id, account_id, name, key_digest) VALUES (@id, @account_id, @name, @key_digest);

-- name: APIKeyList :many
SELECT id, account_id, name, created_at, revoked_at FROM api_key WHERE account_id = @account_id ORDER BY created_at, id LIMIT 1000;

-- name: APIKeyRevoke :one
-- Ends a key, once, and returns whose it was.
UPDATE api_key SET revoked_at = now() WHERE id = @id AND revoked_at IS NULL RETURNING account_id;

-- name: SoftwareUpsert :exec
INSERT INTO software (id, kind, name, autofill_host, app_hash, addresses)
VALUES (@id, @kind, @name, @autofill_host, @app_hash, @addresses::text[])
ON CONFLICT (id) DO UPDATE SET kind = EXCLUDED.kind, name = EXCLUDED.name, autofill_host = EXCLUDED.autofill_host,
    app_hash = EXCLUDED.app_hash, addresses = EXCLUDED.addresses;

-- name: SoftwareList :many
SELECT id, kind, name, autofill_host, app_hash, addresses FROM software ORDER BY id;

-- name: SpendRead :many
-- What an account's texts cost by country: in this hour, this day (UTC) and the last 30 days, and
-- what it reached.
SELECT s.country, sum(s.texts)::bigint AS texts,
    coalesce(sum(s.cost_micros) FILTER (WHERE s.hour >= date_trunc('hour', now())), 0)::bigint AS hour_micros,
    coalesce(sum(s.cost_micros) FILTER (WHERE s.hour >= date_trunc('day', now(), 'UTC')), 0)::bigint AS day_micros,
    sum(s.cost_micros)::bigint AS month_micros,
    coalesce((SELECT string_agg(x.span || ' ' || x.level, ', ' ORDER BY x.span) FROM spend_state x
        WHERE x.account_id = @account_id AND x.country = s.country AND x.until > now()), '')::text AS reached
FROM spend s WHERE s.account_id = @account_id AND s.hour > now() - interval '30 days'
GROUP BY s.country ORDER BY s.country;
