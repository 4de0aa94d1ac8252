"""The addresses of both APIs, each with the commands it can carry out or the tables it can read, by following names."""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from infra.docs.sources import Module, Place, Sources

HTTP_METHODS = ("get", "post", "put", "patch", "delete")
ROUTES = ("path", "re_path")
# One way for every command and every read: past these, each would lead to all.
SHARED_WAYS = {"command_api.routing", "command_api.dispatch"}
# What readers of a projection in Redis use.
STORES = {"feed": Place("shared.feed_store", "FeedStore"), "trends": Place("shared.trend_store", "TrendStore")}


@dataclass(frozen=True, order=True)
class Endpoint:
    """`GET /api/v1/posts/`, and the definition that answers it."""

    address: str
    method: str
    place: Place

    @property
    def title(self) -> str:
        return f"{self.method} {self.address}"


class Endpoints:
    """What can be asked of the two APIs."""

    def __init__(self) -> None:
        self.sources = Sources(("command_api", "query_api", "shared"))
        self.all = sorted(
            endpoint
            for name in ("command_api.urls", "query_api.urls", "query_api.asgi")
            for endpoint in self._routes(self.sources.modules[name])
        )

    def causing(self, command: Place) -> list[Endpoint]:
        """Those that can carry out a command."""
        return [each for each in self.all if command in self._reached(each)]

    def reading(self, tables: Iterable[str]) -> dict[str, list[Endpoint]]:
        """By table, `schema.name`: those whose statements name it."""
        found: dict[str, list[Endpoint]] = {table: [] for table in tables}
        for endpoint in self.all:
            named = {
                match
                for place in self._reached(endpoint)
                if place.module.startswith("query_api.")
                for text in self.sources.texts(place)
                for match in re.findall(r"\b[a-z_]+\.[a-z_]+\b", text)
            }
            for table in named & found.keys():
                found[table].append(endpoint)
        return found

    def reading_redis(self, projection: str) -> list[Endpoint]:
        """Those that use what a projection keeps in Redis."""
        return [each for each in self.all if STORES[projection] in self._reached(each)]

    def _reached(self, endpoint: Endpoint) -> set[Place]:
        return self.sources.reach([endpoint.place], lambda place: place.module not in SHARED_WAYS)

    def _routes(self, module: Module) -> Iterator[Endpoint]:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ROUTES and len(node.args) >= 2:
                address = "/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", _text(module, node.args[0]))
                answering = node.args[1]
                is_view = isinstance(answering, ast.Call) and isinstance(answering.func, ast.Attribute)
                if is_view and answering.func.attr in ("as_view", "as_asgi"):  # type: ignore[attr-defined]
                    view = self.sources.resolve(module, answering.func.value)  # type: ignore[attr-defined]
                    if view is not None and answering.func.attr == "as_asgi":  # type: ignore[attr-defined]
                        yield Endpoint(address, "WS", view)
                    elif view is not None:
                        yield from self._methods(address, view)

    def _methods(self, address: str, view: Place) -> Iterator[Endpoint]:
        for method in HTTP_METHODS:
            if place := self.sources.member(view, method):
                yield Endpoint(address, method.upper(), place)


def _text(module: Module, node: ast.expr) -> str:
    """A string literal, or a sum of such and of the module's constants."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.BinOp):
        return _text(module, node.left) + _text(module, node.right)
    if isinstance(node, ast.Name):
        defined = module.definitions[node.id]
        if isinstance(defined, ast.Assign):
            return _text(module, defined.value)
    raise ValueError(f"{module.path}:{node.lineno}: an address is a string, or a sum of strings and constants")
