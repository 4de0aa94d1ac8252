"""A command about the log ends with one line that says what was wrong: status 2 for what was asked, 1 for a server."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.markup import escape

from infra.cli.output import say
from infra.event_log.failures import BadArgument, NotAllowed
from infra.local.failures import LocalError

REFUSED = 2
INTERRUPTED = 130
READER_GONE = 141  # as the shell shows a program that wrote into a closed pipe


@contextmanager
def one_line() -> Iterator[None]:
    """Turns what servers' clients raise into errors an operator can act on; raises LocalError and typer.Exit alone."""
    from infra.cli.trouble import KAFKA, POSTGRES, REGISTRY

    try:
        yield
    except (BadArgument, NotAllowed) as error:
        say(f"[bold red]error[/] {escape(str(error))}")
        raise typer.Exit(REFUSED) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        # What is still buffered has nowhere to go either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(READER_GONE) from None
    except KAFKA as error:
        raise LocalError(f"Kafka: {_first_line(error)}: is it up (`rookery status`)?") from error
    except REGISTRY as error:
        raise LocalError(f"schema registry: {_first_line(error)}: is it up (`rookery status`)?") from error
    except POSTGRES as error:
        raise LocalError(f"PostgreSQL: {_first_line(error)}: is it up (`rookery status`)?") from error
    except OSError as error:
        raise LocalError(str(error)) from error


def _first_line(error: Exception) -> str:
    said: Any = error.args[0] if error.args else None
    text: str = said.str() if hasattr(said, "str") else str(error)
    return (text.strip().splitlines() or [type(error).__name__])[0]
