"""`rookery doctor --production`: whether this configuration may serve the public; asks servers, and changes nothing.

What can be tried is tried: a wrong password, a Redis without one. A server that does not answer is not well, since
nothing is known of it. Addresses count as private where every address behind the name is loopback or of a private
network: there plain text is taken to be the operator's decision.
"""

import ipaddress
import os
import re
import socket
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit, urlunsplit

from infra.local import programs, tls
from infra.local.checks import Check, judged
from infra.local.installation import Installation
from shared.environment import REPOSITORY, SECRETS, Environment

HEX_SECRETS = ("master_key", "token_secret")
DJANGO_SECRET_CHARACTERS_MIN = 50
PASSWORD_CHARACTERS_MIN = 24
DISTINCT_CHARACTERS_MIN = 8
LOOPBACK_NAMES = {"127.0.0.1", "localhost", "::1", "[::1]"}
REPLICAS_MIN = 3
IN_SYNC_MIN = 2
CERTIFICATE_DAYS_MIN = 14
ANSWER_SECONDS_MAX = 5
ENCRYPTED_SSL_MODES = {"require", "verify-ca", "verify-full"}
DJANGO = ("command_api.manage", "query_api.manage")


def examine(installation: Installation) -> list[Check]:
    """Every check: what is set, what the files allow, what the servers do."""
    environment = installation.environment
    asked: list[tuple[str, Callable[[Environment], Check]]] = [
        ("database roles", database_roles),
        ("database passwords", database_passwords),
        ("database durability", database_durability),
        ("redis", redis_server),
        ("log replication", replication),
    ]
    return [
        debug(environment),
        allowed_hosts(environment),
        secrets(environment),
        key_files(environment),
        https(installation),
        tickets(environment),
        connections(environment),
        *(_asked(name, question, environment) for name, question in asked),
        *(_django(module) for module in DJANGO),
    ]


def debug(environment: Environment) -> Check:
    faults = ["ROOKERY_DEBUG is on: errors would show code and settings"] if environment.debug else []
    return judged("debug", faults, "off", "unset ROOKERY_DEBUG")


def allowed_hosts(environment: Environment) -> Check:
    hosts = [host for host in environment.allowed_hosts if host]
    faults = []
    if any(host == "*" for host in hosts):
        faults.append("* allows every name that a client makes up")
    if not set(hosts) - LOOPBACK_NAMES:
        faults.append("only loopback is allowed")
    return judged("allowed hosts", faults, ", ".join(hosts), "ROOKERY_ALLOWED_HOSTS=your.domain,127.0.0.1")


def secrets(environment: Environment) -> Check:
    """Each there, of full length, random by the look of it, and its own."""
    faults = [f"{name} {fault}" for name in SECRETS if (fault := _weakness(name, environment.secrets[name]))]
    given = [environment.secrets[name] for name in SECRETS if environment.secrets[name]]
    if len(set(given)) != len(given):
        faults.append("two secrets are the same")
    return judged("secrets", faults, f"{len(SECRETS)} of full length", "rookery up makes those that are not set")


def _weakness(name: str, secret: str) -> str:
    if not secret:
        return "is missing"
    if name in HEX_SECRETS and not re.fullmatch(r"[0-9a-f]{64}", secret):
        return "is not 32 bytes in hexadecimal"
    minimum = DJANGO_SECRET_CHARACTERS_MIN if name == "django_secret" else PASSWORD_CHARACTERS_MIN
    if len(secret) < minimum:
        return f"has fewer than {minimum} characters"
    return "repeats itself" if len(set(secret)) < DISTINCT_CHARACTERS_MIN else ""


def key_files(environment: Environment) -> Check:
    """Nobody but their owner may read what lies in `var/secrets`."""
    folder = environment.signing_key_path.parent
    faults = [] if environment.signing_key_path.exists() else ["there is no key to sign access tokens with"]
    for path in [folder, *sorted(folder.glob("*"))] if folder.exists() else []:
        if path.stat().st_mode & 0o077 and path != environment.verifying_key_path:
            faults.append(f"{path.name} can be read by others")
    return judged("key files", faults, str(folder), f"rookery up; chmod -R go-rwx {folder}")


