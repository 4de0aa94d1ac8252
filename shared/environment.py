"""Every address, port, limit and secret of a process comes from here, read once from its environment.

A variable left unset has the value that `rookery up` uses for its own servers, all of them on loopback, so that
nothing need be set on a fresh machine. Secrets left unset are read from `var/secrets/`, which `rookery up` fills with
random ones.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

REPOSITORY = Path(__file__).resolve().parent.parent

# Offsets from ROOKERY_PORT_BASE, so that two installations can live side by side on one machine.
PORT_OFFSETS = {
    "gateway": 0,
    "command": 1,
    "query": 2,
    "realtime": 3,
    "gateway_health": 4,  # the gateway asks itself here while it sums up the processes' health
    "purger": 5,
    "gateway_tls": 6,  # https, once `rookery tls` has made a certificate
    "monitor": 7,
    "postgres": 10,
    "redis": 11,
    "kafka": 12,
    "kafka_controller": 13,
    "registry": 14,
}
HISTORY_DAYS_MAX = 36_500  # a century
ROLLBACK_DAYS_MAX = 29  # an erasure is complete in 30 days
SECRETS = (
    "master_key",  # 32 bytes, hex: wraps every subject's data key
    "token_secret",  # 32 bytes, hex: signs consistency tokens and cursors
    "django_secret",
    "command_password",
    "vault_password",
    "projector_password",
    "query_password",
    "keys_password",
)


@dataclass(frozen=True)
class Environment:
    """Addresses are URLs or host:port; times are in seconds; sizes in bytes; secrets never show in repr."""

    var: Path
    ports: Mapping[str, int]
    kafka_bootstrap_servers: str
    schema_registry_url: str
    redis_url: str
    feeds_url: str  # where home feeds lie, if not in that Redis: see shared/feed_redis.py
    admin_database_url: str  # may create databases and roles; used by `rookery up` alone
    command_database_url: str  # owner of `command`: guards and outbox
    vault_database_url: str  # owner of `vault`: accounts, credentials, subject keys
    read_database_url: str  # owner of `read`: the projections
    query_database_url: str  # may only SELECT from `read`
    keys_database_url: str  # may only SELECT the subject keys in `vault`
    own_kafka: bool  # False where the address was given: that server is the user's, not ours to start
    own_registry: bool
    own_redis: bool
    own_postgres: bool
    topic_prefix: str
    topic_partitions: int
    allowed_hosts: tuple[str, ...]
    debug: bool
    https_only: bool  # clients reach the gateway by https alone: http is redirected, and browsers are told to remember
    feed_shards: int
    feed_items_max: int
    feed_pushed_followers_max: int  # who has clearly more is not pushed: their items are merged into pages
    ranked_items_max: int
    ranking_cache_seconds: float  # how old what ranking knows of a post's engagement may be; 0: not at all
    ack_wait_seconds: float
    consistency_wait_seconds: float
    outbox_backlog_max: int
    outbox_bytes_hours: int  # an acknowledged event's bytes stay so long, for a log that lost its tail
    frames_kept_days: int
    frames_kept_per_person: int
    history_days: int  # a text that was replaced can be read for so long after; 0: for ever
    rollback_days: int  # what a rebuild swapped out can be swapped in again for so long
    websocket_query_token: bool
    lag_stalled_seconds: float  # records to apply and no advance for longer: the projection is told as stalled
    monitor_url: str  # whom the query API asks how far the projections are
    secrets: Mapping[str, str] = field(repr=False)

    @property
    def signing_key_path(self) -> Path:
        """Ed25519 private key (PEM) that signs access tokens; only the command API reads it."""
        return self.var / "secrets" / "access_token_private.pem"

    @property
    def verifying_key_path(self) -> Path:
        """Ed25519 public key (PEM); enough to verify an access token."""
        return self.var / "secrets" / "access_token_public.pem"

    @property
    def gateway_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['gateway']}"

    @property
    def gateway_tls_url(self) -> str:
        return f"https://127.0.0.1:{self.ports['gateway_tls']}"

    @property
    def feed_redis_url(self) -> str:
        return self.feeds_url or self.redis_url

    def topic(self, name: str) -> str:
        """The Kafka name of a topic of schemas/topics.yaml: topic("posts") is "rookery.posts"."""
        return self.topic_prefix + name


def load(environ: Mapping[str, str]) -> Environment:
    """The environment of a process, from its variables.

    Raises ValueError naming the variable where a value cannot be read.
    """
    var = Path(environ.get("ROOKERY_VAR") or REPOSITORY / "var").absolute()
    base = _integer(environ, "ROOKERY_PORT_BASE", 7400)
    ports = {
        name: _integer(environ, f"ROOKERY_{name.upper()}_PORT", base + offset) for name, offset in PORT_OFFSETS.items()
    }
    secrets = {name: _secret(environ, var, name) for name in SECRETS}
    admin = environ.get("DATABASE_URL") or f"postgresql://postgres@127.0.0.1:{ports['postgres']}/postgres"

    def database(variable: str, role: str, name: str, password: str) -> str:
        return environ.get(variable) or _with_role(admin, role, secrets[password], name)

    return Environment(
        var=var,
        ports=ports,
        kafka_bootstrap_servers=environ.get("KAFKA_BOOTSTRAP_SERVERS") or f"127.0.0.1:{ports['kafka']}",
        schema_registry_url=environ.get("SCHEMA_REGISTRY_URL")
        or f"http://127.0.0.1:{ports['registry']}/apis/ccompat/v7",
        redis_url=environ.get("REDIS_URL") or f"redis://127.0.0.1:{ports['redis']}/0",
        feeds_url=environ.get("FEED_REDIS_URL") or "",
        admin_database_url=admin,
        command_database_url=database("COMMAND_DATABASE_URL", "rookery_command", "command", "command_password"),
        vault_database_url=database("VAULT_DATABASE_URL", "rookery_vault", "vault", "vault_password"),
        read_database_url=database("READ_DATABASE_URL", "rookery_projector", "read", "projector_password"),
        query_database_url=database("QUERY_DATABASE_URL", "rookery_query", "read", "query_password"),
        keys_database_url=database("KEYS_DATABASE_URL", "rookery_keys", "vault", "keys_password"),
        own_kafka=not environ.get("KAFKA_BOOTSTRAP_SERVERS"),
        own_registry=not environ.get("SCHEMA_REGISTRY_URL"),
        own_redis=not environ.get("REDIS_URL"),
        own_postgres=not environ.get("DATABASE_URL"),
        topic_prefix=environ.get("ROOKERY_TOPIC_PREFIX", "rookery."),
        topic_partitions=_integer(environ, "ROOKERY_TOPIC_PARTITIONS", 12),
        allowed_hosts=tuple(environ.get("ROOKERY_ALLOWED_HOSTS", "127.0.0.1,localhost").split(",")),
        debug=_flag(environ, "ROOKERY_DEBUG", False),
        https_only=_flag(environ, "ROOKERY_HTTPS_ONLY", False),
        feed_shards=_integer(environ, "ROOKERY_FEED_SHARDS", 16),
        feed_items_max=_integer(environ, "ROOKERY_FEED_ITEMS_MAX", 800),
        feed_pushed_followers_max=_integer(environ, "ROOKERY_FEED_PUSHED_FOLLOWERS_MAX", 10_000),
        ranked_items_max=_integer(environ, "ROOKERY_RANKED_ITEMS_MAX", 400),
        ack_wait_seconds=_number(environ, "ROOKERY_ACK_WAIT_SECONDS", 0.2),
        ranking_cache_seconds=_number(environ, "ROOKERY_RANKING_CACHE_SECONDS", 4.0),
        consistency_wait_seconds=_number(environ, "ROOKERY_CONSISTENCY_WAIT_SECONDS", 2.0),
        outbox_backlog_max=_integer(environ, "ROOKERY_OUTBOX_BACKLOG_MAX", 100_000),
        outbox_bytes_hours=_integer(environ, "ROOKERY_OUTBOX_BYTES_HOURS", 12),
        frames_kept_days=_integer(environ, "ROOKERY_FRAMES_KEPT_DAYS", 7),
        frames_kept_per_person=_integer(environ, "ROOKERY_FRAMES_KEPT_PER_PERSON", 1_000),
        history_days=_history_days(environ),
        rollback_days=_rollback_days(environ),
        websocket_query_token=_flag(environ, "ROOKERY_WEBSOCKET_QUERY_TOKEN", False),
        lag_stalled_seconds=_number(environ, "ROOKERY_LAG_STALLED_SECONDS", 10.0),
        monitor_url=environ.get("ROOKERY_MONITOR_URL") or f"http://127.0.0.1:{ports['monitor']}",
        secrets=secrets,
    )


@lru_cache(maxsize=1)
def environment() -> Environment:
    """This process's environment; the first call reads it, later ones answer the same object."""
    return load(os.environ)


