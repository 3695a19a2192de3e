-- name: NoticeTell :exec
-- Writes notices of changes to people, before they are made.
SELECT notice_tell(@member_ids::uuid[], @kinds::text[], @ids::uuid[], @channels::text[], @formers::boolean[]);

-- name: NoticeByToken :one
-- What the link of a notice is about, while it may be used.
SELECT n.id, n.account_id, n.member_id, n.kind, n.device_id, coalesce(n.device_facets, '{}')::jsonb AS device_facets, n.made_at,
    m.language, a.language AS account_language, a.contact
FROM notice n JOIN member m ON m.id = n.member_id JOIN account a ON a.id = n.account_id
WHERE n.token_digest = @token_digest AND n.repudiated_at IS NULL AND n.made_at > now() - interval '7 days';

-- name: NoticeRepudiate :execrows
-- Uses the link of a notice up.
UPDATE notice SET repudiated_at = now() WHERE id = @id AND repudiated_at IS NULL;

-- name: DeviceRepudiate :many
-- Ends one of a member's registrations, or all of them, which came back.
UPDATE device SET revoked_at = now(), revoke_reason = 'repudiated'
WHERE member_id = @member_id AND revoked_at IS NULL AND id = coalesce(sqlc.narg('device_id')::uuid, id)
RETURNING id;

-- name: MemberRepudiate :exec
-- Locks a member and ends every session.
WITH ended AS (UPDATE session SET ended_at = now() WHERE session.member_id = @id AND session.ended_at IS NULL)
UPDATE member SET locked_at = coalesce(locked_at, now()), updated_at = now(), version = version + 1 WHERE member.id = @id;
