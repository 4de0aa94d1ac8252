"""Makes every secret of a composed installation once, and gives each container those that are its business.

`secrets` holds all of them and is mounted where everything is prepared; `share/NAME` is the volume of one container, or
of several alike. A secret that exists is never replaced.
"""

import os
import secrets as random
from pathlib import Path

from infra.local import secrets
from infra.local.installation import Installation
from shared.environment import load

# What Compose adds to the installation's own: its servers ask for passwords.
SERVER_PASSWORDS = ("postgres_password", "redis_password")
SHARES = {
    "command": (
        "master_key",
        "token_secret",
        "django_secret",
        "command_password",
        "vault_password",
        "access_token_private.pem",
        "access_token_public.pem",
        "redis_password",
    ),
    "projector": ("master_key", "projector_password", "keys_password", "redis_password"),
    "query": ("token_secret", "django_secret", "query_password", "access_token_public.pem", "redis_password"),
    "monitor": ("query_password", "redis_password"),
    "purger": ("command_password", "vault_password", "projector_password", "redis_password"),
    "postgres": ("postgres_password",),
}
OWNER_ONLY, EVERYBODY = 0o400, 0o444


def share(installation: Installation, shares: Path) -> None:
    """Fills `secrets` and every share."""
    secrets.generate(installation, {})
    folder = installation.environment.signing_key_path.parent
    for name in SERVER_PASSWORDS:
        if not (folder / name).exists():
            secrets.write_private(folder / name, random.token_hex(secrets.SECRET_BYTES).encode())
    for container, names in SHARES.items():
        for name in names:
            # PostgreSQL runs as a user of its own image, which alone has this volume.
            _write(shares / container / name, (folder / name).read_bytes(), container == "postgres")
    password = (folder / "redis_password").read_text()
    _write(shares / "redis" / "redis.conf", f"requirepass {password}\n".encode(), True)
    for container in (*SHARES, "redis"):
        (shares / container).chmod(0o755)


def _write(path: Path, content: bytes, for_everybody: bool) -> None:
    secrets.write_private(path, content)
    path.chmod(EVERYBODY if for_everybody else OWNER_ONLY)


if __name__ == "__main__":
    environment = load(os.environ)
    share(Installation(environment, environment.var / "run"), environment.var.parent / "share")
