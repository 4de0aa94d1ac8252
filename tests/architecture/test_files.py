"""What a clone holds is free of the machine it was made on, and locks name no package index.

Claim: no path of a developer's machine, no package index and no mirror is written into any file.
Oracle: patterns, and the indexes this very machine is configured with.
Cannot catch: what is hidden in a binary file or spelled in another way.
"""

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from tests.architecture.sources import files, name

# Written in pieces, so that this file passes its own test.
MACHINE_PATHS = re.compile(
    r"(?<![\w.-])/(?:"
    + "|".join(["work" + r"/(?:main|shared|session)", "root" + r"/\.", "home" + r"/(?!user\b)\w+/", "Users" + r"/\w+/"])
    + ")"
)
PUBLIC_HOSTS = {
    "127.0.0.1",
    "localhost",
}
INDEX_LINES = re.compile(r"^\s*(?:--(?:extra-)?index-url|--find-links|-i\s|--trusted-host).*$", re.MULTILINE)
INDEX_VARIABLES = (
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "UV_INDEX_URL",
    "UV_DEFAULT_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_INDEX",
)


def texts() -> list[Path]:
    return [path for path in files() if b"\0" not in path.read_bytes()[:8_000] and path.stat().st_size < 4_000_000]


def test_no_path_of_a_machine() -> None:
    found = {
        name(path): match.group()
        for path in texts()
        if (match := MACHINE_PATHS.search(path.read_text(errors="replace")))
    }
    assert not found, f"write paths relative to the repository or to its var/: {found}"


def test_no_lock_chooses_a_package_index() -> None:
    found = [
        name(path)
        for path in texts()
        if path.suffix in (".lock", ".txt", ".toml", ".in") and INDEX_LINES.search(path.read_text(errors="replace"))
    ]
    assert not found, f"which package index is used is its user's choice; take the lines that choose one out of {found}"


def test_no_mirror_of_this_machine_is_named() -> None:
    found = [
        (name(path), host) for path in texts() for host in own_index_hosts() if host in path.read_text(errors="replace")
    ]
    assert not found, f"package mirrors belong into their user's own settings: {found}"


def test_poms_name_public_repositories_only() -> None:
    for path in texts():
        if path.name == "pom.xml":
            named = {urlsplit(url).hostname for url in re.findall(r"<url>\s*(\S+?)\s*</url>", path.read_text())} - {
                None
            }
            assert named <= PUBLIC_HOSTS, (
                f"{name(path)} names {named - PUBLIC_HOSTS}: leave mirrors to the user's settings.xml"
            )


def own_index_hosts() -> set[str]:
    """The hosts of the package indexes that this process was told to use, but for the public ones."""
    given = [url for variable in INDEX_VARIABLES for url in os.environ.get(variable, "").split()]
    for settings in (Path("/etc/pip.conf"), Path.home() / ".config/pip/pip.conf", Path.home() / ".pip/pip.conf"):
        if settings.exists():
            given += re.findall(r"https?://\S+", settings.read_text(errors="replace"))
    return {host for url in given if (host := urlsplit(url).hostname)} - PUBLIC_HOSTS
