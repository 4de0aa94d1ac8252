"""Follows names through source files: what a function can come to use, without running or importing it.

Names are resolved as Python would resolve them at a module's top level: definitions, imports, attributes of imported
modules, `self` and `super()` within a class. What is reached only through a value (a callback kept in an attribute, a
method of an object that a parameter brings) is not followed, but for a class: to name it is to reach all its methods.
"""

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from shared.environment import REPOSITORY

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Place(NamedTuple):
    """A definition: the module's dotted name, and `name` or `Class.method`."""

    module: str
    name: str


@dataclass
class Module:
    """One file: what it defines at its top level and in its classes, and what its imports bind."""

    name: str
    path: Path
    tree: ast.Module
    definitions: dict[str, Definition] = field(default_factory=dict)
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)  # bound name -> (module, name in it or "")


class Sources:
    """The modules of some packages."""

    def __init__(self, packages: Iterable[str]) -> None:
        self.modules: dict[str, Module] = {}
        for package in packages:
            for path in sorted((REPOSITORY / package).rglob("*.py")):
                parts = path.relative_to(REPOSITORY).with_suffix("").parts
                name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
                self.modules[name] = _read(name, path)

    def node(self, place: Place) -> Definition:
        return self.modules[place.module].definitions[place.name]

    def resolve(self, module: Module, node: ast.expr, owner: str = "") -> Place | None:
        """What a name or an attribute stands for, where that is a definition of these modules."""
        if isinstance(node, ast.Name):
            return self._named(module, node.id)
        if not isinstance(node, ast.Attribute):
            return None
        if isinstance(node.value, ast.Name):
            if node.value.id in ("self", "cls") and owner:
                return self.member(Place(module.name, owner), node.attr)
            bound = module.imports.get(node.value.id)
            if bound is not None:
                target = f"{bound[0]}.{bound[1]}" if bound[1] else bound[0]
                if target in self.modules:
                    return self._named(self.modules[target], node.attr)
        if isinstance(node.value, ast.Call) and getattr(node.value.func, "id", "") == "super" and owner:
            for base in self.bases(Place(module.name, owner)):
                if found := self.member(base, node.attr):
                    return found
        return None

    def bases(self, place: Place) -> Iterator[Place]:
        """The classes among these modules that a class is derived from directly."""
        node = self.node(place)
        if isinstance(node, ast.ClassDef):
            for base in node.bases:
                found = self.resolve(self.modules[place.module], base)
                if found is not None:
                    yield found

    def member(self, place: Place, name: str) -> Place | None:
        """The method of a class or of the nearest class it is derived from."""
        if f"{place.name}.{name}" in self.modules[place.module].definitions:
            return Place(place.module, f"{place.name}.{name}")
        for base in self.bases(place):
            if found := self.member(base, name):
                return found
        return None

    def reach(self, start: Iterable[Place], enter: Callable[[Place], bool] = lambda place: True) -> set[Place]:
        """The places themselves and everything that they name, however indirectly; only what `enter` lets in."""
        open_places, reached = list(start), set[Place]()
        while open_places:
            place = open_places.pop()
            if place in reached or not enter(place):
                continue
            reached.add(place)
            open_places += self._named_in(place)
        return reached

    def texts(self, place: Place) -> Iterator[str]:
        """The strings of a definition, but for docstrings."""
        node = self.node(place)
        described = {id(each.value) for each in ast.walk(node) if isinstance(each, ast.Expr)}
        for each in ast.walk(node):
            if isinstance(each, ast.Constant) and isinstance(each.value, str) and id(each) not in described:
                yield each.value

    def _named(self, module: Module, name: str) -> Place | None:
        if name in module.definitions:
            return Place(module.name, name)
        bound = module.imports.get(name)
        if bound is None or bound[0] not in self.modules or not bound[1]:
            return None
        return self._named(self.modules[bound[0]], bound[1])

    def _named_in(self, place: Place) -> Iterator[Place]:
        module, node = self.modules[place.module], self.node(place)
        owner = place.name if isinstance(node, ast.ClassDef) else place.name.rpartition(".")[0]
        for each in walk_code(node):
            if isinstance(each, ast.Name | ast.Attribute):
                found = self.resolve(module, each, owner)
                if found is not None:
                    yield found


def walk_code(node: ast.AST) -> Iterator[ast.AST]:
    """As ast.walk, without annotations and decorators: what is run, not what is said of it."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from walk_code(child)


def _read(name: str, path: Path) -> Module:
    module = Module(name, path, ast.parse(path.read_text(), filename=str(path)))
    for node in module.tree.body:
        if isinstance(node, ast.ClassDef):
            module.definitions |= {
                f"{node.name}.{each.name}": each for each in node.body if isinstance(each, FUNCTIONS)
            }
        for defined in _names_of(node):
            assert isinstance(node, Definition)
            module.definitions[defined] = node
    for each in ast.walk(module.tree):
        if isinstance(each, ast.ImportFrom) and each.module:
            module.imports |= {alias.asname or alias.name: (each.module, alias.name) for alias in each.names}
        elif isinstance(each, ast.Import):
            module.imports |= {alias.asname: (alias.name, "") for alias in each.names if alias.asname}
    return module


def _names_of(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [each.id for target in node.targets for each in ast.walk(target) if isinstance(each, ast.Name)]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    return []
