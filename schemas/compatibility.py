"""Whether a schema may follow all that was released of its event, or precisely why not.

FULL_TRANSITIVE and the house's rules. Avro's own resolution (can it read what they wrote, can they read what it writes)
is asked of the Apache library, field by field. The house's rules forbid what Avro lets pass and history does not: a
type that widens, a default or a symbol that changes what old records mean, a mark of personal data that goes
(docs/decisions/0015).
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import avro.schema
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityResult, SchemaCompatibilityType

from schemas.rules import MISSING, Avro, Refusal, breaches, fields_of, kind_of

NEVER_CHANGES = ("name", "namespace", "topic", "partitioned_by")


def refusals(candidate: Avro, released: Sequence[Avro]) -> list[Refusal]:
    """Every reason why `candidate` may not be the next version after `released` (oldest first); empty when it may."""
    found = breaches(candidate)
    if any(refusal.rule == "avro" for refusal in found):
        return found
    return found + contradictions(candidate, released)


def contradictions(candidate: Avro, released: Sequence[Avro]) -> list[Refusal]:
    """What of `candidate` does not go with the released versions, each reason once, the oldest version it is about."""
    found: dict[tuple[str, str], Refusal] = {}
    for number, earlier in enumerate(released, start=1):
        for refusal in (*_by_avro(candidate, earlier, number), *_by_house(candidate, earlier, number)):
            found.setdefault((refusal.rule, refusal.field), refusal)
    return list(found.values())


def _by_avro(candidate: Avro, earlier: Avro, number: int) -> Iterator[Refusal]:
    new, old = _parsed(candidate), _parsed(earlier)
    yield from _unread(new, old, "backward", f"cannot read records of version {number:04}")
    yield from _unread(old, new, "forward", f"writes what version {number:04} cannot read")


def _unread(
    reader: avro.schema.RecordSchema, writer: avro.schema.RecordSchema, rule: str, says: str
) -> Iterator[Refusal]:
    told = False
    for field in reader.fields:
        written = writer.fields_dict.get(field.name)
        if written is None:
            reason = "" if field.has_default else "the reader has it without a default, the writer has it not"
        else:
            reason = _mismatch(field.type, written.type)
        if reason:
            told = True
            yield Refusal(rule, field.name, f"{says}: {reason}")
    whole = "" if told else _mismatch(reader, writer)
    if whole:
        yield Refusal(rule, "", f"{says}: {whole}")


def _mismatch(reader: avro.schema.Schema, writer: avro.schema.Schema) -> str:
    """Why the one cannot read what the other writes, in the library's words; empty when it can."""
    checker: Any = ReaderWriterCompatibilityChecker  # the library types its answers, not its beginning
    result: SchemaCompatibilityResult = checker().get_compatibility(reader, writer)
    if result.compatibility is not SchemaCompatibilityType.incompatible:
        return ""
    kinds = ", ".join(sorted({kind.value.replace("_", " ") for kind in result.incompatibilities}))
    return f"{kinds} ({'; '.join(sorted(result.messages))})"


def _parsed(schema: Avro) -> avro.schema.RecordSchema:
    parsed = avro.schema.parse(json.dumps(schema))
    assert isinstance(parsed, avro.schema.RecordSchema)
    return parsed


def _by_house(candidate: Avro, earlier: Avro, number: int) -> Iterator[Refusal]:
    version = f"version {number:04}"
    for key in NEVER_CHANGES:
        if candidate.get(key) != earlier.get(key):
            was, now = earlier.get(key), candidate.get(key)
            yield Refusal(key, "", f"{key} was {was!r} in {version}, is {now!r}; it never changes")
    new, old = fields_of(candidate), fields_of(earlier)
    for name, field in old.items():
        if name in new:
            yield from (Refusal(rule, name, reason) for rule, reason in _changed(field, new[name], version))
        else:
            for mark in ("sealed", "names_person"):
                if field.get(mark):
                    reason = f"is gone, and {version} has it as {mark}: export and erasure must go on seeing it"
                    yield Refusal(mark, name, reason)
    kept = [name for name in new if name in old]
    for was, now in zip((name for name in old if name in new), kept, strict=True):
        if was != now:
            yield Refusal("order", now, f"stands where {version} has {was}: fields keep their order")
            break


def _changed(old: Avro, new: Avro, version: str) -> Iterator[tuple[str, str]]:
    """What is said of one field in two schemas and may not differ."""
    for mark in ("sealed", "names_person"):
        if bool(old.get(mark)) != bool(new.get(mark)):
            turn = "is no more" if old.get(mark) else "is now"
            yield mark, f"{turn} {mark}, unlike in {version}: whose data it is never changes"
    was, now = kind_of(old["type"]), kind_of(new["type"])
    if (was.name, was.optional, was.enum) != (now.name, now.optional, now.enum):
        yield "type", f"was {was} in {version}, is {now}: a type never changes, not even to a wider one"
    if was.symbols != now.symbols[: len(was.symbols)]:
        yield "enum symbols", f"had {', '.join(was.symbols)} in {version}: symbols are added at the end, none goes"
    if was.enum_default != now.enum_default:
        yield "enum default", f"read unknown symbols as {was.enum_default!r} in {version}, now as {now.enum_default!r}"
    if "default" in old and old["default"] != new.get("default", MISSING):
        now_said = json.dumps(new["default"]) if "default" in new else "none"
        yield "default", f"had the default {json.dumps(old['default'])} in {version}, has {now_said}"