def https(installation: Installation) -> Check:
    faults = [] if installation.environment.https_only else ["http is not redirected"]
    well = "https alone"
    if tls.present(installation):
        ends = tls.certificate(installation).not_valid_after_utc
        well += f", certificate until {ends:%Y-%m-%d}"
        if ends < datetime.now(UTC) + timedelta(days=CERTIFICATE_DAYS_MIN):
            faults.append(f"the gateway's certificate ends {ends:%Y-%m-%d}")
    else:
        well += ", ended in front of the gateway"
    return judged("https", faults, well, "ROOKERY_HTTPS_ONLY=true; rookery tls, or end TLS in front of the gateway")


def tickets(environment: Environment) -> Check:
    faults = ["access tokens are taken from addresses, which logs keep"] if environment.websocket_query_token else []
    return judged("websocket", faults, "tickets alone", "unset ROOKERY_WEBSOCKET_QUERY_TOKEN")


def connections(environment: Environment) -> Check:
    """Nothing crosses a public network in plain text."""
    faults = []
    for name, url in _databases(environment).items():
        modes = parse_qs(urlsplit(url).query).get("sslmode", [""])
        if modes[0] not in ENCRYPTED_SSL_MODES and not is_private(urlsplit(url).hostname or ""):
            faults.append(f"{name}: no sslmode=require")
    if not environment.redis_url.startswith("rediss:") and not is_private(
        urlsplit(environment.redis_url).hostname or ""
    ):
        faults.append("redis: not rediss")
    if not environment.schema_registry_url.startswith("https:") and not is_private(
        urlsplit(environment.schema_registry_url).hostname or ""
    ):
        faults.append("registry: not https")
    for address in environment.kafka_bootstrap_servers.split(","):
        if not is_private(address.strip().rpartition(":")[0].strip("[]")):
            faults.append(f"kafka: {address} is not on a private network, and its connections are plain text")
    return judged(
        "connections", faults, "encrypted or private", "encrypt them, or keep the servers on a private network"
    )


def is_private(host: str) -> bool:
    """Whether every address of a host is loopback or of a private network; not where the name is unknown."""
    try:
        found = socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)
    except OSError:
        return False
    # An IPv6 address may carry its interface.
    addresses = [ipaddress.ip_address(str(each[4][0]).partition("%")[0]) for each in found]
    return all(each.is_loopback or each.is_private for each in addresses)


def database_roles(environment: Environment) -> Check:
    """A role for each side, none with more rights than its work needs."""
    urls = _databases(environment)
    names = [unquote(urlsplit(url).username or "") for url in [*urls.values(), environment.admin_database_url]]
    faults = [] if len(set(names)) == len(names) else ["two sides share a role"]
    for name, url in urls.items():
        with _connected(url) as connection:
            row = connection.execute(
                "select rolsuper or rolcreaterole or rolcreatedb or rolbypassrls,"
                " current_setting('transaction_read_only') from pg_roles where rolname = current_user"
            ).fetchone()
        if row is None or row[0]:
            faults.append(f"{name} may do more than its work needs")
        if name in ("query", "keys") and row is not None and row[1] != "on":
            faults.append(f"{name} may write")
    return judged("database roles", faults, f"{len(urls)}, each its own", "rookery up; ALTER ROLE ... NOSUPERUSER")


def database_passwords(environment: Environment) -> Check:
    """A wrong password is refused for every role, the administrator's too."""
    import psycopg

    faults = []
    for name, url in {**_databases(environment), "the administrator": environment.admin_database_url}.items():
        try:
            with _connected(_with_wrong_password(url)):
                faults.append(f"{name} gets in with any password")
        except psycopg.OperationalError as error:
            if "authentication failed" not in str(error):
                raise
    return judged("database passwords", faults, "asked for", "no `trust` in pg_hba.conf, but scram-sha-256")


