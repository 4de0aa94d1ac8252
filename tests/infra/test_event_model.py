"""Claim: docs/event-model.md says what the code does.

Oracle: the folds themselves, run on every example event; Django's own routes, read in a process for each API; and a few
facts that are known without reading code. Cannot catch: an endpoint that comes to a table by a name which is put
together while it runs.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from infra.docs.event_model import PAGE, render
from infra.docs.facts import Facts
from infra.docs.folds import Effect
from projectors.runtime.projection import PostgresProjection
from shared.environment import REPOSITORY
from tests.schemas.events import EXAMPLES, event_in, example_name

ROUTES = """
import django, os
django.setup()
from importlib import import_module
from django.conf import settings
from rest_framework.views import APIView
methods = ("get", "post", "put", "patch", "delete")
for pattern in import_module(settings.ROOT_URLCONF).urlpatterns:
    view = getattr(pattern.callback, "view_class", getattr(pattern.callback, "cls", None))
    if view is not None:
        for method in methods:
            handler = getattr(view, method, None)
            if handler is not None and handler.__module__.startswith(("command_api", "query_api")):
                print(method.upper(), handler.__module__, handler.__qualname__)
"""


@pytest.fixture(scope="module")
def facts() -> Facts:
    return Facts()


def test_the_page_is_what_the_code_says(facts: Facts) -> None:
    assert PAGE.read_text() == render(facts), "python -m infra.docs.event_model writes it anew"


@pytest.mark.parametrize("path", EXAMPLES, ids=example_name)
def test_a_fold_writes_what_the_page_says_of_the_event(facts: Facts, path: Path) -> None:
    event = event_in(path)
    for projection in facts.projections:
        if not isinstance(projection, PostgresProjection):
            continue
        said = facts.effects[projection.name].get(type(event).__name__, Effect())
        done = projection.fold([event])
        assert (bool(done.erased), bool(done.gone)) == (said.erases, said.removes)
        for table, rows in done.rows.items():
            groups = {group for row in rows.values() for group in row}
            assert groups <= said.groups[table], f"{projection.name}.{table} is written in ways the page does not tell"
        if said.nothing:
            assert not done.rows


def test_every_event_is_answered_or_passed_by_every_fold(facts: Facts) -> None:
    for effects in facts.effects.values():
        assert effects.keys() == facts.events.keys()


@pytest.mark.parametrize("settings", ["command_api.settings.base", "query_api.settings"])
def test_every_route_of_django_is_an_endpoint(facts: Facts, settings: str) -> None:
    command = [sys.executable, "-c", ROUTES]
    variables = {"DJANGO_SETTINGS_MODULE": settings, "PATH": "/usr/bin:/bin"}
    printed = subprocess.run(command, cwd=REPOSITORY, env=variables, capture_output=True, text=True, check=True).stdout
    known = {(each.method, each.place.module, each.place.name) for each in facts.endpoints.all}
    routes = {tuple(line.split(" ")) for line in printed.splitlines()}
    assert routes
    assert routes <= known


def test_what_is_known_without_reading_code(facts: Facts) -> None:
    like = next(each for each in facts.commands if each.name == "LikePost")
    assert like.events == ("PostLiked",)
    assert [each.title for each in like.endpoints] == ["POST /api/v1/posts/{post_id}/like/"]
    readers = {each.title for each in facts.readers["counters.affinity"]}
    assert "GET /api/v1/feed/home/" in readers
    assert "GET /api/v1/posts/{post_id}/" not in readers
    assert "WS /ws/notifications/" in {each.title for each in facts.readers["delivery.frame"]}


def test_every_table_is_read_or_counted(facts: Facts) -> None:
    for projection in facts.projections:
        for each in facts.tables(projection):
            used = facts.readers[f"{projection.name}.{each.name}"] or facts.counts_of(projection, each.name)
            assert used, f"nobody reads {projection.name}.{each.name}: name it in a query, or leave it out"
