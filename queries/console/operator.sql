-- name: OperatorGrant :execrows
INSERT INTO operator_right (member_id, granted_by) VALUES (@member_id, @granted_by) ON CONFLICT (member_id) DO NOTHING;

-- name: OperatorRevoke :execrows
DELETE FROM operator_right WHERE member_id = @member_id;

-- name: OperatorList :many
SELECT o.member_id, m.account_id, a.name AS account_name, m.role, coalesce(m.user_id, '')::text AS user_id, (m.deactivated_at IS NOT NULL)::boolean AS deactivated,
    o.granted_at, o.granted_by
FROM operator_right o JOIN member m ON m.id = o.member_id JOIN account a ON a.id = m.account_id
ORDER BY o.granted_at, o.member_id;

-- name: OperatorMember :one
-- Whose right it is to be.
SELECT account_id, role, (deactivated_at IS NOT NULL)::boolean AS deactivated FROM member WHERE id = @id;
