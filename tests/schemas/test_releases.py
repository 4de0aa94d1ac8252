"""What is released stays: appended under the next number when it fits, refused with the reason when not, never changed.

Claim: `release` appends and writes nothing when anything is refused; a changed, missing, unnumbered or unread released
file is told; a retired event is read for ever, cannot be written, and is marked in what is generated.
Oracle: a copy of the small catalogue in tests/schemas/evolution, changed file by file. Cannot catch: digests and files
changed together, which the history of the repository shows (test_golden.py).
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from infra.cli.main import application
from schemas import generate
from schemas.catalogue import event_schemas, read_schemas
from schemas.codec import NotWritten
from schemas.releases import Refused, problems, release
from tests.schemas.corpus import corpora
from tests.schemas.evolution.contract import FOLDER
from tests.schemas.evolution.types import PostDisliked, PostHearted
from tests.schemas.evolution.upcasters import UPCASTERS

RATED = Path("engagement/post_rated")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the small catalogue's schemas, in order."""
    for name in ("events", "retired", "released"):
        shutil.copytree(FOLDER / name, tmp_path / name)
    return tmp_path


def rules(folder: Path, **given: Any) -> set[tuple[str, str]]:
    return {(each.event, each.refusal.rule) for each in problems(folder, **{"upcasters": (), **given})}


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def add_field(folder: Path, **field: Any) -> None:
    path = folder / "events" / RATED.with_suffix(".avsc")
    fields = json.loads(path.read_text())["fields"]
    change(path, fields=[*fields, {"name": "pages", "type": "long", "doc": "How many.", **field}])


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_product_and_the_small_catalogue_are_in_order(folder: Path) -> None:
    assert problems() == []
    assert problems(FOLDER, UPCASTERS) == problems(folder, ()) == []


def test_the_next_version_is_appended_and_nothing_else_changes(folder: Path) -> None:
    add_field(folder, default=0)
    assert rules(folder) == {("PostRated", "released")}
    before = files(folder)
    (path,) = release(["PostRated", "PostHearted"], folder)
    assert path == folder / "released" / RATED / "0004.avsc"
    assert json.loads(path.read_text()) == read_schemas(folder)["PostRated"].avro
    after = files(folder)
    assert {each for each in after if after[each] != before.get(each)} == {path, folder / "released" / "digests.txt"}
    assert rules(folder) == set()
    assert release(["PostRated"], folder) == []


def test_nothing_is_written_when_one_is_refused(folder: Path) -> None:
    add_field(folder)
    before = files(folder)
    with pytest.raises(Refused, match=r"PostRated: pages: .*without a default"):
        release(["PostRated"], folder)
    assert files(folder) == before
    assert ("PostRated", "backward") in rules(folder)
    assert release(["PostHearted"], folder) == [], "what is wrong with another event stops nobody"


@pytest.mark.parametrize(
    ("break_it", "event", "says"),
    [
        (lambda released: change(released / RATED / "0001.avsc", doc="Other words."), f"{RATED}/0001.avsc", "changed"),
        (lambda released: (released / RATED / "0001.avsc").unlink(), f"{RATED}/0001.avsc", "is gone"),
        (lambda released: (released / RATED / "0002.avsc").rename(released / RATED / "0007.avsc"), str(RATED), "gaps"),
        (
            lambda released: shutil.copy(released / RATED / "0003.avsc", released / RATED / "0004.avsc"),
            f"{RATED}/0004.avsc",
            "is not in digests.txt",
        ),
        (
            lambda released: (released.parent / "retired/engagement/post_hearted.avsc").unlink(),
            "engagement/post_hearted",
            "read no more",
        ),
    ],
    ids=["changed", "removed", "renumbered", "put there by hand", "its event no longer read"],
)
def test_what_was_released_is_kept_for_ever(folder: Path, break_it: Any, event: str, says: str) -> None:
    break_it(folder / "released")
    found = [each for each in problems(folder, ()) if each.refusal.rule == "kept for ever" and each.event == event]
    assert found and any(says in each.refusal.reason for each in found), problems(folder, ())
    with pytest.raises(Refused):
        release(["PostRated"], folder)


def test_a_retired_schema_stays_as_it_was(folder: Path) -> None:
    path = folder / "retired" / "engagement" / "post_hearted.avsc"
    change(path, doc="Other words.")
    assert rules(folder) == {("PostHearted", "retired")}


def test_an_event_is_retired_by_moving_its_file(folder: Path) -> None:
    (folder / "events" / "engagement" / "post_rated.avsc").rename(folder / "retired" / "engagement" / "post_rated.avsc")
    assert rules(folder) == set()
    schemas = read_schemas(folder)
    assert schemas["PostRated"].retired
    marked = generate.struct(schemas["PostRated"])
    assert "Retired: read for ever, written no more." in marked
    assert "Retired" not in generate.struct(read_schemas(FOLDER)["PostRated"])


def test_the_small_catalogues_types_are_generated() -> None:
    assert (FOLDER / "types.py").read_text() == generate.source(read_schemas(FOLDER))


@pytest.mark.parametrize("kind", [PostHearted, PostDisliked])
def test_a_retired_event_is_not_written(kind: Any) -> None:
    corpus = corpora()["evolution"]
    golden = next(each for each in corpus.records() if each.schema.name == kind.__name__)
    said = golden.said
    event = kind(**said)
    with pytest.raises(NotWritten, match=kind.__name__):
        corpus.codec.encode(event, lambda *_: b"")


def test_two_files_of_one_event_are_refused(folder: Path) -> None:
    shutil.copy(folder / "retired/engagement/post_hearted.avsc", folder / "events/engagement/post_hearted.avsc")
    with pytest.raises(ValueError, match="both named PostHearted"):
        problems(folder)


def test_an_upcaster_is_of_a_version_that_was_released_and_is_no_longer_written(folder: Path) -> None:
    def told(*keys: tuple[str, int]) -> set[tuple[str, str]]:
        return rules(folder, upcasters=keys)

    assert told(("PostRated", 1), ("PostRated", 2), ("PostDisliked", 1)) == set()
    assert told(("PostRated", 3)) == told(("PostRated", 4)) == {("PostRated", "upcaster")}
    assert told(("PostSung", 1)) == {("PostSung", "upcaster")}


def run(*arguments: str) -> Any:
    return CliRunner().invoke(application, ["schemas", *arguments])


def test_the_command_checks_lists_and_releases() -> None:
    checked = run("check", "--json")
    assert checked.exit_code == 0
    said = json.loads(checked.stdout)
    assert said["refused"] == [] and said["events"] == len(event_schemas()) and said["versions"] > said["events"]
    assert "every one reads all others" in run("check").stdout
    listed = {each["event"]: each for each in json.loads(run("list", "--json").stdout)["events"]}
    assert listed.keys() == event_schemas().keys()
    assert listed["CommentEdited"]["versions"] == 2 and listed["CommentEdited"]["released"]
    assert "CommentEdited" in run("list").stdout
    assert json.loads(run("release", "--all", "--json").stdout) == {"released": []}
    for wrong, says in (((), "--all"), (("PostSung",), "PostSung"), (("PostLiked", "--all"), "--all")):
        answer = run("release", *wrong)
        assert answer.exit_code == 1 and says in str(answer.exception)


def test_the_command_says_what_is_refused(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    add_field(folder)
    monkeypatch.setattr("schemas.releases.HERE", folder)
    monkeypatch.setattr("schemas.releases.problems.__defaults__", (folder, (), False))
    answer = run("check")
    assert answer.exit_code == 1
    assert "PostRated: pages:" in answer.stdout and "[backward]" in answer.stdout
