"""`rookery tls`: the gateway serves https, by a certificate of this installation's own authority, beside http."""

from typing import Annotated

import typer
from rich.markup import escape

from infra.cli.output import say, screen
from infra.local import installation as installations
from infra.local import tls as certificates
from infra.local.lifecycle import up as bring_up
from infra.local.supervision import Supervisor


def tls(
    host: Annotated[list[str] | None, typer.Option(help="Another name or address that it is good for.")] = None,
    days: Annotated[int, typer.Option(min=1, max=certificates.CERTIFICATE_DAYS)] = certificates.CERTIFICATE_DAYS,
    off: Annotated[bool, typer.Option("--off", help="Remove the certificate: http alone.")] = False,
) -> None:
    """Make a local certificate and serve https with it; a running gateway does so at once."""
    installation = installations.current()
    if off:
        certificates.remove(installation)
        say("certificate removed")
    else:
        names = certificates.make(installation, host or (), days)
        say(f"certificate for {escape(', '.join(names))}, good for {days} days")
    if Supervisor(installation).running():
        bring_up(installation, lambda line: say(escape(line)))
    if not off:
        authority = certificates.paths(installation).authority
        screen.print(f"{installation.environment.gateway_tls_url}  trusted by whom trusts {authority}", soft_wrap=True)
        screen.print(f"curl --cacert {authority} {installation.environment.gateway_tls_url}/healthz", soft_wrap=True)
