-- Run once per cluster by a superuser, before the first migration: the roles that the schema refers to.
-- Stoa runs it on its embedded cluster by itself; a database administrator runs it with psql elsewhere (docs/OPERATIONS.md).
-- Running it again changes nothing.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'stoa_owner') THEN CREATE ROLE stoa_owner LOGIN; END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'stoa_app') THEN CREATE ROLE stoa_app LOGIN; END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'stoa_auditor') THEN CREATE ROLE stoa_auditor LOGIN; END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'stoa_door') THEN CREATE ROLE stoa_door NOLOGIN; END IF;
END
$$;

-- stoa_owner migrates: it must be able to hand definer functions to stoa_door. stoa_app serves, and may become neither.
GRANT stoa_door TO stoa_owner;

-- An acknowledged access entry or transfer must survive a power cut, whatever the server's default is.
ALTER ROLE stoa_app SET synchronous_commit = on;
