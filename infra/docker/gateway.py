"""Prints the gateway's nginx.conf for containers: the template of `rookery up`, with each process on a host of its own.

python -m infra.docker.gateway > nginx.conf
"""

import sys
from pathlib import Path

from infra.gateway.render import CHECKED, Place, render
from infra.local.installation import Installation
from shared.environment import load

DOCKER_RESOLVER = "127.0.0.11"  # a container that was made anew has another address


def configuration() -> str:
    """nginx.conf, with the ports of PORT_OFFSETS and without a certificate: TLS ends in front of this container."""
    nowhere = Path("/nonexistent")
    installation = Installation(load({"ROOKERY_VAR": str(nowhere)}), nowhere)
    hosts = {name: name for name in CHECKED}
    return render(installation, Place(listen="0.0.0.0", hosts=hosts, resolver=DOCKER_RESOLVER, as_nobody=False))


if __name__ == "__main__":
    sys.stdout.write(configuration())
