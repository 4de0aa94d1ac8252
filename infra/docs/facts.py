"""What the code says of events, commands, folds, tables and endpoints, brought together once."""

import inspect
import re
import types
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Union, get_args, get_origin, get_type_hints

from command_api.routing import HANDLERS
from infra.docs.endpoints import Endpoint, Endpoints
from infra.docs.folds import Effect, Fold
from infra.docs.sources import Place, Sources
from projectors.catalogue import PROJECTIONS
from projectors.runtime.changes import CountTable, Table
from projectors.runtime.prepare import DELIVERY_SQL
from projectors.runtime.projection import PostgresProjection, Projection
from schemas.catalogue import EventSchema, event_schemas, topics
from shared.environment import REPOSITORY


@dataclass(frozen=True)
class CommandFact:
    """A command: what it may answer with, and who can give it."""

    name: str
    path: str
    says: str  # the first line of its file
    events: tuple[str, ...]
    endpoints: tuple[Endpoint, ...]


class Facts:
    """Everything that the page says."""

    def __init__(self) -> None:
        self.events: dict[str, EventSchema] = event_schemas()
        self.topics: dict[str, dict[str, Any]] = topics()
        self.projections: tuple[Projection, ...] = PROJECTIONS
        self.endpoints = Endpoints()
        self.folds = {each.name: Fold(each, Sources(("projectors",))) for each in PROJECTIONS}
        self.effects: dict[str, dict[str, Effect]] = {name: fold.effects() for name, fold in self.folds.items()}

    @cached_property
    def commands(self) -> list[CommandFact]:
        return [self._command(command, handler.decide) for command, handler in HANDLERS.items()]

    def _command(self, command: type, decide: Any) -> CommandFact:
        module = inspect.getmodule(command)
        assert module is not None and module.__doc__ is not None
        return CommandFact(
            name=command.__name__,
            path=relative(inspect.getsourcefile(command) or ""),
            says=module.__doc__.strip().partition("\n")[0],
            events=tuple(name for name in _named_types(get_type_hints(decide)["return"]) if name in self.events),
            endpoints=tuple(self.endpoints.causing(Place(module.__name__, command.__name__))),
        )

    def causes(self, event: str) -> list[CommandFact]:
        return [each for each in self.commands if event in each.events]

    def tables(self, projection: Projection) -> list[Table | CountTable]:
        if not isinstance(projection, PostgresProjection):
            return []
        return [*projection.tables, *projection.count_tables]

    def told(self, projection: Projection, table: str, groups: Collection[str] = ()) -> list[str]:
        """Tables outside the schema that a projection's `effects` write when rows of `table` change.

        With `groups`, only if the effects ask for one of those groups.
        """
        effects = projection.effects if isinstance(projection, PostgresProjection) else ""
        if not re.search(rf"\bchanged_{table}\b", effects):
            return []
        if "delivery.tell(" in effects:
            effects += DELIVERY_SQL.read_text()
        own = {group for each in self.tables(projection) if each.name == table for group in getattr(each, "groups", ())}
        asked = own & set(re.findall(r"\b([a-z_]+)_changed\b", effects))
        if groups and asked and not asked & set(groups):
            return []
        return sorted(set(re.findall(r"\b(?:insert into|update|delete from) ([a-z_]+\.[a-z_]+)", effects)))

    @cached_property
    def readers(self) -> dict[str, list[Endpoint]]:
        """`schema.table` -> the endpoints whose statements name it, or a view of it."""
        names = [
            name
            for projection in self.projections
            for table in self.tables(projection)
            for name in (f"{projection.name}.{table.name}", *self.told(projection, table.name))
        ]
        names += [f"{each.name}.{noted}" for each in self.projections for noted in ("erased", "gone")]
        views = {
            f"{each.name}.{view}": [f"{each.name}.{table}" for table in seen]
            for each in self.projections
            for view, seen in self.views(each).items()
        }
        found = self.endpoints.reading([*names, *views])
        for view, seen in views.items():
            for table in seen:
                both = [*found[table], *found[view]]
                found[table] = [each for each in self.endpoints.all if each in both]
        return found

    def views(self, projection: Projection) -> dict[str, list[str]]:
        """The views in a projection's tables.sql, each with the tables it is of."""
        if not isinstance(projection, PostgresProjection):
            return {}
        declared = {each.name for each in self.tables(projection)}
        made = re.findall(r"create or replace view (\w+) as\b([^;]*);", projection.tables_sql.read_text())
        return {view: sorted(declared & set(re.findall(r"\bfrom (\w+)", query))) for view, query in made}

    def counts_of(self, projection: Projection, table: str) -> list[str]:
        """The count tables that a table's rows are counted into."""
        found = [each for each in self.tables(projection) if isinstance(each, Table) and each.name == table]
        return sorted({count.into for each in found for count in each.counts})


def relative(path: str) -> str:
    return path.removeprefix(f"{REPOSITORY}/")


def _named_types(hint: Any) -> Iterator[str]:
    """The names of a type, or of the members of a union or of a sequence of such."""
    if get_origin(hint) in (types.UnionType, Union, tuple, list):
        for each in get_args(hint):
            yield from _named_types(each)
    else:
        yield getattr(hint, "__name__", "")
