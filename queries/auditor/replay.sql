-- name: LeafPage :many
-- Events in their order, from a place on up to another. An event whose row is gone has no body.
SELECT l.index, l.event_id, l.hash, e.service, e.body
FROM (SELECT leaf.index, leaf.event_id, leaf.hash FROM leaf WHERE leaf.index >= @first AND leaf.index <= @last ORDER BY leaf.index LIMIT @most::integer) l
LEFT JOIN event e ON e.id = l.event_id
ORDER BY l.index;

-- name: LeafRange :one
-- The first and the last place of events made in a time, by their UUIDv7; -1 for none.
-- The ids are looked through first: by the places the search would begin at the first of all.
WITH made AS MATERIALIZED (
    SELECT leaf.index FROM leaf WHERE leaf.event_id >= uuid_floor(@since::timestamptz) AND leaf.event_id < uuid_floor(@until::timestamptz)
)
SELECT coalesce(min(index), -1)::bigint AS first, coalesce(max(index), -1)::bigint AS last FROM made;
