"""Finds a Java runtime new enough for Kafka 4 and the registry."""

import os
import re
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path

from infra.local.failures import MissingError

VERSION_MIN = 17


def version_of(java: str) -> int | None:
    """The feature version that a `java` program says it is; None where it says nothing."""
    printed = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    return parse_version(printed)


def parse_version(printed: str) -> int | None:
    """`openjdk version "17.0.15"` is 17; the old `"1.8.0_412"` is 8."""
    found = re.search(r'version "(?:1\.)?(\d+)', printed)
    return int(found[1]) if found else None


@lru_cache(maxsize=1)
def find() -> tuple[str, int]:
    """The first suitable `java` and its version: JAVA_HOME, then PATH, then Debian's folder.

    Raises MissingError when there is none from version 17 on.
    """
    candidates = [str(Path(os.environ["JAVA_HOME"]) / "bin" / "java")] if os.environ.get("JAVA_HOME") else []
    candidates += [found] if (found := shutil.which("java")) else []
    candidates += sorted(str(path) for path in Path("/usr/lib/jvm").glob("*/bin/java"))
    for candidate in candidates:
        if Path(candidate).exists() and (version := version_of(candidate) or 0) >= VERSION_MIN:
            return candidate, version
    raise MissingError(f"Java {VERSION_MIN} or later is not installed")
