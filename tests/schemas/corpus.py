"""Golden records: bytes of every released version of every event, kept for ever, and what they say.

`golden/<topic>/<event>/<NNNN>/<name>.bin` is a record's value as it lies in the log, sealed under the key below;
`<name>.json` its fields as written; `<name>.upcast.json` the event that an upcaster makes of it. `digests.txt` names
every file with its digest. Nothing there is ever written again:

    python -m tests.schemas.corpus      adds records of versions that have none, and writes golden_rows/ anew

golden_rows/<projection>.json is what each fold makes of each record. It changes with a fold, and then it is reviewed.
"""

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID

import fastavro

from projectors.catalogue import PROJECTIONS
from schemas.catalogue import EventSchema
from schemas.codec import MAGIC, Codec
from schemas.contract import Contract, contract
from schemas.releases import DIGESTS, digests
from schemas.rules import ID, IDS, TIME, kind_of
from shared.crypto import KeyRing
from shared.ids import mint, time_of
from tests.schemas.events import EXAMPLES, schema_of
from tests.schemas.evolution.contract import EVOLUTION
from tests.schemas.evolution.contract import FOLDER as EVOLUTION_FOLDER

HERE = Path(__file__).resolve().parent
ROWS = HERE / "golden_rows"
BEGIN = 1_790_000_000_000_000  # microseconds since 1970
TEXT = "Ünïcode 🎉, two\nlines, <@0192e000-0000-7000-8000-000000000000>"


def keys_of(subject: UUID) -> KeyRing:
    """The one key that every golden record is sealed under, as this subject's."""
    ring = KeyRing(bytes(32), lambda subjects: {})
    ring.add(subject, bytes(range(32)))
    return ring


@dataclass(frozen=True)
class Golden:
    """One record kept for ever."""

    schema: EventSchema
    version: int
    path: Path  # of the .bin

    @property
    def value(self) -> bytes:
        return self.path.read_bytes()

    @property
    def said(self) -> dict[str, Any]:
        """Its fields as they were written."""
        said: dict[str, Any] = json.loads(self.path.with_suffix(".json").read_text())
        return said

    @property
    def upcast(self) -> dict[str, Any] | None:
        """The event that its version's upcaster makes of it; None where there is none."""
        path = self.path.with_suffix(".upcast.json")
        return json.loads(path.read_text()) if path.exists() else None

    @property
    def avro(self) -> dict[str, Any]:
        return self.schema.released()[self.version - 1]

    @property
    def name(self) -> str:
        return "/".join(self.path.with_suffix("").parts[-4:])


@dataclass(frozen=True)
class Corpus:
    """The golden records of one contract."""

    contract: Contract
    folder: Path

    def records(self) -> list[Golden]:
        return [
            Golden(schema, number, path)
            for schema, number, folder in self._versions()
            for path in sorted(folder.glob("*.bin"))
        ]

    def _versions(self) -> Iterator[tuple[EventSchema, int, Path]]:
        for schema in self.contract.schemas.values():
            for number in range(1, len(schema.released()) + 1):
                yield schema, number, self.folder / schema.topic / schema.snake_name / f"{number:04}"

    @cached_property
    def _written_by(self) -> dict[int, tuple[str, dict[str, Any]]]:
        return {
            schema_id(schema, number): (schema.subject, schema.released()[number - 1])
            for schema, number, _ in self._versions()
        }

    @cached_property
    def codec(self) -> Codec:
        """The product's codec; it knows the ids of the current versions and asks for those of older ones."""
        current = {name: schema_id(each, len(each.released())) for name, each in self.contract.schemas.items()}
        return Codec(current, self._written_by.__getitem__, self.contract)

    def add(self) -> list[Path]:
        """Records of every version that has none; nothing that is there is touched."""
        added = []
        for schema, number, folder in self._versions():
            if folder.exists():
                continue
            folder.mkdir(parents=True)
            avro = schema.released()[number - 1]
            for name, said in sayings(schema, avro):
                (folder / f"{name}.bin").write_bytes(encoded(avro, schema_id(schema, number), said))
                (folder / f"{name}.json").write_text(json.dumps(said, indent=2, ensure_ascii=False) + "\n")
                added.append(folder / f"{name}.bin")
        noted = digests(self.folder)
        found = {path.relative_to(self.folder).as_posix(): path for path in self.folder.rglob("*") if path.is_file()}
        noted = {name: digest(path) for name, path in found.items() if name != DIGESTS} | noted
        (self.folder / DIGESTS).write_text("".join(f"{noted[name]}  {name}\n" for name in sorted(noted)))
        return added


