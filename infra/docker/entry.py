"""A container's first process: puts its own passwords into the addresses it was given, and becomes its command.

Addresses are variables and passwords are files, so that neither `docker inspect` nor a compose file shows a password.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

# Variable: the file in `secrets` with its password, and the user where the address names none.
PASSWORDS = {"REDIS_URL": ("redis_password", ""), "DATABASE_URL": ("postgres_password", "postgres")}


def with_passwords(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables, where this container has the password and the address lacks it."""
    folder = Path(environ["ROOKERY_VAR"]) / "secrets"
    found = dict(environ)
    for variable, (name, user) in PASSWORDS.items():
        parts = urlsplit(found.get(variable, ""))
        if parts.hostname and not parts.password and (folder / name).exists():
            password = quote((folder / name).read_text().strip(), safe="")
            address = parts.netloc.rpartition("@")[2]
            found[variable] = urlunsplit(parts._replace(netloc=f"{parts.username or user}:{password}@{address}"))
    return found


def main() -> None:
    os.execvpe(sys.argv[1], sys.argv[1:], with_passwords(os.environ))


if __name__ == "__main__":
    main()
