-- name: MemberList :many
-- People of an account in the order of their user IDs, a page after the last one of the page
-- before. Search is the beginning of a user ID, in lower case, or a blind index.
SELECT m.id, m.role, coalesce(m.user_id, '')::text AS user_id, coalesce(m.phone_country, '')::text AS phone_country, coalesce(m.phone_last_two, '')::text AS phone_last_two,
    (m.email_index IS NOT NULL)::boolean AS has_email, m.created_at, (m.deactivated_at IS NOT NULL)::boolean AS deactivated,
    (m.locked_at IS NOT NULL OR coalesce(t.day_count >= 20 AND t.day_started_at > now() - interval '1 day'
        OR t.hour_count >= 10 AND t.hour_started_at > now() - interval '1 hour' OR t.consecutive >= 100, false))::boolean AS locked,
    (SELECT count(*) FROM device d WHERE d.member_id = m.id AND d.revoked_at IS NULL)::integer AS devices
FROM member m LEFT JOIN member_try t ON t.member_id = m.id
WHERE m.account_id = @account_id AND (lower(coalesce(m.user_id, '')), m.id) > (@after_user_id::text, @after_id::uuid)
    AND m.role = ANY(@roles::text[]) AND (m.deactivated_at IS NOT NULL) = @deactivated::boolean
    AND (NOT @no_number::boolean OR m.phone_index IS NULL)
    AND (NOT @no_device::boolean OR NOT EXISTS (SELECT FROM device d WHERE d.member_id = m.id AND d.revoked_at IS NULL))
    AND (NOT @locked::boolean OR m.locked_at IS NOT NULL OR t.day_count >= 20 AND t.day_started_at > now() - interval '1 day'
        OR t.hour_count >= 10 AND t.hour_started_at > now() - interval '1 hour' OR t.consecutive >= 100)
    AND (@prefix::text = '' OR lower(coalesce(m.user_id, '')) LIKE @prefix::text || '%')
ORDER BY lower(coalesce(m.user_id, '')), m.id LIMIT @most;

-- name: MemberRead :one
-- A person of an account, with all that is not sealed.
SELECT m.id, m.account_id, m.role, m.user_id, m.public_key, m.phone_version, m.phone_country, m.phone_last_two, m.phone_index,
    m.email_version, m.email_index, m.language, m.locked_at, m.created_at, m.updated_at, m.deactivated_at, m.version,
    (c.member_id IS NOT NULL)::boolean AS has_password, (c.must_change_since IS NOT NULL)::boolean AS must_change,
    a.kind AS account_kind, a.country AS account_country, a.countries, (a.two_factor_enabled_at IS NOT NULL)::boolean AS two_factor,
    (a.demographics_enabled_at IS NOT NULL)::boolean AS demographics,
    coalesce(t.day_count >= 20 AND t.day_started_at > now() - interval '1 day'
        OR t.hour_count >= 10 AND t.hour_started_at > now() - interval '1 hour' OR t.consecutive >= 100, false)::boolean AS codes_locked,
    EXISTS (SELECT FROM client_assignment x WHERE x.client_id = m.id AND x.staff_id = @actor_id)::boolean AS assigned
FROM member m JOIN account a ON a.id = m.account_id
LEFT JOIN credential c ON c.member_id = m.id
LEFT JOIN member_try t ON t.member_id = m.id
WHERE m.id = @id AND m.account_id = @account_id;
