"""What every event schema must be by itself, whatever was released before; each breach is named with field and rule."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import avro.errors
import avro.schema
import fastavro
from fastavro.schema import SchemaParseException

Avro = dict[str, Any]

HEAD = ("event_id", "occurred_at", "subject_id")
# Ids of things; every other id is a person's. A new id field is either added here or says `names_person`.
IDS_OF_THINGS = frozenset({
    "event_id", "post_id", "comment_id", "parent_id", "content_id",
    "share_id", "reply_to_id", "quote_of_id", "media_ids", "avatar_media_id",
    "notification_ids", "up_to",
})  # fmt: skip
# Strings of a closed vocabulary, or written by no person. Whatever people write is sealed bytes.
PLAIN_STRINGS = frozenset({"language", "model", "scores"})
RECORD_ATTRIBUTES = {"type", "name", "namespace", "doc", "topic", "partitioned_by", "fields"}
FIELD_ATTRIBUTES = {"name", "type", "default", "doc", "sealed", "names_person"}
ID, IDS, TIME = "Id", "list of Id", "long of timestamp-micros"
KINDS = {ID, IDS, TIME, "long", "boolean", "string", "bytes", "enum"}
MISSING = object()


@dataclass(frozen=True)
class Refusal:
    """Why a schema may not be released."""

    rule: str
    field: str  # "" where it is about the record as a whole
    reason: str

    def __str__(self) -> str:
        return f"{self.field or 'the record'}: {self.reason} [{self.rule}]"


@dataclass(frozen=True)
class Kind:
    """A field's type in the few shapes that events use."""

    name: str  # one of KINDS, or the type as it is written
    optional: bool = False
    enum: str = ""
    symbols: tuple[str, ...] = ()
    enum_default: str | None = None

    def __str__(self) -> str:
        return f"{self.enum or self.name}{' or null' if self.optional else ''}"


def kind_of(written: Any) -> Kind:
    """What a field's `type` says; a shape that events do not use keeps its JSON as its name."""
    if isinstance(written, list):
        if len(written) == 2 and written[0] == "null":
            one = kind_of(written[1])
            return Kind(one.name, True, one.enum, one.symbols, one.enum_default)
        return Kind(json.dumps(written))
    if not isinstance(written, dict):
        return Kind(str(written))
    if written.get("type") == "fixed" and written.get("name") == ID and written.get("size") == 16:
        return Kind(ID)
    if written.get("type") == "array":
        return Kind(f"list of {kind_of(written.get('items'))}")
    if written.get("type") == "enum":
        symbols = tuple(written.get("symbols", ()))
        return Kind("enum", False, str(written.get("name")), symbols, written.get("default"))
    if written.keys() == {"type", "logicalType"}:
        return Kind(f"{written['type']} of {written['logicalType']}")
    return Kind(str(written["type"])) if written.keys() == {"type"} else Kind(json.dumps(written))


def fields_of(schema: Avro) -> dict[str, Avro]:
    """A record's fields by name, in their order."""
    return {field["name"]: field for field in schema["fields"]}


def breaches(schema: Avro) -> list[Refusal]:
    """Every rule that a schema breaks by itself; empty when it may stand."""
    unreadable = _unreadable(schema)
    if unreadable:
        return [Refusal("avro", "", unreadable)]
    found = [*_of_the_record(schema)]
    for field in schema["fields"]:
        found += (Refusal(rule, field["name"], reason) for rule, reason in _of_a_field(field))
    return found


def _unreadable(schema: Avro) -> str:
    """Why this is no Avro record at all, by both libraries; empty when it is one."""
    try:
        fastavro.parse_schema(json.loads(json.dumps(schema)))
        avro.schema.parse(json.dumps(schema))
    except (avro.errors.AvroException, SchemaParseException, ValueError, TypeError, KeyError) as error:
        return f"is no Avro schema: {error}"
    return "" if schema.get("type") == "record" else "is no Avro schema of a record"


def _of_the_record(schema: Avro) -> Iterator[Refusal]:
    names = [field["name"] for field in schema["fields"]]
    kinds = [kind_of(field["type"]) for field in schema["fields"]]
    if tuple(names[:3]) != HEAD or kinds[:3] != [Kind(ID), Kind(TIME), Kind(ID)]:
        yield Refusal("head", "", f"begins with {', '.join(HEAD)}: the codec finds a record's subject by this order")
    if not schema.get("doc"):
        yield Refusal("doc", "", "says what happened, in `doc`")
    if schema.get("aliases"):
        yield Refusal("rename", "", "has aliases: an event is never renamed; retire it and add another")
    if str(schema.get("namespace")).rpartition(".")[2] != schema.get("topic"):
        yield Refusal("namespace", "", "ends its namespace with its topic")
    partitioned_by = schema.get("partitioned_by")
    if partitioned_by not in names or kinds[names.index(partitioned_by)] != Kind(ID):
        yield Refusal("partitioned_by", "", f"has no id {partitioned_by!r} to be partitioned by, in every record")
    unknown = schema.keys() - RECORD_ATTRIBUTES - {"aliases"}
    if unknown:
        yield Refusal("attribute", "", f"has attributes that nothing reads: {', '.join(sorted(unknown))}")


def _of_a_field(field: Avro) -> Iterator[tuple[str, str]]:
    name, kind, sealed = field["name"], kind_of(field["type"]), field.get("sealed")
    default = field.get("default", MISSING)
    if not field.get("doc"):
        yield "doc", "says what it holds, in `doc`"
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        yield "name", "is named in lower case, with underscores"
    if field.get("aliases"):
        yield "rename", "has aliases: a field is never renamed; add another beside it"
    unknown = field.keys() - FIELD_ATTRIBUTES - {"aliases"}
    if unknown:
        yield "attribute", f"has attributes that nothing reads: {', '.join(sorted(unknown))}"
    if kind.name not in KINDS:
        yield "type", f"is {kind}: events hold {', '.join(sorted(KINDS))}, each or null (`null` first)"
    if kind.name == "enum" and kind.enum_default not in kind.symbols:
        yield "enum default", "has an enum without a default of its own, which readers of today need for new symbols"
    if kind.optional and default is not None:
        yield "default", "may be null, so its default is null"
    if kind.name == IDS and default not in (MISSING, []):
        yield "default", "is a list, so its default is empty"
    is_id = kind.name in (ID, IDS)
    if is_id and bool(field.get("names_person")) == (name in IDS_OF_THINGS):
        yield "names_person", "is an id of a person, and says `names_person`, or of a thing in rules.IDS_OF_THINGS"
    if field.get("names_person") and not is_id:
        yield "names_person", "says that it names a person, and holds no id"
    if sealed and kind.name != "bytes":
        yield "sealed", "is sealed, so it is bytes"
    if kind.name == "bytes" and not sealed:
        yield "sealed", "is bytes, which only sealed fields are"
    if kind.name == "string" and name not in PLAIN_STRINGS:
        yield "sealed", "would stand in the log in plain text: seal it, or name it in rules.PLAIN_STRINGS"
