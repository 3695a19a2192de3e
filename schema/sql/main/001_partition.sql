-- Tables that grow with every sign-in are partitioned by the time inside their UUIDv7
-- (RFC 9562 section 5.7), so that old rows are dropped with their partition, never deleted.
SET LOCAL ROLE latchkey_owner;

-- uuid_floor is the smallest UUIDv7 of a moment.
CREATE FUNCTION uuid_floor(moment timestamptz) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT (lpad(to_hex(floor(extract(epoch FROM moment) * 1000)::bigint), 12, '0') || '00000000000000000000')::uuid $$;

-- partitioned_table lists what partition_upkeep looks after. span is 'day' or 'month';
-- partitions that ended more than keep ago are dropped.
CREATE TABLE partitioned_table (
    name text PRIMARY KEY,
    span text NOT NULL,
    keep interval NOT NULL,
    CONSTRAINT partitioned_table_span CHECK (span IN ('day', 'month'))
);

-- partition_upkeep makes the partitions of now and of the time ahead, and drops those
-- past their keep. It runs as the owner, so that no service may create or drop a table.
-- It returns how many partitions it made and dropped.
CREATE FUNCTION partition_upkeep() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public
    AS $$
DECLARE
    t record;
    p record;
    step interval;
    ahead integer;
    lower_bound timestamptz;
    part text;
    changed integer := 0;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('latchkey partition_upkeep')) THEN
        RETURN 0; -- another instance is at it
    END IF;
    FOR t IN SELECT name, span, keep FROM partitioned_table LOOP
        step := ('1 ' || t.span)::interval;
        ahead := CASE t.span WHEN 'day' THEN 3 ELSE 2 END;
        FOR i IN 0..ahead LOOP
            lower_bound := date_trunc(t.span, now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' + i * step;
            part := t.name || to_char(lower_bound AT TIME ZONE 'UTC', '_YYYYMMDD');
            IF to_regclass('public.' || part) IS NULL THEN
                EXECUTE format('CREATE TABLE public.%I PARTITION OF public.%I FOR VALUES FROM (%L) TO (%L)',
                    part, t.name, uuid_floor(lower_bound), uuid_floor(lower_bound + step));
                changed := changed + 1;
            END IF;
        END LOOP;
        FOR p IN
            SELECT c.relname FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
            WHERE inhparent = to_regclass('public.' || t.name) AND c.relname ~ '_[0-9]{8}$'
        LOOP
            IF to_date(right(p.relname, 8), 'YYYYMMDD') + step + t.keep < now() AT TIME ZONE 'UTC' THEN
                EXECUTE format('DROP TABLE public.%I', p.relname);
                changed := changed + 1;
            END IF;
        END LOOP;
    END LOOP;
    RETURN changed;
END
$$;
REVOKE ALL ON FUNCTION partition_upkeep() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION partition_upkeep() TO latchkey_verifier;
RESET ROLE;
