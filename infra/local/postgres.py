"""PostgreSQL on loopback with durable commits; runs as another user where this one is root."""

import os
import pwd
import re
import shutil
import subprocess
from pathlib import Path

from infra.local.failures import MissingError, StepError
from infra.local.installation import Installation

VERSION_MIN = 15
SYSTEM_USER = "postgres"  # PostgreSQL refuses to run as root

SETTINGS = """\
# Written at every `rookery up`; sized for a small machine.
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 200
shared_buffers = 256MB
effective_cache_size = 1GB
work_mem = 8MB
maintenance_work_mem = 128MB
synchronous_commit = on
wal_compression = on
min_wal_size = 256MB
max_wal_size = 2GB
checkpoint_timeout = 15min
random_page_cost = 1.1
jit = off
max_prepared_transactions = 0
idle_in_transaction_session_timeout = 5min
timezone = 'UTC'
log_timezone = 'UTC'
log_min_duration_statement = 1000
log_checkpoints = off
log_line_prefix = '%m %d %u '
"""

# The superuser is trusted on loopback, as on any developer's machine; the processes' roles have generated passwords.
AUTHENTICATION = """\
# Written at every `rookery up`.
host all postgres 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
"""


def system_user() -> str | None:
    """The user to run as, None for the present one."""
    return SYSTEM_USER if os.geteuid() == 0 else None


def installed_versions() -> dict[int, Path]:
    """The folder of binaries by major version."""
    found = {int(p.parent.name): p for p in Path("/usr/lib/postgresql").glob("[0-9]*/bin") if (p / "postgres").exists()}
    on_path = shutil.which("postgres")
    if on_path:
        printed = subprocess.run([on_path, "--version"], capture_output=True, text=True, check=False).stdout
        if version := re.search(r"\) (\d+)", printed):
            found.setdefault(int(version[1]), Path(on_path).resolve().parent)
    return {major: path for major, path in found.items() if (path / "initdb").exists()}


def binaries(data: Path | None = None) -> Path:
    """The folder of the newest version, or of the one that wrote `data`.

    Raises MissingError when there is none from version 15 on.
    """
    versions = {major: path for major, path in installed_versions().items() if major >= VERSION_MIN}
    version_file = data / "PG_VERSION" if data else None
    if version_file and version_file.exists():
        written = int(version_file.read_text().strip())
        if written not in versions:
            raise MissingError(f"{data} was written by PostgreSQL {written}, which is not installed")
        return versions[written]
    if not versions:
        raise MissingError("PostgreSQL 15 or later is not installed")
    return versions[max(versions)]


def data_directory(installation: Installation) -> Path:
    """Where the tables lie: `var/postgres`, or a folder in /var/lib where PostgreSQL's user cannot enter `var`."""
    inside = installation.var / "postgres"
    if inside.is_symlink():
        return inside.resolve()
    return inside if inside.exists() or _can_enter(installation.var) else outside_directory(installation)


def outside_directory(installation: Installation) -> Path:
    return Path("/var/lib") / f"rookery-{installation.digest}" / "postgres"


def prepare(installation: Installation) -> Path:
    """Makes the cluster where there is none, writes its settings, and answers its folder."""
    data = data_directory(installation)
    if not (data / "PG_VERSION").exists():
        _make_cluster(installation, data)
    port = installation.environment.ports["postgres"]
    _write(data / "rookery.conf", SETTINGS.format(port=port))
    _write(data / "pg_hba.conf", AUTHENTICATION)
    main = data / "postgresql.conf"
    include = "include = 'rookery.conf'"
    if include not in main.read_text():
        with main.open("a") as file:
            file.write(f"\n{include}\n")
    return data


def _make_cluster(installation: Installation, data: Path) -> None:
    if data.exists():
        shutil.rmtree(
            data
        )  # an earlier attempt that did not finish: initdb writes PG_VERSION early and removes it then
    data.mkdir(parents=True, mode=0o700)
    user = system_user()
    if user:
        shutil.chown(data, user, user)
    link = installation.var / "postgres"
    if data != link:
        link.symlink_to(data)
    command = [str(binaries() / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust"]
    command += ["-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
    done = subprocess.run(command, user=user, group=user, cwd="/", capture_output=True, text=True, check=False)
    if done.returncode:
        shutil.rmtree(data)
        raise StepError(f"initdb failed:\n{done.stdout}{done.stderr}")


def _can_enter(directory: Path) -> bool:
    """Asks as PostgreSQL's user itself: a clone may lie below a folder, such as root's home, which it cannot enter."""
    user = system_user()
    if user is None:
        return True
    try:
        pwd.getpwnam(user)
    except KeyError:
        raise MissingError(f"the user {user!r}, whom PostgreSQL's package makes, does not exist") from None
    test = ["test", "-x", str(directory), "-a", "-r", str(directory)]
    return subprocess.run(test, user=user, group=user, extra_groups=[], cwd="/", check=False).returncode == 0


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    if user := system_user():
        shutil.chown(path, user, user)
    path.chmod(0o600)
