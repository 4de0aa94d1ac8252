"""Brings Kafka and the schema registry as their own projects publish them, once per clone and only whole.

Each lands in a folder named by its version, made complete under another name first, so that an interrupted download
is never taken for a finished one.
"""

import re
import shutil
import subprocess
import tarfile
from pathlib import Path

from infra.local.failures import MissingError, StepError
from infra.local.installation import TOOLS

DEPENDENCY_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
KAFKA_POM = Path(__file__).parent / "kafka" / "pom.xml"
REGISTRY_VERSION = "2.6.13.Final"


def kafka_version() -> str:
    found = re.search(r"<kafka.version>([^<]+)<", KAFKA_POM.read_text())
    if not found:
        raise StepError(f"{KAFKA_POM} names no kafka.version")
    return found[1]


def kafka_directory() -> Path:
    return TOOLS / f"kafka-{kafka_version()}"


def registry_directory() -> Path:
    return TOOLS / f"apicurio-registry-{REGISTRY_VERSION}"


def fetch_kafka() -> Path:
    """The folder of Kafka's jars; brings them where they are missing.

    Raises MissingError without Maven, StepError when Maven fails.
    """
    target = kafka_directory()
    if not target.exists():
        partial = _empty(target.with_name(target.name + ".partial"))
        goal = f"{DEPENDENCY_PLUGIN}:copy-dependencies"
        _maven("-f", str(KAFKA_POM), goal, f"-DoutputDirectory={partial}", "-DincludeScope=runtime")
        partial.rename(target)
    return target


def fetch_registry() -> Path:
    """The folder of the registry's jars; brings them where they are missing."""
    target = registry_directory()
    if not target.exists():
        partial = _empty(target.with_name(target.name + ".partial"))
        archive = _empty(target.with_name(target.name + ".archive"))
        artifact = f"io.apicurio:apicurio-registry-app:{REGISTRY_VERSION}:tar.gz:all"
        _maven(f"{DEPENDENCY_PLUGIN}:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={archive}")
        with tarfile.open(next(archive.glob("*.tar.gz"))) as packed:
            packed.extractall(partial)  # checked against its checksum by Maven; 3.11.2 does not know filters yet
        shutil.rmtree(archive)
        partial.rename(target)
    return target


def _empty(directory: Path) -> Path:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


def _maven(*arguments: str) -> None:
    maven = shutil.which("mvn")
    if not maven:
        raise MissingError("Maven (mvn) is not installed")
    command = [maven, "--batch-mode", "--quiet", "--no-transfer-progress", *arguments]
    done = subprocess.run(command, cwd=TOOLS, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StepError(f"Maven failed ({' '.join(arguments)}):\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
