"""Redis on loopback; it holds only what can be rebuilt, so nothing is written to disk and nothing is ever evicted."""

from infra.local.installation import Installation


def render(installation: Installation) -> str:
    """redis.conf. Eviction is off: a feed that lost members without notice would be wrong, not just cold."""
    return f"""\
# Written at every `rookery up`.
bind 127.0.0.1
port {installation.environment.ports["redis"]}
protected-mode yes
daemonize no
dir {_quoted(str(installation.var / "redis"))}
save ""
appendonly no
maxmemory-policy noeviction
tcp-backlog 511
tcp-keepalive 60
latency-monitor-threshold 100
loglevel notice
logfile ""
"""


def prepare(installation: Installation) -> None:
    """Makes the folder and writes the configuration."""
    directory = installation.var / "redis"
    directory.mkdir(exist_ok=True)
    (directory / "redis.conf").write_text(render(installation))


def _quoted(text: str) -> str:
    """As redis.conf wants what may hold spaces or quotes."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
