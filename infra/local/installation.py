"""Says where everything of one installation lies on disk, and keeps two `rookery up` from racing."""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shared.environment import REPOSITORY, Environment, load

# Downloaded servers are shared by all installations of a clone, so that a test installation begins with empty data
# and not with an empty download folder.
TOOLS = REPOSITORY / ".tools"

# A unix socket's path may have 107 bytes; supervisord appends a process id to it while it binds.
SOCKET_PATH_BYTES_MAX = 90


@dataclass(frozen=True)
class Installation:
    """One set of servers and processes, told apart by its folder and its ports."""

    environment: Environment
    run_directory: Path  # holds the unix sockets; outside `var` where that path would be too long

    @property
    def var(self) -> Path:
        return self.environment.var

    @property
    def logs(self) -> Path:
        return self.var / "log"

    @property
    def supervisor_config(self) -> Path:
        return self.var / "supervisord.conf"

    @property
    def supervisor_socket(self) -> Path:
        return self.run_directory / "supervisor.sock"

    @property
    def supervisor_pid_file(self) -> Path:
        return self.run_directory / "supervisord.pid"

    @property
    def digest(self) -> str:
        return path_digest(self.var)

    def log_of(self, program: str) -> Path:
        return self.logs / f"{program}.log"

    def reread(self) -> "Installation":
        """The same installation with the secrets that lie on disk by now."""
        return Installation(load(os.environ), self.run_directory)


def current() -> Installation:
    """The installation that this process's environment names; makes its folders where they are missing."""
    environment = load(os.environ)
    installation = Installation(environment, run_directory(environment.var))
    for directory in (installation.var, installation.logs):
        directory.mkdir(parents=True, exist_ok=True)
    _make_private(installation.run_directory)
    return installation


def path_digest(path: Path) -> str:
    """A short name for a path, the same on every start."""
    return hashlib.sha256(str(path).encode()).hexdigest()[:12]


def run_directory(var: Path, environ: dict[str, str] | None = None) -> Path:
    """`var/run`, or a short folder in the user's runtime directory where a socket's path in `var` would be too long."""
    directory = var / "run"
    if len(os.fsencode(directory / "supervisor.sock")) <= SOCKET_PATH_BYTES_MAX:
        return directory
    runtime = (os.environ if environ is None else environ).get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    return Path(runtime) / f"rookery-{path_digest(var)}"


@contextmanager
def exclusive(installation: Installation) -> Iterator[None]:
    """Holds the installation's lock: a second `up` or `down` waits for the first."""
    descriptor = os.open(installation.run_directory / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _make_private(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    if directory.stat().st_uid != os.geteuid():
        raise PermissionError(f"{directory} belongs to another user; remove it or set ROOKERY_VAR to a shorter path")
