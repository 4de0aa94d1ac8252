"""Writes the gateway's nginx.conf for one installation: its ports, and errors as problem details."""

import grp
import json
import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from cryptography.hazmat.primitives import hashes

from infra.local import tls
from infra.local.installation import Installation

TEMPLATE = Path(__file__).parent / "nginx.conf.template"
UNPRIVILEGED_USER = "nobody"
CONNECTIONS = 4096

PROBLEMS = {
    "malformed": ("malformed-request", 400, "Malformed request", "The request's line or headers cannot be read."),
    "unknown_path": ("not-found", 404, "Not found", "Nothing answers at this path."),
    "unknown_method": ("method-not-allowed", 405, "Method not allowed", "This method is not understood here."),
    "too_large": ("too-large", 413, "Body too large", "A request's body may have one mebibyte at most."),
    "away": ("unavailable", 503, "Service away", "The process behind this path does not answer; try again shortly."),
    "late": (
        "unavailable",
        503,
        "Service late",
        "The process behind this path did not answer in time. A write may have been done: repeat it with its key.",
    ),
}
CHECKED = {"command": "command API", "query": "query API", "realtime": "realtime process"}


@dataclass(frozen=True)
class Place:
    """Where the gateway runs.

    `hosts` are the processes' names where each is a machine of its own; `resolver` is the server that knows them.
    """

    listen: str = "127.0.0.1"
    hosts: Mapping[str, str] = field(default_factory=dict)
    resolver: str = ""
    as_nobody: bool = True


HERE = Place()


def render(installation: Installation, place: Place = HERE) -> str:
    """nginx.conf. Raises KeyError when the template names something that is not known here."""
    ports = installation.environment.ports
    values = {name: str(port) for name, port in ports.items()}
    values |= {name: problem(*fields) for name, fields in PROBLEMS.items()}
    for name, title in CHECKED.items():
        values[f"unhealthy_{name}"] = problem(
            "unhealthy", 503, "Unhealthy", f"The {title} says that it is not healthy."
        )
        values[f"{name}_server"] = _server(name, ports[name], place)
    values["listen"] = place.listen
    values["resolver_directive"] = f"    resolver {place.resolver} valid=5s;\n" if place.resolver else ""
    values["tls_directives"] = tls_directives(installation)
    values["user_directive"] = user_directive() if place.as_nobody else ""
    values["connections"] = str(CONNECTIONS)
    values["open_files"] = str(CONNECTIONS * 2)
    return Template(TEMPLATE.read_text()).substitute(values)


def _server(name: str, port: int, place: Place) -> str:
    """A process that moves is looked up again and again, which nginx does only for an upstream in shared memory."""
    host = place.hosts.get(name, "127.0.0.1")
    return f"zone {name} 64k; server {host}:{port} resolve" if place.resolver else f"server {host}:{port}"


def tls_directives(installation: Installation) -> str:
    """https beside http where there is a certificate. Its fingerprint is told, so that a new one is a new text."""
    if not tls.present(installation):
        return ""
    found = tls.paths(installation)
    fingerprint = tls.certificate(installation).fingerprint(hashes.SHA256()).hex()
    return f"""\
        # Certificate {fingerprint}
        listen 127.0.0.1:{installation.environment.ports["gateway_tls"]} ssl;
        ssl_certificate "{found.certificate}";
        ssl_certificate_key "{found.key}";
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_cache shared:tls:1m;
        ssl_session_tickets off;
"""


def prepare(installation: Installation) -> None:
    """Makes nginx's folder, which holds all its temporary paths, and writes its configuration."""
    directory = installation.var / "nginx"
    directory.mkdir(exist_ok=True)
    (directory / "nginx.conf").write_text(render(installation))


def problem(kind: str, status: int, title: str, detail: str) -> str:
    """Problem details (RFC 9457) as an nginx string in single quotes; the request's id stands for the trace's."""
    body = {"type": f"urn:rookery:problem:{kind}", "title": title, "status": status, "detail": detail, "errors": []}
    return json.dumps(body | {"trace_id": "$request_id"}).replace("\\", "\\\\").replace("'", "\\'")


def user_directive() -> str:
    """Where this is root, the workers that read requests are nobody; otherwise nginx ignores users."""
    if os.geteuid() != 0:
        return ""
    group = grp.getgrgid(pwd.getpwnam(UNPRIVILEGED_USER).pw_gid).gr_name
    return f"user {UNPRIVILEGED_USER} {group};\n"
