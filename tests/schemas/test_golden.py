"""What was written stays readable: golden bytes of every released version decode and fold as they always did.

Claim: every released version of every event has golden records; nobody ever changed or removed one, or a released
schema; the codec, two Avro libraries and every fold read each as the files beside it say, with the key and without.
Oracle: the committed files, their digests, and the history of the repository. Cannot catch: a version whose golden
records were wrong when they were added.
"""

import json
import subprocess
from io import BytesIO
from typing import Any, assert_never

import avro.io
import avro.schema
import fastavro
import msgspec
import pytest

from projectors.catalogue import PROJECTIONS
from schemas.codec import MAGIC
from schemas.rules import fields_of
from shared.environment import REPOSITORY
from tests.schemas.corpus import ROWS, Golden, corpora, digest, expected_rows, unseal
from tests.schemas.evolution.types import Event, PostDisliked, PostHearted, PostRated

CORPORA = corpora()
RECORDS = [(name, golden) for name, corpus in CORPORA.items() for golden in corpus.records()]
KEPT = ("schemas/released", "tests/schemas/golden", "tests/schemas/evolution/golden")


def each_record() -> Any:
    return pytest.mark.parametrize(("name", "golden"), RECORDS, ids=[golden.name for _, golden in RECORDS])


@pytest.mark.parametrize("corpus", CORPORA.values(), ids=CORPORA.keys())
def test_every_released_version_has_golden_records(corpus: Any) -> None:
    have = {(golden.schema.name, golden.version) for golden in corpus.records()}
    want = {(name, n) for name, each in corpus.contract.schemas.items() for n in range(1, len(each.released()) + 1)}
    assert have == want, "python -m tests.schemas.corpus adds those of a version just released"


@pytest.mark.parametrize("corpus", CORPORA.values(), ids=CORPORA.keys())
def test_golden_files_are_those_that_were_added(corpus: Any) -> None:
    noted = dict(reversed(line.split("  ", 1)) for line in (corpus.folder / "digests.txt").read_text().splitlines())
    found = {
        path.relative_to(corpus.folder).as_posix(): digest(path)
        for path in corpus.folder.rglob("*")
        if path.is_file() and path.name != "digests.txt"
    }
    assert found == noted, "golden files are never changed nor removed; a new version's are added"