def corpora() -> dict[str, Corpus]:
    """The product's, and that of the small catalogue that has lived through every kind of change."""
    return {
        "product": Corpus(contract(), HERE / "golden"),
        "evolution": Corpus(EVOLUTION, EVOLUTION_FOLDER / "golden"),
    }


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def schema_id(schema: EventSchema, number: int) -> int:
    """The id that golden records of a version begin with, the same for ever."""
    return zlib.crc32(f"{schema.topic}/{schema.snake_name}/{number:04}".encode()) & 0x7FFFFFFF


def sayings(schema: EventSchema, avro: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What a version's golden records say: its examples, as far as the version has their fields, and two extremes."""
    names = [field["name"] for field in avro["fields"]]
    if schema.name in contract().schemas:
        for path in EXAMPLES:
            if schema_of(path).name == schema.name:
                example = json.loads(path.read_text())
                yield path.stem, {name: example[name] for name in names if name in example}
    for name, full in (("barest", False), ("fullest", True)):
        yield name, {field["name"]: extreme(field, place, full) for place, field in enumerate(avro["fields"])}


def extreme(field: dict[str, Any], place: int, full: bool) -> Any:
    """The least or the most that a field says, as JSON."""
    kind = kind_of(field["type"])
    event_id = mint(BEGIN, random=bytes(8))
    if field["name"] == "event_id":
        return str(event_id)
    if field["name"] == "occurred_at":
        return time_of(event_id)
    if kind.optional and not full:
        return None
    if kind.name == "enum":
        return kind.symbols[-1 if full else 0]
    if kind.name == IDS:
        return [str(identifier(place, nth)) for nth in range(3 if full else 0)]
    least, most = {
        ID: (str(identifier(place, 0)),) * 2,
        "bytes": ("", TEXT),
        "string": ("", "sr-Cyrl-RS"),
        "boolean": (False, True),
        "long": (0, 5),
        TIME: (0, BEGIN),
    }[kind.name]
    return most if full else least


def identifier(place: int, nth: int) -> UUID:
    return mint(BEGIN - 1_000_000 + place, random=bytes([nth]) * 8)


def encoded(avro: dict[str, Any], number: int, said: Mapping[str, Any]) -> bytes:
    """A record's value in the wire format, by its version's own schema; the codec writes current ones only."""
    subject, event = UUID(said["subject_id"]), UUID(said["event_id"])
    ring = keys_of(subject)

    def written(field: dict[str, Any]) -> Any:
        value, kind = said[field["name"]], kind_of(field["type"])
        if value is None:
            return None
        if field.get("sealed"):
            return ring.seal(subject, avro["name"], field["name"], event, value)
        if kind.name == IDS:
            return [UUID(each).bytes for each in value]
        return UUID(value).bytes if kind.name == ID else value

    out = BytesIO(MAGIC.pack(0, number))
    out.seek(MAGIC.size)
    fastavro.schemaless_writer(
        out, fastavro.parse_schema(avro), {field["name"]: written(field) for field in avro["fields"]}
    )
    return out.getvalue()


def unseal(subject: UUID, name: str, field: str, event: UUID, sealed: bytes) -> str | None:
    """Opens what is sealed in a golden record, whoever its subject."""
    return keys_of(subject).unseal(subject, name, field, event, sealed)


def rows(golden: Golden, codec: Codec) -> dict[str, Any]:
    """What each projection's fold makes of a golden record, as JSON; projections that let it pass are left out."""
    told = {projection.name: plain(projection.fold([codec.decode(golden.value, unseal)])) for projection in PROJECTIONS}
    return {name: changes for name, changes in told.items() if changes}


def plain(value: Any) -> Any:
    """Values of folds as JSON: rows as [key, groups], in a fixed order, empty fields left out."""
    if is_dataclass(value):
        each = {one.name: plain(getattr(value, one.name)) for one in fields(value)}
        return {name: one for name, one in each.items() if one not in ([], {}, None)}
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value):
            return {key: plain(one) for key, one in sorted(value.items())}
        return sorted(([plain(key), plain(one)] for key, one in value.items()), key=str)
    if isinstance(value, set | frozenset):
        return sorted(map(plain, value), key=str)
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return str(value) if isinstance(value, UUID) else value


def expected_rows() -> dict[str, dict[str, Any]]:
    """Projection -> golden record -> its rows, as they must be written in golden_rows/."""
    corpus = corpora()["product"]
    told: dict[str, dict[str, Any]] = {projection.name: {} for projection in PROJECTIONS}
    for golden in corpus.records():
        for projection, changes in rows(golden, corpus.codec).items():
            told[projection][golden.name] = changes
    return told


def main() -> None:
    for corpus in corpora().values():
        for path in corpus.add():
            print(f"added {path.relative_to(HERE)}")
    ROWS.mkdir(exist_ok=True)
    for projection, told in expected_rows().items():
        lines = (f"{json.dumps(name)}: {json.dumps(changes, ensure_ascii=False)}" for name, changes in told.items())
        (ROWS / f"{projection}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
