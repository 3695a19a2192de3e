-- name: NoticeTell :exec
-- Writes notices of changes to people, before they are made.
SELECT notice_tell(@member_ids::uuid[], @kinds::text[], @ids::uuid[], @channels::text[], @formers::boolean[]);
