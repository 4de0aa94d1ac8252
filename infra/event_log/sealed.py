"""Sealed text is opened only by whoever has the keys' role and the master key, for a reason, and leaves a record.

The record is a row in the vault's table `disclosure`, committed before the first text is opened, and a second one with
the numbers when it is over. The role that reads the keys may add to that table, and neither read, change nor delete it.
"""

import getpass
import os
import socket
from collections.abc import Iterable
from types import TracebackType
from typing import Any
from uuid import UUID

import psycopg
from cryptography.exceptions import InvalidTag
from psycopg.types.json import Jsonb

from infra.event_log.failures import BadArgument, NotAllowed
from infra.local.failures import LocalError
from projectors.runtime.reading import SubjectKeys
from shared import clock
from shared.crypto import KeyRing, unwrap
from shared.environment import Environment
from shared.ids import mint

MASTER_KEY_BYTES = 32
CONNECT_SECONDS = 3
REASON_CHARACTERS_MIN, REASON_CHARACTERS_MAX = 8, 1_000
# What a server says to somebody whom it does not let in; libpq gives no code for it.
TURNED_AWAY = ("authentication failed", "permission denied", "no pg_hba.conf entry", "does not exist", "no password")


class Disclosure:
    """The opening of sealed text in one command. Used as `with`; entering it raises NotAllowed without the right."""

    def __init__(self, environment: Environment, reason: str, asked: dict[str, object]) -> None:
        """`asked` says which records, for the row. Raises BadArgument where the reason is none."""
        self.reason = reason.strip()
        if not REASON_CHARACTERS_MIN <= len(self.reason) <= REASON_CHARACTERS_MAX:
            raise BadArgument(
                f"--decrypt needs --reason: why these texts are read, in {REASON_CHARACTERS_MIN} to"
                f" {REASON_CHARACTERS_MAX:,} characters; it is kept"
            )
        self.disclosure_id = mint(clock.now())
        self.texts = 0
        self._asked = asked
        self._url = environment.keys_database_url
        self._master_key = _master_key(environment)
        self._ring = KeyRing(self._master_key, SubjectKeys(self._url).fetch)

    def __enter__(self) -> "Disclosure":
        try:
            with psycopg.connect(self._url, autocommit=True, connect_timeout=CONNECT_SECONDS) as connection:
                row = connection.execute("select subject_id, wrapped from subject_key limit 1").fetchone()
                if row is not None:
                    unwrap(self._master_key, row[0], bytes(row[1]))
        except InvalidTag:
            raise NotAllowed(WRONG_MASTER_KEY) from None
        except psycopg.Error as error:
            raise _refused(error) from error
        self._note("begun", None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._note("ended", self.texts)

    def load(self, subjects: Iterable[UUID]) -> None:
        """Fetches the keys of these people in one query, so that `open` asks nobody."""
        try:
            self._ring.load(subjects)
        except InvalidTag:
            pass  # one key among them is wrapped otherwise; `open` says so where it is needed
        except psycopg.Error as error:
            raise _refused(error) from error

    def open(self, subject_id: UUID, event_name: str, field: str, event_id: UUID, sealed: bytes) -> str | None:
        """The text, or None when the key is destroyed. Raises ValueError where it does not open with its key."""
        try:
            text = self._ring.unseal(subject_id, event_name, field, event_id, sealed)
        except InvalidTag:
            raise ValueError("its subject's key does not open with the master key") from None
        self.texts += text is not None
        return text

    def _note(self, phase: str, texts: int | None) -> None:
        try:
            with psycopg.connect(self._url, connect_timeout=CONNECT_SECONDS) as connection:
                # The role reads only, by default; this one table it may add to.
                connection.execute("set transaction read write")
                connection.execute(
                    """insert into disclosure (disclosure_id, phase, os_user, host, reason, asked, texts)
                       values (%s, %s, %s, %s, %s, %s, %s)""",
                    (self.disclosure_id, phase, _who(), socket.gethostname(), self.reason, Jsonb(self._asked), texts),
                )
        except psycopg.errors.UndefinedTable as error:
            raise LocalError("the vault has no table `disclosure` yet: `rookery up` makes it") from error
        except psycopg.Error as error:
            raise _refused(error) from error


WRONG_MASTER_KEY = "the master key is not the one that wraps these subjects' keys (ROOKERY_MASTER_KEY)"


def _master_key(environment: Environment) -> bytes:
    try:
        key = bytes.fromhex(environment.secrets["master_key"])
    except ValueError:
        key = b""
    if len(key) != MASTER_KEY_BYTES:
        raise NotAllowed("sealed text is not opened here: there is no master key (ROOKERY_MASTER_KEY, or var/secrets)")
    return key


def _who() -> str:
    """The account of the operating system, and whose it was before sudo."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = str(os.getuid())
    before = os.environ.get("SUDO_USER")
    return f"{name} (sudo by {before})" if before else name


def _refused(error: psycopg.Error) -> Exception:
    said: Any = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    if isinstance(error, psycopg.errors.InsufficientPrivilege) or any(words in str(error) for words in TURNED_AWAY):
        return NotAllowed(f"sealed text is not opened here: the keys' database refuses this role ({said})")
    return LocalError(f"the keys' database (KEYS_DATABASE_URL): {said}")
