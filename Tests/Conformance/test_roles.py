"""What `stoa database url` opens, and what the role that serves cannot do."""
import os
import pwd
import subprocess

import psycopg
import pytest

FORBIDDEN_TO_APP = [
    "SELECT * FROM register.sealed_attribute", "SELECT * FROM register.data_key", "SELECT * FROM register.lookup",
    "SELECT * FROM register.resident", "SELECT * FROM access_log.entry", "SELECT * FROM access_log.queue",
    "SELECT * FROM consent.state", "INSERT INTO consent.state SELECT * FROM consent.state", "SELECT * FROM consent.event",
    "SELECT * FROM web.credential", "SELECT * FROM identity.account", "SELECT * FROM identity.sign_in_name",
    "SELECT * FROM exchange.notice", "DELETE FROM exchange.notice_queue",
    "DELETE FROM access_log.entry", "UPDATE access_log.entry SET outcome = 'permitted'", "TRUNCATE access_log.leaf",
    "DELETE FROM access_log.cosignature", "INSERT INTO access_log.halt (witness, tree_size) VALUES ('w', 1)", "SELECT access_log.end_halt('because')",
    "UPDATE witness.cosigned_head SET note = 'n'",
    "CREATE TABLE public.mine (x int)", "CREATE FUNCTION public.stoa_now() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "SELECT lo_create(0)", "SELECT lo_creat(-1)", "SELECT lo_from_bytea(0, 'kept')",
    "SET ROLE stoa_owner", "SET ROLE stoa_door", "COPY (SELECT 1) TO PROGRAM 'true'", "SELECT pg_read_file('/etc/passwd')",
]


@pytest.mark.parametrize("statement", FORBIDDEN_TO_APP)
def test_forbidden_to_the_app_role(server, statement):
    with server.connect("app") as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("stoa_app",)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


@pytest.mark.parametrize("role", ["owner", "app", "auditor"])
def test_each_role_has_its_url(server, role):
    with server.connect(role) as connection:
        assert connection.execute("SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (f"stoa_{role}", False)


def test_the_auditor_changes_nothing(server):
    with server.connect("auditor") as connection:
        for statement in ("DELETE FROM access_log.entry", "SELECT * FROM register.sealed_attribute", "CREATE TABLE public.mine (x int)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_nobody_else_opens_the_database(server):
    """Another user of the machine, who knows the address."""
    if os.getuid() != 0:
        pytest.skip("only root can try as another user")
    nobody = pwd.getpwnam("nobody")
    for role in ("owner", "app"):
        tried = subprocess.run(["psql", server.database_url(role), "-c", "SELECT 1"], capture_output=True, text=True, env={"PATH": os.environ["PATH"]},
                               user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[], cwd="/")
        assert tried.returncode != 0, f"nobody opened the database as {role}"
    opened = subprocess.run(["psql", server.database_url("owner"), "-Atc", "SELECT 1"], capture_output=True, text=True)
    assert opened.stdout.strip() == "1", opened.stderr