def test_history_changed_no_file_that_is_kept_for_ever() -> None:
    git = ["git", "log", "--no-renames", "--diff-filter=MDT", "--name-status", "--format=%h", "--", *KEPT]
    listed = subprocess.run(git, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a clone: there is no history to ask")
    changed = [line for line in listed.stdout.splitlines() if "\t" in line and not line.endswith("/digests.txt")]
    assert not changed, "these were changed or removed by a commit, and are to be kept as they were for ever"


def as_json(event: Any) -> Any:
    return json.loads(msgspec.json.encode(event))


def expected(golden: Golden, current: dict[str, Any]) -> dict[str, Any]:
    """What a record must read as today: what its upcaster makes of it, or its fields, with defaults for newer ones."""
    if golden.upcast is not None:
        return golden.upcast
    return {
        name: golden.said[name] if name in golden.said else field["default"]
        for name, field in fields_of(current).items()
    }


@each_record()
def test_the_codec_reads_a_golden_record_as_it_was_meant(name: str, golden: Golden) -> None:
    corpus = CORPORA[name]
    upcasters = corpus.contract.upcasters
    assert (golden.upcast is not None) == ((golden.schema.name, golden.version) in upcasters)
    event = corpus.codec.decode(golden.value, unseal)
    assert as_json(event) == expected(golden, golden.schema.avro)
    assert corpus.codec.subjects([golden.value]) <= {event.subject_id}


@each_record()
def test_without_its_key_a_golden_record_still_reads(name: str, golden: Golden) -> None:
    corpus = CORPORA[name]
    sealed = {field["name"] for field in golden.avro["fields"] if field.get("sealed")}
    read = as_json(corpus.codec.decode(golden.value))
    wanted = expected(golden, golden.schema.avro)
    assert read == {each: None if each in sealed else value for each, value in wanted.items()}


@each_record()
def test_two_libraries_resolve_a_golden_record_alike(name: str, golden: Golden) -> None:
    body = golden.value[MAGIC.size :]
    fast = fastavro.schemaless_reader(
        BytesIO(body), fastavro.parse_schema(golden.avro), fastavro.parse_schema(golden.schema.avro)
    )
    writer, reader = (avro.schema.parse(json.dumps(each)) for each in (golden.avro, golden.schema.avro))
    source = BytesIO(body)
    apache = avro.io.DatumReader(writer, reader).read(avro.io.BinaryDecoder(source))
    assert source.tell() == len(body), "nothing is left over"
    assert apache == fast


def test_the_folds_make_of_golden_records_what_was_reviewed() -> None:
    for projection, told in expected_rows().items():
        kept = json.loads((ROWS / f"{projection}.json").read_text())
        assert json.loads(json.dumps(told)) == kept, (
            f"{projection} folds old records otherwise than before; where that is meant, "
            "python -m tests.schemas.corpus writes golden_rows/ anew, and the difference is reviewed"
        )


def test_the_reviewed_rows_say_something_of_every_projection() -> None:
    assert {path.stem for path in ROWS.glob("*.json")} == {projection.name for projection in PROJECTIONS}
    folded = {record for path in ROWS.glob("*.json") for record in json.loads(path.read_text())}
    every = {golden.name for name, golden in RECORDS if name == "product"}
    passed = {record.split("/")[1] for record in every} - {record.split("/")[1] for record in folded}
    assert passed == {"role_granted", "role_revoked"}, "of these alone there are no rows"


def test_the_first_version_of_an_edited_comment_folds_to_its_text() -> None:
    """Written out by hand: the record has no post_author_id, and its rows are all there without it."""
    record = "posts/comment_edited/0001/a_slip_mended"
    event, comment, post, subject = (
        "01a1a56b-9cf4-7750-aa2b-3c4d5e6f7082",
        "01a1a55e-68aa-7baf-90f6-31ca1ddba8db",
        "01a1a55a-30ab-7348-8c99-c0ff97ab9d91",
        "01a19723-81a9-7809-a368-6c6f65313233",
    )
    assert json.loads((ROWS / "posts.json").read_text())[record] == {
        "rows": {
            "comment": [
                [
                    [comment],
                    {
                        "content": [event, ["And the jackdaws? And the starlings?", [], 1793776655604457]],
                        "place": [event, [post, subject]],
                    },
                ]
            ]
        }
    }


def folded(events: list[Event]) -> dict[str, tuple[str, int]]:
    """A fold of the small catalogue: how each person finds a post. A retired event that has no upcaster is answered."""
    found = {}
    for event in events:
        match event:
            case PostRated():
                found[str(event.subject_id)] = ("rated", event.percent)
            case PostHearted():
                found[str(event.subject_id)] = ("hearted", 100)
            case PostDisliked():
                raise AssertionError("its upcaster makes a rating of it")
            case _:
                assert_never(event)
    return found


def test_a_fold_answers_a_field_added_a_retired_event_and_an_old_version_alike() -> None:
    corpus = CORPORA["evolution"]

    def read(golden: Golden) -> Any:
        return corpus.codec.decode(golden.value, unseal)

    told = {
        golden.name.removeprefix("engagement/"): list(folded([read(golden)]).values()) for golden in corpus.records()
    }
    assert told == {
        "post_rated/0001/barest": [("rated", 0)],
        "post_rated/0001/fullest": [("rated", 100)],  # five stars
        "post_rated/0002/barest": [("rated", 0)],
        "post_rated/0002/fullest": [("rated", 5)],
        "post_rated/0003/barest": [("rated", 0)],
        "post_rated/0003/fullest": [("rated", 5)],
        "post_hearted/0001/barest": [("hearted", 100)],
        "post_hearted/0001/fullest": [("hearted", 100)],
        "post_disliked/0001/barest": [("rated", 0)],
        "post_disliked/0001/fullest": [("rated", 0)],
    }
