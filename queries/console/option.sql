-- name: OptionsRead :one
SELECT id, kind, name, country, contact, (two_factor_enabled_at IS NOT NULL)::boolean AS two_factor, (demographics_enabled_at IS NOT NULL)::boolean AS demographics,
    upgrade_policy, upgrade_jump, (bearer_refused_at IS NOT NULL)::boolean AS bearer_refused, countries, language,
    (extract(epoch FROM number_cooldown) / 3600)::integer AS number_cooldown_hours, version
FROM account WHERE id = @id;

-- name: OptionsWrite :execrows
-- Changes the options of the version that was seen. What was on stays on since when it was.
UPDATE account SET contact = @contact,
    two_factor_enabled_at = CASE WHEN @two_factor::boolean THEN coalesce(two_factor_enabled_at, now()) END,
    demographics_enabled_at = CASE WHEN @demographics::boolean THEN coalesce(demographics_enabled_at, now()) END,
    upgrade_policy = @upgrade_policy, upgrade_jump = @upgrade_jump,
    bearer_refused_at = CASE WHEN @bearer_refused::boolean THEN coalesce(bearer_refused_at, now()) END,
    countries = @countries::text[], language = @language, number_cooldown = (@number_cooldown_hours::integer) * interval '1 hour', version = version + 1
WHERE id = @id AND version = @version;

-- name: OptionsReport :one
-- Whom the options reach: active people, those without a number, those whose number is in
-- none of some countries, and registrations by what browser they are of.
WITH active AS (
    SELECT m.id, m.role = 'client' AS client, m.phone_index IS NOT NULL AS has_number,
        m.phone_index IS NOT NULL AND cardinality(@countries::text[]) > 0 AND m.phone_country <> ALL (@countries::text[]) AS elsewhere
    FROM member m WHERE m.account_id = @id AND m.deactivated_at IS NULL
), registered AS (
    SELECT d.member_id, d.seen_facets ->> 'browser' AS browser FROM active a JOIN device d ON d.member_id = a.id AND d.revoked_at IS NULL
)
SELECT count(*) FILTER (WHERE NOT client)::integer AS staff, count(*) FILTER (WHERE NOT client AND NOT has_number)::integer AS staff_without_number,
    count(*) FILTER (WHERE client)::integer AS clients, count(*) FILTER (WHERE client AND NOT has_number)::integer AS clients_without_number,
    count(*) FILTER (WHERE elsewhere)::integer AS elsewhere,
    (SELECT count(DISTINCT r.member_id) FROM registered r)::integer AS people_registered, (SELECT count(*) FROM registered)::integer AS devices,
    (SELECT count(*) FROM registered r WHERE r.browser LIKE '%Safari%')::integer AS yearly_devices
FROM active;

-- name: OwnNumber :one
-- Whether a person's present number is proved: by a code within the last hour, or by a
-- registration that a text to this number made and that is still good.
SELECT (m.phone_index IS NOT NULL)::boolean AS has_number, coalesce(m.phone_country, '')::text AS phone_country,
    (EXISTS (SELECT FROM number_proof p WHERE p.member_id = m.id AND p.phone_version = m.phone_version AND p.proved_at > now() - interval '1 hour')
        OR EXISTS (SELECT FROM device d JOIN challenge c ON c.id = d.challenge_id
            WHERE d.member_id = m.id AND d.revoked_at IS NULL AND c.phone_version = m.phone_version AND c.typed_text IS NOT NULL))::boolean AS proved
FROM member m WHERE m.id = @id AND m.account_id = @account_id;
