-- name: EpochRead :many
SELECT epoch, key FROM code_epoch;
