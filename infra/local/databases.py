"""Gives each process a role that can do no more than its work, and the three databases to do it in.

Every statement can be repeated. On a server of our own, roles take the passwords of the secrets on every start, so
changing one means writing its file and running `rookery up`. On a server that was given, databases of another
installation are left as they are.
"""

from collections.abc import Mapping
from urllib.parse import unquote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

from infra.local.failures import StepError
from shared.environment import Environment

CONNECT_SECONDS_MAX = 5
# The owner of each database.
OWNERS = {"command": "rookery_command", "vault": "rookery_vault", "read": "rookery_projector"}


def create(environment: Environment) -> None:
    """Roles, databases and grants, on the server of the admin address.

    Raises StepError where they are another installation's there.
    """
    urls = {
        "rookery_command": environment.command_database_url,
        "rookery_vault": environment.vault_database_url,
        "rookery_projector": environment.read_database_url,
        "rookery_query": environment.query_database_url,
        "rookery_keys": environment.keys_database_url,
    }
    with psycopg.connect(environment.admin_database_url, autocommit=True) as admin:
        if not environment.own_postgres:
            _require_ours(admin, urls)
        for role, url in urls.items():
            _role(admin, role, unquote(urlsplit(url).password or ""))
        for database, owner in OWNERS.items():
            _database(admin, database, owner)
        if admin.execute("SELECT 1 FROM pg_roles WHERE rolname = current_user AND rolsuper").fetchone():
            # A rebuild turns it off in its own session while it makes indexes.
            admin.execute("GRANT SET ON PARAMETER wal_compression TO rookery_projector")
        _connect_only(admin, "vault", "rookery_keys")
        _connect_only(admin, "read", "rookery_query")
    with psycopg.connect(_of(environment, "vault"), autocommit=True) as vault:
        vault.execute("GRANT USAGE ON SCHEMA public TO rookery_keys")
    with psycopg.connect(_of(environment, "read"), autocommit=True) as read:
        for kind, right in (("SCHEMAS", "USAGE"), ("TABLES", "SELECT"), ("SEQUENCES", "SELECT")):
            read.execute(
                f"ALTER DEFAULT PRIVILEGES FOR ROLE rookery_projector GRANT {right} ON {kind} TO rookery_query"
            )
        read.execute("GRANT USAGE ON SCHEMA public TO rookery_query")


def _require_ours(admin: psycopg.Connection, urls: Mapping[str, str]) -> None:
    """New passwords would lock the other installation out, and its people's data is sealed under its own key."""
    for database, owner in OWNERS.items():
        if not admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).fetchone():
            continue
        try:
            psycopg.connect(urls[owner], connect_timeout=CONNECT_SECONDS_MAX).close()
        except psycopg.OperationalError as error:
            raise StepError(
                f"the server of DATABASE_URL has a database {database!r} already, and role {owner} cannot enter it"
                f" with this installation's password: {str(error).strip().splitlines()[-1]}\n"
                "It may be another installation's: use another server, or copy that one's secrets here"
            ) from None


def _role(admin: psycopg.Connection, role: str, password: str) -> None:
    name = sql.Identifier(role)
    if not admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone():
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN").format(name))
    admin.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(name, sql.Literal(password)))
    if not admin.execute("SELECT 1 FROM pg_roles WHERE rolname = current_user AND rolsuper").fetchone():
        admin.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(name))  # to make databases and grants in its name
    if role in ("rookery_query", "rookery_keys"):
        admin.execute(sql.SQL("ALTER ROLE {} SET default_transaction_read_only = on").format(name))


def _database(admin: psycopg.Connection, database: str, owner: str) -> None:
    name = sql.Identifier(database)
    if not admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).fetchone():
        statement = sql.SQL("CREATE DATABASE {} OWNER {} ENCODING 'UTF8' TEMPLATE template0")
        admin.execute(statement.format(name, sql.Identifier(owner)))
    admin.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))


def _connect_only(admin: psycopg.Connection, database: str, role: str) -> None:
    statement = sql.SQL("GRANT CONNECT ON DATABASE {} TO {}")
    admin.execute(statement.format(sql.Identifier(database), sql.Identifier(role)))


def _of(environment: Environment, database: str) -> str:
    return urlunsplit(urlsplit(environment.admin_database_url)._replace(path=f"/{database}"))
