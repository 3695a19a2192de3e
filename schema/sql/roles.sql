-- One role a service, made once per cluster. Idempotent. No role here is a superuser,
-- may create roles or databases, or owns a table; latchkey_owner cannot log in.
DO $$
DECLARE
    service text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'latchkey_owner') THEN
        CREATE ROLE latchkey_owner NOLOGIN;
    END IF;
    FOREACH service IN ARRAY ARRAY['login', 'dispatcher', 'verifier', 'auditor', 'console', 'reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'latchkey_' || service) THEN
            EXECUTE format('CREATE ROLE %I LOGIN NOINHERIT', 'latchkey_' || service);
            EXECUTE format('ALTER ROLE %I SET statement_timeout = %L', 'latchkey_' || service, '10s');
            EXECUTE format('ALTER ROLE %I SET idle_in_transaction_session_timeout = %L', 'latchkey_' || service, '10s');
        END IF;
    END LOOP;
END
$$;
