"""Claim: the running installation's servers answer, keep what they must keep over a restart, and face loopback alone.

Oracle: the servers' own answers, and the kernel's table of listening sockets. Cannot catch: what goes wrong only
after a power failure.
"""

import ipaddress
import json
import socket
import struct
import urllib.request
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from infra.local import installation as installations
from infra.local import memory, readiness, topics
from infra.local.installation import Installation
from infra.local.supervision import Supervisor
from shared.environment import Environment

LISTENING = "0A"  # TCP_LISTEN in /proc/net/tcp


@pytest.fixture(scope="module")
def installation(servers: Environment) -> Installation:
    return installations.current()


@pytest.fixture(scope="module")
def supervisor(installation: Installation) -> Supervisor:
    found = Supervisor(installation)
    if not found.running():
        pytest.skip("the servers are not ours: addresses of others are given")
    return found


@pytest.mark.parametrize("name", sorted(readiness.QUESTIONS))
def test_each_server_answers(servers: Environment, name: str) -> None:
    answer = readiness.ask(name, servers)
    assert answer.ok, answer.text


def test_topics_are_endless_and_stamped_by_the_log(servers: Environment) -> None:
    client = AdminClient({"bootstrap.servers": servers.kafka_bootstrap_servers})
    names = [servers.topic(name) for name in topics.declared()]
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    for resource, future in client.describe_configs(resources).items():
        values = {key: entry.value for key, entry in future.result().items()}
        assert {key: values[key] for key in topics.CONFIGURATION} == topics.CONFIGURATION, resource.name
    assert topics.create(servers) == [], "making them again makes nothing"


def test_nobody_but_up_makes_topics(servers: Environment) -> None:
    client = AdminClient({"bootstrap.servers": servers.kafka_bootstrap_servers})
    name = f"stray-{uuid4().hex}"
    client.list_topics(name, timeout=10)
    assert name not in client.list_topics(timeout=10).topics


def test_the_query_role_sees_what_projectors_make_and_changes_nothing(servers: Environment) -> None:
    schema = f"probe_{uuid4().hex}"
    with psycopg.connect(servers.read_database_url, autocommit=True) as projector:
        projector.execute(f"CREATE SCHEMA {schema} CREATE TABLE rows (n int)")
        try:
            with psycopg.connect(servers.query_database_url, autocommit=True) as query:
                assert query.execute(f"SELECT count(*) FROM {schema}.rows").fetchone() == (0,)
                query.execute("SET default_transaction_read_only = off")
                for statement in (f"INSERT INTO {schema}.rows VALUES (1)", "CREATE TABLE public.mine (n int)"):
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        query.execute(statement)
        finally:
            projector.execute(f"DROP SCHEMA {schema} CASCADE")


@pytest.mark.parametrize("address", ["query_database_url", "read_database_url"])
def test_the_read_side_cannot_enter_the_vault(servers: Environment, address: str) -> None:
    url, _, _ = str(getattr(servers, address)).rpartition("/")
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(f"{url}/vault")


def test_roles_need_their_passwords(servers: Environment) -> None:
    url = servers.vault_database_url.replace(servers.secrets["vault_password"], "wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url)


def test_secrets_are_readable_by_their_owner_only(installation: Installation, supervisor: Supervisor) -> None:
    for path in (installation.var / "secrets").iterdir():
        assert path.stat().st_mode & 0o077 == 0, path


def test_schema_ids_survive_a_restart_of_the_registry(
    servers: Environment, installation: Installation, supervisor: Supervisor
) -> None:
    if not servers.own_registry:
        pytest.skip("the registry is not ours")
    subject = f"probe-{uuid4().hex}"
    record: dict[str, object] = {
        "type": "record",
        "name": f"Probe{uuid4().hex}",
        "fields": [{"name": "n", "type": "int"}],
    }
    schema_id = _register(servers, subject, record)
    supervisor.halt(["registry"])
    assert not readiness.ask("registry", servers).ok
    supervisor.launch(["registry"])
    readiness.wait(installation, "registry", lambda: readiness.ask("registry", servers), 60, lambda: None)
    with urllib.request.urlopen(f"{servers.schema_registry_url}/schemas/ids/{schema_id}", timeout=10) as answer:
        assert json.loads(json.load(answer)["schema"])["name"] == record["name"]
    assert _register(servers, f"{subject}-again", record) == schema_id
    other = record | {"name": f"Other{uuid4().hex}"}
    assert _register(servers, f"{subject}-other", other) > schema_id


def test_everything_listens_on_loopback_alone(supervisor: Supervisor) -> None:
    tree = memory.children()
    pids = [pid for info in supervisor.states().values() if info["pid"] for pid in _with_children(info["pid"], tree)]
    inodes = {inode for pid in pids for inode in _sockets(pid)}
    listening = [address for inode, address in _listeners().items() if inode in inodes]
    assert len(listening) >= len(readiness.QUESTIONS), "each server listens somewhere"
    open_to_others = {address for address in listening if not ipaddress.ip_address(address).is_loopback}
    assert not open_to_others


def _register(servers: Environment, subject: str, record: dict[str, object]) -> int:
    request = urllib.request.Request(
        f"{servers.schema_registry_url}/subjects/{subject}/versions",
        data=json.dumps({"schema": json.dumps(record)}).encode(),
        headers={"Content-Type": "application/vnd.schemaregistry.v1+json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return int(json.load(answer)["id"])


def _with_children(pid: int, tree: dict[int, list[int]]) -> list[int]:
    return [pid, *(below for child in tree.get(pid, []) for below in _with_children(child, tree))]


def _sockets(pid: int) -> set[int]:
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(entry.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            found.add(int(target[8:-1]))
    return found


def _listeners() -> dict[int, str]:
    """The address by inode of each listening socket; IPv4 in IPv6 is given as IPv4."""
    found = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENING:
                found[int(fields[9])] = _address(fields[1].partition(":")[0])
    return found


def _address(hexadecimal: str) -> str:
    """/proc prints 32-bit words in the machine's own order."""
    words = [int(hexadecimal[at : at + 8], 16) for at in range(0, len(hexadecimal), 8)]
    packed = b"".join(struct.pack("=I", word) for word in words)
    if len(packed) == 4:
        return socket.inet_ntop(socket.AF_INET, packed)
    address = ipaddress.IPv6Address(packed)
    return str(address.ipv4_mapped or address)
