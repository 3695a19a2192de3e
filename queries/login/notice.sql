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
-- Uses up the link of a notice, and those of the notices that told of the same thing at other
-- addresses, which were written in one transaction. It answers 0 where the link was used before.
WITH used AS (
    UPDATE notice SET repudiated_at = now() WHERE notice.id = @id AND notice.repudiated_at IS NULL RETURNING notice.id, notice.member_id, notice.made_at
), sisters AS (
    UPDATE notice SET repudiated_at = now() FROM used
    WHERE notice.id >= uuid_floor(sqlc.arg('made_at')::timestamptz - interval '5 minutes') AND notice.id < uuid_floor(sqlc.arg('made_at')::timestamptz + interval '5 minutes')
        AND notice.id <> used.id AND notice.member_id = used.member_id AND notice.made_at = used.made_at AND notice.repudiated_at IS NULL
)
SELECT FROM used;

-- name: DeviceRepudiate :many
-- Ends one of a member's registrations, or all of them, which came back.
UPDATE device SET revoked_at = now(), revoke_reason = 'repudiated'
WHERE member_id = @member_id AND revoked_at IS NULL AND id = coalesce(sqlc.narg('device_id')::uuid, id)
RETURNING id;

-- name: MemberRepudiate :exec
-- Locks a member and ends every session.
WITH ended AS (UPDATE session SET ended_at = now() WHERE session.member_id = @id AND session.ended_at IS NULL)
UPDATE member SET locked_at = coalesce(locked_at, now()), updated_at = now(), version = version + 1 WHERE member.id = @id;
