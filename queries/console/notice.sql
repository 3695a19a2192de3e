-- name: NoticeTell :exec
-- Writes notices of a change to a person, before it is made.
SELECT notice_tell(@member_id::uuid, @kind::text, @ids::uuid[], @channels::text[], @formers::boolean[]);
