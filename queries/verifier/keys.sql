-- name: EpochRead :many
SELECT epoch, key FROM code_epoch;

-- name: EpochInsert :exec
-- Of several verifiers that make the same hour's key, the first to commit wins.
INSERT INTO code_epoch (epoch, key) VALUES (@epoch, @key) ON CONFLICT DO NOTHING;

-- name: EpochDestroy :exec
DELETE FROM code_epoch WHERE epoch < @before;

-- name: JudgeKeyRead :many
SELECT id, private_key, public_key FROM judge_key ORDER BY id;

-- name: JudgeKeyInsert :exec
INSERT INTO judge_key (id, private_key, public_key) VALUES (@id, @private_key, @public_key) ON CONFLICT DO NOTHING;

-- name: JudgeKeyDestroy :exec
DELETE FROM judge_key WHERE id < @before;