def database_durability(environment: Environment) -> Check:
    faults = []
    with _connected(environment.command_database_url) as connection:
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            row = connection.execute("select current_setting(%s)", (setting,)).fetchone()
            if row is None or row[0] == "off":
                faults.append(f"{setting} is off")
    return judged("database durability", faults, "commits are on disk", "turn them on in postgresql.conf")


def redis_server(environment: Environment) -> Check:
    """It asks for a password and evicts nothing."""
    import redis

    faults = []
    parts = urlsplit(environment.redis_url)
    if not parts.password:
        faults.append("REDIS_URL has no password")
    open_url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    try:
        with redis.Redis.from_url(open_url, socket_timeout=ANSWER_SECONDS_MAX) as stranger:
            stranger.ping()
            faults.append("it answers without a password")
    except redis.AuthenticationError:
        pass
    with redis.Redis.from_url(environment.redis_url, socket_timeout=ANSWER_SECONDS_MAX) as server:
        policy = server.info("memory").get("maxmemory_policy")
        if policy != "noeviction":
            faults.append(f"eviction is {policy}: feeds would lose members unseen")
    return judged(
        "redis", faults, "asks for a password, evicts nothing", "requirepass, and REDIS_URL=redis://:password@host"
    )


def replication(environment: Environment) -> Check:
    """The log outlives a broker: enough replicas of each topic, of which enough must have a record."""
    from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

    client = AdminClient({"bootstrap.servers": environment.kafka_bootstrap_servers, "log_level": 0})
    found = client.list_topics(timeout=ANSWER_SECONDS_MAX).topics
    ours = sorted(name for name in found if name.startswith(environment.topic_prefix))
    if not ours:
        return Check("log replication", False, "there are no topics", "rookery up")
    replicas = min(len(each.replicas) for name in ours for each in found[name].partitions.values())
    asked = client.describe_configs([ConfigResource(ResourceType.TOPIC, name) for name in ours])
    settings = [future.result(ANSWER_SECONDS_MAX) for future in asked.values()]
    in_sync = min(int(each["min.insync.replicas"].value) for each in settings)
    faults = [] if replicas >= REPLICAS_MIN else [f"{replicas} of {REPLICAS_MIN} replicas"]
    if in_sync < IN_SYNC_MIN:
        faults.append(f"min.insync.replicas is {in_sync}, not {IN_SYNC_MIN}")
    if any(each["retention.ms"].value != "-1" for each in settings):
        faults.append("a topic's records expire")
    return judged(
        "log replication", faults, f"{replicas} replicas, {in_sync} in sync", "three brokers; alter the topics"
    )


def _asked(name: str, question: Callable[[Environment], Check], environment: Environment) -> Check:
    try:
        return question(environment)
    except Exception as error:  # every client has its own tree of errors; what was not answered is not well
        said = str(error).strip().splitlines()
        return Check(name, False, f"not answered: {said[0] if said else type(error).__name__}", "rookery status")


def _django(module: str) -> Check:
    """Django's own list for deployment, under this configuration."""
    command = [programs.python(), "-m", module, "check", "--deploy", "--fail-level", "WARNING"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, env=dict(os.environ))
    faults = re.findall(r"\(\w+\.[WEC]\d+\)", done.stderr) if done.returncode else []
    if done.returncode and not faults:
        faults = [(done.stderr.strip().splitlines() or ["it failed"])[-1]]
    name = f"django {module.partition('_')[0]}"
    return judged(name, faults, "check --deploy has nothing to say", f"python -m {module} check --deploy")


def _databases(environment: Environment) -> dict[str, str]:
    return {
        "command": environment.command_database_url,
        "vault": environment.vault_database_url,
        "projectors": environment.read_database_url,
        "query": environment.query_database_url,
        "keys": environment.keys_database_url,
    }


def _connected(url: str) -> Any:
    import psycopg

    return psycopg.connect(url, connect_timeout=ANSWER_SECONDS_MAX)


def _with_wrong_password(url: str) -> str:
    parts = urlsplit(url)
    user = quote(unquote(parts.username or ""), safe="")
    return urlunsplit(parts._replace(netloc=f"{user}:not-the-password@{parts.netloc.rpartition('@')[2]}"))
