"""What each fold does with each event: the rows it sets, by table and group, read from its `case` clauses."""

import ast
import dataclasses
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import get_type_hints

from infra.docs.sources import Definition, Module, Place, Sources, walk_code
from projectors.runtime.changes import Changes, Table
from projectors.runtime.projection import PostgresProjection, Projection


@dataclass
class Effect:
    """What one event does in one projection; empty when its fold lets the event pass."""

    groups: dict[str, set[str]] = field(default_factory=dict)  # table -> groups of columns
    marks: set[str] = field(default_factory=set)  # fields of the fold's own kind of changes, as the feed has one
    erases: bool = False
    removes: bool = False

    @property
    def nothing(self) -> bool:
        return not (self.groups or self.marks or self.erases or self.removes)


class Fold:
    """The fold of one projection, as its file says it."""

    def __init__(self, projection: Projection, sources: Sources) -> None:
        self.projection = projection
        module = inspect.getmodule(projection.fold)
        assert module is not None
        self.module: Module = sources.modules[module.__name__]
        self._sources = sources
        self._tables = (
            {name: value for name, value in vars(module).items() if isinstance(value, Table)}
            if isinstance(projection, PostgresProjection)
            else {}
        )
        kind = get_type_hints(projection.fold)["return"]
        self.marks = _described_fields(kind) if kind is not Changes else {}

    def effects(self) -> dict[str, Effect]:
        """By event; every event that the fold's `match` names."""
        found: dict[str, Effect] = {}
        for match in self._matches():
            for case in match.cases:
                for event in _classes(case.pattern):
                    self._add(case.body, found.setdefault(event, Effect()))
        return found

    def _matches(self) -> Iterator[ast.Match]:
        fold = self.module.definitions[self.projection.fold.__name__]
        return (node for node in ast.walk(fold) if isinstance(node, ast.Match))

    def _add(self, body: list[ast.stmt], effect: Effect) -> None:
        named = [
            place
            for statement in body
            for node in walk_code(statement)
            if isinstance(node, ast.Name | ast.Attribute)
            for place in [self._sources.resolve(self.module, node)]
            if place is not None and place.module == self.module.name
        ]
        functions = {
            place
            for place in self._sources.reach(named, lambda place: place.module == self.module.name)
            if isinstance(self._sources.node(place), ast.FunctionDef)
        }
        for code in (*body, *(self._sources.node(place) for place in sorted(functions))):
            for node in walk_code(code):
                if isinstance(node, ast.Attribute) and node.attr in self.marks:
                    effect.marks.add(node.attr)
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    self._call(node, node.func.attr, code, effect, named)

    def _call(
        self, call: ast.Call, method: str, code: ast.stmt | Definition, effect: Effect, named: list[Place]
    ) -> None:
        if method == "erase":
            effect.erases = True
        elif method == "remove":
            effect.removes = True
        elif method == "set" and len(call.args) >= 4:
            # A table that a parameter brings is one of those which the clause names.
            given = getattr(call.args[0], "id", "")
            tables = [given] if given in self._tables else [place.name for place in named if place.name in self._tables]
            for name in tables:
                table = self._tables[name]
                effect.groups.setdefault(table.name, set()).update(_groups(call.args[2], code, table))


def _groups(argument: ast.expr, code: ast.AST, table: Table) -> set[str]:
    """The group that is named, or all that the function names where it takes them from a variable."""
    if isinstance(argument, ast.Constant):
        return {str(argument.value)}
    strings = {node.value for node in ast.walk(code) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return strings & table.groups.keys() or set(table.groups)


def _classes(pattern: ast.pattern) -> Iterator[str]:
    for node in ast.walk(pattern):
        if isinstance(node, ast.MatchClass) and isinstance(node.cls, ast.Name):
            yield node.cls.id


def _described_fields(kind: type) -> dict[str, str]:
    """The fields of a dataclass, each with the comment beside it."""
    lines = inspect.getsource(kind).splitlines()
    found = {}
    for each in dataclasses.fields(kind):
        line = next((line for line in lines if re.match(rf"\s+{each.name}:", line)), "")
        found[each.name] = line.partition("# ")[2].strip()
    return found
