"""Writes the gateway's nginx.conf for one installation: its ports, and errors as problem details."""

import grp
import json
import os
import pwd
from pathlib import Path
from string import Template

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


def render(installation: Installation) -> str:
    """nginx.conf. Raises KeyError when the template names something that is not known here."""
    values = {name: str(port) for name, port in installation.environment.ports.items()}
    values |= {name: problem(*fields) for name, fields in PROBLEMS.items()}
    for name, title in CHECKED.items():
        values[f"unhealthy_{name}"] = problem(
            "unhealthy", 503, "Unhealthy", f"The {title} says that it is not healthy."
        )
    values["user_directive"] = user_directive()
    values["connections"] = str(CONNECTIONS)
    values["open_files"] = str(CONNECTIONS * 2)
    return Template(TEMPLATE.read_text()).substitute(values)


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
