"""One Kafka broker that is its own KRaft controller, on loopback; endless retention is set per topic, not here."""

import base64
import subprocess
import uuid
from pathlib import Path

from infra.local import downloads, java
from infra.local.failures import StepError
from infra.local.installation import Installation

LOGGING = Path(__file__).parent / "kafka" / "log4j2.properties"
HEAP = ("-Xms256m", "-Xmx512m")


def render(installation: Installation) -> str:
    """server.properties: durable in what one broker can be, quiet, and with nothing created by accident."""
    ports = installation.environment.ports
    return f"""\
# Written at every `rookery up`.
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{ports["kafka_controller"]}
listeners=PLAINTEXT://127.0.0.1:{ports["kafka"]},CONTROLLER://127.0.0.1:{ports["kafka_controller"]}
advertised.listeners=PLAINTEXT://127.0.0.1:{ports["kafka"]},CONTROLLER://127.0.0.1:{ports["kafka_controller"]}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={installation.var / "kafka" / "data"}
auto.create.topics.enable=false
num.network.threads=2
num.io.threads=4
num.recovery.threads.per.data.dir=2
offsets.topic.num.partitions=8
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
log.retention.ms=-1
log.cleaner.dedupe.buffer.size=16777216
controlled.shutdown.enable=true
"""


def command(installation: Installation) -> list[str]:
    runtime, _ = java.find()
    options = [
        *HEAP,
        "-XX:+UseG1GC",
        "-XX:MaxGCPauseMillis=20",
        "-Djava.awt.headless=true",
        "-XX:+ExitOnOutOfMemoryError",
    ]
    options += [f"-Dlog4j2.configurationFile={LOGGING}"]
    return [
        runtime,
        *options,
        "-cp",
        _class_path(),
        "kafka.Kafka",
        str(installation.var / "kafka" / "server.properties"),
    ]


def prepare(installation: Installation) -> None:
    """Brings the jars, writes the configuration, and formats the storage where that was not done yet."""
    downloads.fetch_kafka()
    directory = installation.var / "kafka"
    directory.mkdir(exist_ok=True)
    properties = directory / "server.properties"
    properties.write_text(render(installation))
    if (directory / "data" / "meta.properties").exists():
        return
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    runtime, _ = java.find()
    format_command = [runtime, "-XX:TieredStopAtLevel=1", f"-Dlog4j2.configurationFile={LOGGING}", "-cp", _class_path()]
    # One in 64 ids begins with a dash, and would be taken for an option if it stood by itself.
    format_command += ["kafka.tools.StorageTool", "format", "--standalone", f"--cluster-id={cluster}"]
    format_command += ["-c", str(properties)]
    done = subprocess.run(format_command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StepError(f"formatting Kafka's storage failed:\n{done.stdout}{done.stderr}")


def _class_path() -> str:
    return str(downloads.kafka_directory() / "*")
