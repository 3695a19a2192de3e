-- name: MemberList :many
-- People of an account in the order of their user IDs, a page after a place. Each combination
-- of what the list may be filtered by is a range of the index member_list; the hints among
-- them are looked at again.
SELECT p.id, p.name::text AS name FROM unnest(@roles::text[]) AS r(role), unnest(@no_number::boolean[]) AS n(no_number),
    unnest(@may_lack_device::boolean[]) AS d(may_lack), unnest(@may_be_locked::boolean[]) AS l(may_be),
LATERAL (
    SELECT m.id, lower(coalesce(m.user_id, '')) COLLATE "C" AS name FROM member m
    WHERE m.account_id = @account_id AND (m.deactivated_at IS NOT NULL) = @deactivated::boolean AND (m.phone_index IS NULL) = n.no_number
        AND m.may_lack_device = d.may_lack AND (m.locked_at IS NOT NULL OR m.may_be_capped) = l.may_be AND m.role = r.role
        AND (lower(coalesce(m.user_id, '')) COLLATE "C", m.id) > (@after_name::text, @after_id::uuid)
        AND lower(coalesce(m.user_id, '')) COLLATE "C" < @before_name::text
        AND (NOT @no_device::boolean OR NOT EXISTS (SELECT FROM device v WHERE v.member_id = m.id AND v.revoked_at IS NULL))
        AND (NOT @locked::boolean OR m.locked_at IS NOT NULL OR EXISTS (SELECT FROM member_try t WHERE t.member_id = m.id AND try_is_capped(t)))
    ORDER BY lower(coalesce(m.user_id, '')) COLLATE "C", m.id LIMIT @most
) p ORDER BY p.name, p.id LIMIT @most;

-- name: MemberFind :many
-- People of an account by an e-mail address or a number (the blind indexes), or by what lists
-- show of a number, in the order of MemberList.
WITH found AS (
    SELECT e.id FROM member e WHERE e.email_index = sqlc.narg('email_index')::bytea AND e.account_id = @account_id
    UNION SELECT n.id FROM member n WHERE n.phone_index = sqlc.narg('phone_index')::bytea AND n.account_id = @account_id
    UNION SELECT l.id FROM member l WHERE l.account_id = @account_id AND l.phone_country = sqlc.narg('phone_country')::text AND l.phone_last_two = sqlc.narg('phone_last_two')::text
)
SELECT m.id, (lower(coalesce(m.user_id, '')) COLLATE "C")::text AS name FROM found f JOIN member m ON m.id = f.id
WHERE (m.deactivated_at IS NOT NULL) = @deactivated::boolean AND m.role = ANY(@roles::text[]) AND (m.phone_index IS NULL) = ANY(@no_number::boolean[])
    AND (lower(coalesce(m.user_id, '')) COLLATE "C", m.id) > (@after_name::text, @after_id::uuid)
    AND (NOT @no_device::boolean OR NOT EXISTS (SELECT FROM device v WHERE v.member_id = m.id AND v.revoked_at IS NULL))
    AND (NOT @locked::boolean OR m.locked_at IS NOT NULL OR EXISTS (SELECT FROM member_try t WHERE t.member_id = m.id AND try_is_capped(t)))
ORDER BY lower(coalesce(m.user_id, '')) COLLATE "C", m.id LIMIT @most;

-- name: AssignmentClients :many
-- The clients of one of the staff, in the order of MemberList, a page after a place.
SELECT m.id FROM client_assignment x JOIN member m ON m.id = x.client_id
WHERE x.staff_id = @staff_id AND m.account_id = @account_id AND m.role = 'client' AND m.deactivated_at IS NULL
    AND (lower(coalesce(m.user_id, '')) COLLATE "C", m.id) > (@after_name::text, @after_id::uuid)
ORDER BY lower(coalesce(m.user_id, '')) COLLATE "C", m.id LIMIT @most;

-- name: MemberListed :many
-- What a list shows of people, in its order.
SELECT m.id, m.role, coalesce(m.user_id, '')::text AS user_id, coalesce(m.phone_country, '')::text AS phone_country, coalesce(m.phone_last_two, '')::text AS phone_last_two,
    (m.email_index IS NOT NULL)::boolean AS has_email, m.created_at, (m.deactivated_at IS NOT NULL)::boolean AS deactivated,
    (m.locked_at IS NOT NULL OR EXISTS (SELECT FROM member_try t WHERE t.member_id = m.id AND try_is_capped(t)))::boolean AS locked,
    (SELECT count(*) FROM device d WHERE d.member_id = m.id AND d.revoked_at IS NULL)::integer AS devices,
    coalesce(m.language, '')::text AS language, EXISTS (SELECT FROM credential c WHERE c.member_id = m.id)::boolean AS has_password
FROM member m WHERE m.id = ANY(@ids::uuid[]) AND m.account_id = @account_id
ORDER BY lower(coalesce(m.user_id, '')) COLLATE "C", m.id;

-- name: MemberRead :many
-- People of an account, with all that is not sealed.
SELECT m.id, m.account_id, m.role, m.user_id, m.public_key, m.phone_version, m.phone_country, m.phone_last_two, m.phone_index,
    m.email_version, m.email_index, m.language, m.locked_at, m.created_at, m.updated_at, m.deactivated_at, m.version,
    (c.member_id IS NOT NULL)::boolean AS has_password, (c.must_change_since IS NOT NULL)::boolean AS must_change,
    a.kind AS account_kind, a.country AS account_country, a.countries, (a.two_factor_enabled_at IS NOT NULL)::boolean AS two_factor,
    (a.demographics_enabled_at IS NOT NULL)::boolean AS demographics,
    try_is_capped(t)::boolean AS codes_locked,
    EXISTS (SELECT FROM client_assignment x WHERE x.client_id = m.id AND x.staff_id = @actor_id)::boolean AS assigned
FROM (SELECT DISTINCT unnest(@ids::uuid[]) AS id) q -- joined: as a condition it is tried on every person of the account
JOIN member m ON m.id = q.id AND m.account_id = @account_id
JOIN account a ON a.id = m.account_id
LEFT JOIN credential c ON c.member_id = m.id
LEFT JOIN member_try t ON t.member_id = m.id;

-- name: UserIDMatch :many
-- User IDs as they are compared, each with who has it, in whichever account.
SELECT q.line::integer AS line, lower(q.user_id)::text AS name, m.id, m.account_id
FROM (SELECT unnest(@lines::integer[]) AS line, unnest(@user_ids::text[]) AS user_id) q LEFT JOIN member m ON lower(m.user_id) = lower(q.user_id);
