"""Released schemas are kept for ever: appended under the next number, never changed; what follows fits them all.

`schemas/released/<topic>/<event>/NNNN.avsc` is what records in the log were written by. `digests.txt` beside them (as
sha256sum writes it) names each with its digest, so that a changed or missing one is noticed.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from schemas.catalogue import HERE, EventSchema, read_schemas
from schemas.compatibility import contradictions, refusals
from schemas.rules import Refusal
from schemas.upcasters import UPCASTERS

DIGESTS = "digests.txt"


@dataclass(frozen=True)
class Problem:
    """What is wrong with one event, or with a released file."""

    event: str
    refusal: Refusal

    def __str__(self) -> str:
        return f"{self.event}: {self.refusal}"


class Refused(ValueError):
    """A schema may not be released; the message says each reason."""


def problems(
    folder: Path = HERE, upcasters: Iterable[tuple[str, int]] = tuple(UPCASTERS), unreleased: bool = False
) -> list[Problem]:
    """Everything that is wrong in a folder of schemas; `unreleased` leaves out that some are not released yet."""
    schemas = read_schemas(folder)
    found = [*_kept(folder, schemas), *_upcasters(schemas, upcasters)]
    for schema in schemas.values():
        versions = schema.released()
        for number, version in enumerate(versions):
            found += (Problem(schema.name, each) for each in contradictions(version, versions[:number]))
        current = bool(versions) and versions[-1] == schema.avro
        earlier = versions[:-1] if current else versions
        found += (Problem(schema.name, each) for each in refusals(schema.avro, earlier))
        if schema.retired and not current:
            reason = "is retired and is not what was released last: a retired schema stays as it was"
            found.append(Problem(schema.name, Refusal("retired", "", reason)))
        elif not current and not unreleased:
            reason = f"is not released: `rookery schemas release {schema.name}`"
            found.append(Problem(schema.name, Refusal("released", "", reason)))
    return list(dict.fromkeys(found))


def _kept(folder: Path, schemas: Mapping[str, EventSchema]) -> list[Problem]:
    """Whether all that was ever released is there, as it was, in a row of numbers, and of an event that is read."""
    released = folder / "released"
    noted = digests(released)
    found = {path.relative_to(released).as_posix(): path for path in released.glob("*/*/*.avsc")}
    wrong = []
    for name in sorted(noted.keys() | found.keys()):
        if name not in found:
            wrong.append((name, "is gone: released schemas are kept for ever"))
        elif name not in noted:
            wrong.append((name, f"is not in {DIGESTS}: release it by `rookery schemas release`"))
        elif _digest(found[name]) != noted[name]:
            wrong.append((name, "was changed: what is released stays as it is; release the next number"))
    for each in sorted({path.parent for path in found.values()}):
        names = sorted(path.name for path in each.glob("*.avsc"))
        if names != [f"{number:04}.avsc" for number in range(1, len(names) + 1)]:
            wrong.append((each.relative_to(released).as_posix(), f"is not numbered without gaps: {', '.join(names)}"))
        if each not in {schema.released_folder for schema in schemas.values()}:
            reason = "was released and is read no more: keep its schema, in retired/ when it is no longer written"
            wrong.append((each.relative_to(released).as_posix(), reason))
    return [Problem(name, Refusal("kept for ever", "", reason)) for name, reason in wrong]


def _upcasters(schemas: Mapping[str, EventSchema], keys: Iterable[tuple[str, int]]) -> list[Problem]:
    wrong = []
    for name, number in keys:
        schema = schemas.get(name)
        versions = 0 if schema is None else len(schema.released())
        if schema is None or not 1 <= number <= versions:
            wrong.append((name, f"an upcaster reads version {number:04}, which was never released"))
        elif number == versions and not schema.retired:
            wrong.append((name, f"an upcaster reads version {number:04}, which is the current one"))
    return [Problem(name, Refusal("upcaster", "", reason)) for name, reason in wrong]


def release(names: Iterable[str], folder: Path = HERE) -> list[Path]:
    """Appends the current schemas of these events as their next versions; answers the new files.

    What is the last version already is left alone. Raises Refused, having written nothing, when one of them, or
    anything released before, is not as it must be; KeyError for an event that is not there.
    """
    schemas = read_schemas(folder)
    chosen = [schemas[name] for name in names]
    wrong = [each for each in problems(folder, unreleased=True) if each.event not in schemas.keys() - _names(chosen)]
    if wrong:
        raise Refused("\n".join(map(str, wrong)))
    released = folder / "released"
    written = []
    for schema in chosen:
        versions = schema.released()
        if versions and versions[-1] == schema.avro:
            continue
        path = schema.released_folder / f"{len(versions) + 1:04}.avsc"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(schema.avro, indent=2, ensure_ascii=False) + "\n")
        written.append(path)
    noted = digests(released) | {path.relative_to(released).as_posix(): _digest(path) for path in written}
    if written:
        lines = (f"{digest}  {name}\n" for name, digest in sorted(noted.items()))
        (released / DIGESTS).write_text("".join(lines))
    return written


def digests(folder: Path) -> dict[str, str]:
    """The digests noted in a folder, by path below it."""
    path = folder / DIGESTS
    lines = path.read_text().splitlines() if path.exists() else []
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _names(schemas: Iterable[EventSchema]) -> set[str]:
    return {schema.name for schema in schemas}