def _with_role(admin_url: str, role: str, password: str, database: str) -> str:
    parts = urlsplit(admin_url)
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}:{quote(password, safe='')}@{address}", path=f"/{database}"))


def _secret(environ: Mapping[str, str], var: Path, name: str) -> str:
    given = environ.get(f"ROOKERY_{name.upper()}")
    if given:
        return given
    path = var / "secrets" / name
    return path.read_text().strip() if path.exists() else ""


def _integer(environ: Mapping[str, str], name: str, default: int) -> int:
    try:
        return int(environ.get(name) or default)
    except ValueError:
        raise ValueError(f"{name} must be a whole number, not {environ[name]!r}") from None


def _history_days(environ: Mapping[str, str]) -> int:
    days = _integer(environ, "ROOKERY_HISTORY_DAYS", 365)
    if not 0 <= days <= HISTORY_DAYS_MAX:
        raise ValueError(f"ROOKERY_HISTORY_DAYS must be 0, for ever, or up to {HISTORY_DAYS_MAX}, not {days}")
    return days


def _rollback_days(environ: Mapping[str, str]) -> int:
    days = _integer(environ, "ROOKERY_ROLLBACK_DAYS", 7)
    if not 1 <= days <= ROLLBACK_DAYS_MAX:
        raise ValueError(f"ROOKERY_ROLLBACK_DAYS must be 1 to {ROLLBACK_DAYS_MAX}, not {days}")
    return days


def _number(environ: Mapping[str, str], name: str, default: float) -> float:
    try:
        return float(environ.get(name) or default)
    except ValueError:
        raise ValueError(f"{name} must be a number, not {environ[name]!r}") from None


def _flag(environ: Mapping[str, str], name: str, default: bool) -> bool:
    given = environ.get(name, "").lower()
    if given in ("", "1", "true", "yes", "0", "false", "no"):
        return default if not given else given in ("1", "true", "yes")
    raise ValueError(f"{name} must be true or false, not {environ[name]!r}")
