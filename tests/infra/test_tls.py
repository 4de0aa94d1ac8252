"""Claim: `rookery tls` makes a certificate with which a real gateway serves https to whom trusts its authority alone.

Oracle: OpenSSL's own verification, in a client that trusts nothing else. Cannot catch: what a browser asks beyond it.
"""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.gateway import render as gateway
from infra.local import tls
from infra.local.installation import Installation, run_directory
from infra.local.programs import find
from shared.environment import load


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    with socket.socket() as first, socket.socket() as second, socket.socket() as third:
        ports = []
        for each in (first, second, third):
            each.bind(("127.0.0.1", 0))
            ports.append(str(each.getsockname()[1]))
    names = ("ROOKERY_GATEWAY_PORT", "ROOKERY_GATEWAY_HEALTH_PORT", "ROOKERY_GATEWAY_TLS_PORT")
    environment = load({"ROOKERY_VAR": str(tmp_path), **dict(zip(names, ports, strict=True))})
    return Installation(environment, run_directory(tmp_path))


@pytest.fixture
def serving(installation: Installation) -> Iterator[Installation]:
    """A real nginx by the rendered configuration; nothing stands behind it."""
    tls.make(installation, ["rooks.test"])
    gateway.prepare(installation)
    folder = installation.var / "nginx"
    command = [find("nginx"), "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while not _listens(installation.environment.ports["gateway_tls"]):
            assert process.poll() is None and time.monotonic() < deadline, "nginx did not start"
            time.sleep(0.05)
        yield installation
    finally:
        os.kill(process.pid, signal.SIGTERM)
        process.wait(10)


def test_the_gateway_serves_https_to_whom_trusts_its_authority(serving: Installation) -> None:
    trusting = ssl.create_default_context(cafile=str(tls.paths(serving).authority))
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{serving.environment.gateway_tls_url}/nothing-here", context=trusting, timeout=5)
    with refused.value:
        assert refused.value.code == 404
        assert json.load(refused.value)["type"] == "urn:rookery:problem:not-found"
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(serving.environment.gateway_tls_url, context=ssl.create_default_context(), timeout=5)


@pytest.mark.parametrize(("name", "good"), [("localhost", True), ("rooks.test", True), ("elsewhere.test", False)])
def test_it_is_good_for_the_names_that_were_asked_for(serving: Installation, name: str, good: bool) -> None:
    trusting = ssl.create_default_context(cafile=str(tls.paths(serving).authority))
    with socket.create_connection(("127.0.0.1", serving.environment.ports["gateway_tls"]), 5) as plain:
        if good:
            trusting.wrap_socket(plain, server_hostname=name).close()
        else:
            with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
                trusting.wrap_socket(plain, server_hostname=name)


def test_a_new_certificate_is_of_the_same_authority_and_a_new_configuration(installation: Installation) -> None:
    tls.make(installation)
    authority, first, text = (
        tls.paths(installation).authority.read_bytes(),
        tls.certificate(installation),
        gateway.render(installation),
    )
    tls.make(installation)
    assert tls.paths(installation).authority.read_bytes() == authority
    assert tls.certificate(installation).serial_number != first.serial_number
    assert gateway.render(installation) != text, "supervisord starts the gateway again only where its text has changed"


def test_keys_are_their_owners_alone(installation: Installation) -> None:
    tls.make(installation)
    for path in (tls.paths(installation).key, tls.paths(installation).authority_key):
        assert path.stat().st_mode & 0o777 == 0o600
    assert tls.paths(installation).key.parent.stat().st_mode & 0o777 == 0o700


def test_without_a_certificate_there_is_http_alone(installation: Installation) -> None:
    tls.make(installation)
    tls.remove(installation)
    assert "ssl" not in gateway.render(installation)
    assert tls.paths(installation).authority.exists()
    shutil.rmtree(installation.var / "tls")
    assert not tls.present(installation)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
