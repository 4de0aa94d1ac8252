"""The schema registry on loopback, whose ids survive a restart: each is in a file before it is given out."""

from pathlib import Path

from infra.local import downloads, java
from infra.local.installation import Installation


def command(installation: Installation) -> list[str]:
    runtime, _ = java.find()
    options = ["-Xms32m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError"]
    return [runtime, *options, "-cp", _class_path(), "io.quarkus.runner.GeneratedMain"]


def variables(installation: Installation) -> dict[str, str]:
    """The registry is configured by variables alone. WRITE_DELAY=0 writes each id to the file as it is given."""
    return {
        "QUARKUS_HTTP_HOST": "127.0.0.1",
        "QUARKUS_HTTP_PORT": str(installation.environment.ports["registry"]),
        "REGISTRY_DATASOURCE_URL": f"jdbc:h2:file:{directory(installation) / 'registry'};WRITE_DELAY=0",
        "QUARKUS_DATASOURCE_JDBC_MIN_SIZE": "1",
        "QUARKUS_DATASOURCE_JDBC_INITIAL_SIZE": "1",
        "QUARKUS_DATASOURCE_JDBC_MAX_SIZE": "10",
        "LOG_LEVEL": "WARN",
        "REGISTRY_LOG_LEVEL": "WARN",
    }


def directory(installation: Installation) -> Path:
    return installation.var / "registry"


def prepare(installation: Installation) -> None:
    """Brings the jars and makes the folder."""
    downloads.fetch_registry()
    directory(installation).mkdir(exist_ok=True)


def _class_path() -> str:
    jars = downloads.registry_directory()
    return f"{jars / f'apicurio-registry-app-{downloads.REGISTRY_VERSION}-runner.jar'}:{jars / 'lib'}/*"
