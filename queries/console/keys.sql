-- name: MemberKeyInsert :exec
INSERT INTO member_key (member_id, public_key, wrapped)
SELECT unnest(@member_ids::uuid[]), unnest(@public_keys::bytea[]), unnest(@wrapped::bytea[]);
