"""Makes each secret once, random and readable by its owner only; one that exists is never replaced."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from infra.local.installation import Installation
from shared.environment import SECRETS

SECRET_BYTES = 32


def generate(installation: Installation, environ: Mapping[str, str] = os.environ) -> list[str]:
    """Fills `var/secrets` with what is neither there nor given by a variable; answers the names of what it made."""
    directory = installation.var / "secrets"
    directory.mkdir(exist_ok=True, mode=0o700)
    directory.chmod(0o700)
    made = []
    for name in SECRETS:
        path = directory / name
        if not path.exists() and not environ.get(f"ROOKERY_{name.upper()}"):
            write_private(path, secrets.token_hex(SECRET_BYTES).encode())
            made.append(name)
    if not installation.environment.signing_key_path.exists():
        _make_token_keys(installation)
        made.append("access_token")
    return made


def write_private(path: Path, content: bytes) -> None:
    """Whole or not at all, and never readable by others, not even for a moment."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)


def _make_token_keys(installation: Installation) -> None:
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    write_private(installation.environment.verifying_key_path, public)
    write_private(
        installation.environment.signing_key_path,
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )
