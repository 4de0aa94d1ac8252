"""One command's reading of the log: what was asked for in words becomes offsets, a filter, and texts with the right."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from uuid import UUID

import psycopg

from infra.event_log import one
from infra.event_log.cloudevents import CloudEvents
from infra.event_log.failures import BadArgument
from infra.event_log.filters import Filter, moment
from infra.event_log.scan import LogScan, Record, Span
from infra.event_log.sealed import Disclosure
from infra.event_log.written import NO_EVENTS, WrittenSchemas
from projectors.runtime.stores.port import Partition
from schemas.catalogue import event_schemas, topics
from shared import clock
from shared.environment import Environment, environment

CONNECT_SECONDS = 3


@dataclass(frozen=True)
class Wanted:
    """What was asked for, in the words of whoever asked."""

    topics: Sequence[str] = ()
    types: Sequence[str] = ()
    subject: str = ""
    since: str = ""
    until: str = ""
    from_offsets: Sequence[str] = ()
    after: Path | None = None


@dataclass
class Reading:
    """Everything a command needs; `spans` asks the broker once."""

    scan: LogScan
    asked: Filter
    schemas: WrittenSchemas
    events: CloudEvents
    begins: dict[Partition, int]
    _spans: list[Span] | None = field(default=None, init=False)

    def select(self, portion: Sequence[Record]) -> list[Record]:
        """Those of a portion that are asked for. Raises where the registry does not answer."""
        return self.asked.select(portion, self.schemas.type_of)

    def spans(self) -> list[Span]:
        """Where to read. Raises BadArgument for an offset to begin at that the log does not have."""
        if self._spans is None:
            found = self.scan.spans(self.asked.topics, self.asked.since, self.asked.until)
            self._spans = [self._begun(span) for span in found]
            left = self.begins.keys() - {span.partition for span in found}
            if left:
                places = ", ".join(map(one.named, sorted(left)))
                raise BadArgument(f"an offset to begin at is in no partition that is read: {places}")
        return self._spans

    def _begun(self, span: Span) -> Span:
        offset = self.begins.get(span.partition)
        if offset is None:
            return span
        bounds = self.scan.bounds(span.partition)
        if offset > bounds.end:
            raise BadArgument(f"{one.named(span.partition)} ends at {bounds.end}, before {offset}")
        return span._replace(start=min(max(span.start, offset), max(span.end, span.start)))


@contextmanager
def reading(wanted: Wanted, command: str, decrypt: bool = False, reason: str = "", to: str = "") -> Iterator[Reading]:
    """What is asked for, ready to be read. Raises BadArgument, NotAllowed and what clients of servers raise."""
    env = environment()
    if reason and not decrypt:
        raise BadArgument("--reason says why text is opened: it goes with --decrypt")
    with ExitStack() as stack:
        scan = stack.enter_context(LogScan(env))
        asked = _filter(wanted, scan, env)
        begins = _begins(wanted, env.topic_prefix)
        schemas = WrittenSchemas(env.schema_registry_url)
        opener = None
        if decrypt:
            described = {"command": command, **asked.described(), "to": to}
            opener = stack.enter_context(Disclosure(env, reason, described))
        yield Reading(scan, asked, schemas, CloudEvents(schemas, opener), begins)


def _filter(wanted: Wanted, scan: LogScan, env: Environment) -> Filter:
    now = clock.now()
    types = frozenset(_type(name) for name in wanted.types)
    since = moment(wanted.since, now, "--since") if wanted.since else None
    until = moment(wanted.until, now, "--until") if wanted.until else None
    if since is not None and until is not None and since >= until:
        raise BadArgument("--since is not before --until: nothing lies between them")
    known = event_schemas()
    asked = wanted.topics
    if types and not asked and types <= known.keys():
        of_types = {known[name].topic for name in types}
        asked = [name for name in topics() if name in of_types]
    return Filter(scan.topics(asked), types, _subject(wanted.subject, env), since, until)


def _type(name: str) -> str:
    """A type's short name. A full one is taken as it is, since the log may have types that are not known here."""
    known = [*event_schemas(), *NO_EVENTS]
    short = name.rpartition(".")[2]
    if short in known or "." in name:
        return short
    close = get_close_matches(name, known, 1, 0.5)
    raise BadArgument(f"there is no type {name!r}" + (f": is it {close[0]}?" if close else ""))


def _subject(given: str, env: Environment) -> UUID | None:
    if not given:
        return None
    try:
        return UUID(given)
    except ValueError:
        pass
    with psycopg.connect(env.query_database_url, autocommit=True, connect_timeout=CONNECT_SECONDS) as connection:
        row = connection.execute(
            "select user_id from profiles.person where username = %s", (given.removeprefix("@").lower(),)
        ).fetchone()
    if row is None:
        raise BadArgument(f"nobody is called {given!r}: --subject is a user id, or a username that a profile has")
    found: UUID = row[0]
    return found


def _begins(wanted: Wanted, prefix: str) -> dict[Partition, int]:
    """The offsets to begin at: where an earlier export ended, and those given one by one, which go before."""
    found = {} if wanted.after is None else _following(wanted.after)
    for text in wanted.from_offsets:
        place = one.place(text)
        if place is None:
            raise BadArgument(f"--from-offset is TOPIC:PARTITION:OFFSET, not {text!r}")
        topic = place.partition.topic.removeprefix(prefix)
        found[place.partition._replace(topic=topic)] = place.offset
    return found


def _following(path: Path) -> dict[Partition, int]:
    wrong = BadArgument(f"--after: {path} is not what `rookery events export --json` answered")
    try:
        following = json.loads(path.read_text())["following"]
        found = [one.place(f"{name}:{offset}") for name, offset in following.items()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise wrong from None
    if None in found:
        raise wrong
    return {each.partition: each.offset for each in found if each is not None}
