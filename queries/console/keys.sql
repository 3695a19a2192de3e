-- name: MemberKeyInsert :exec
INSERT INTO member_key (member_id, public_key, wrapped) VALUES (@member_id, @public_key, @wrapped);
