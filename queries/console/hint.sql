-- name: DeviceAfter :many
-- Registrations in the order they were made in (their ids begin with the time).
SELECT id, member_id FROM device WHERE id > @after ORDER BY id LIMIT @most;

-- name: HintLackLock :many
-- Those of some people who are said to lack a device, locked until the transaction ends: until
-- then nobody can say so again. Who is being changed is left for later.
SELECT id FROM member WHERE id = ANY(@ids::uuid[]) AND may_lack_device FOR NO KEY UPDATE SKIP LOCKED;

-- name: HintLackClear :exec
-- Takes the hint from those who have one, for who holds HintLackLock.
UPDATE member SET may_lack_device = false
WHERE id = ANY(@ids::uuid[]) AND EXISTS (SELECT FROM device d WHERE d.member_id = member.id AND d.revoked_at IS NULL);

-- name: HintCappedLock :many
-- Some of those who are said to be kept out by wrong codes and are not any more, as HintLackLock.
SELECT m.id FROM member m WHERE m.may_be_capped AND NOT EXISTS (SELECT FROM member_try t WHERE t.member_id = m.id AND try_is_capped(t))
LIMIT 1000 FOR NO KEY UPDATE SKIP LOCKED;

-- name: HintCappedClear :exec
UPDATE member SET may_be_capped = false
WHERE id = ANY(@ids::uuid[]) AND NOT EXISTS (SELECT FROM member_try t WHERE t.member_id = member.id AND try_is_capped(t));
