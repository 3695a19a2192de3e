-- name: ProviderRulesLock :exec
-- Until the transaction ends nobody else changes a rule: what is judged is what is written.
SELECT pg_advisory_xact_lock(hashtext('provider_rule'));

-- name: ProviderRules :many
SELECT kind, country, provider, position, set_at, set_by FROM provider_rule ORDER BY kind, country, position, provider;

-- name: ProviderRuleSet :exec
INSERT INTO provider_rule (kind, country, provider, position, set_by)
SELECT @kind::text, @country::text, p.provider::text, p.position - 1, @set_by::text
FROM unnest(@providers::text[]) WITH ORDINALITY AS p (provider, position);

-- name: ProviderRuleClear :execrows
-- Takes away the rules of a kind in a country: of one provider, or with '' of all.
DELETE FROM provider_rule WHERE kind = @kind AND country = @country AND (@provider::text = '' OR provider = @provider);

-- name: ProviderHealth :many
-- What the dispatchers have learnt. What is not known is 0.
SELECT provider, country, breaker, breaker_reason, breaker_changed_at, accepted, typed, demoted_at, demoted_until,
    coalesce(receipt_seconds, 0)::double precision AS receipt_seconds
FROM provider_health ORDER BY provider, country;

-- name: DispatcherCount :one
-- How many dispatchers were seen in the last half minute.
SELECT count(*)::integer FROM dispatcher_instance WHERE seen_at > now() - interval '30 seconds';
