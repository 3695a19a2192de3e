-- name: MemberKeyRead :one
SELECT wrapped FROM member_key WHERE member_id = @member_id AND public_key = @public_key;

-- name: MemberKeyDestroy :exec
-- Every key that was made for a person, also one that the person's row did not take.
DELETE FROM member_key WHERE member_id = @member_id;
