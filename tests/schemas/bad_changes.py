"""Changes of a released event that must not be released: each with the rule, the field and words of its refusal.

`registry` is whether the schema registry (Apicurio 2.6.13, FULL_TRANSITIVE) refuses the change by itself; where it does
not, only schemas/compatibility.py stands between the change and the log.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Avro = dict[str, Any]
Change = Callable[[Avro], Any]


def _field(name: str, kind: Any, **more: Any) -> Avro:
    return {"name": name, "type": kind, "doc": "What it holds.", **more}


MOOD = {"type": "enum", "name": "Mood", "symbols": ["glad", "calm", "sad"], "default": "calm"}
FIRST: Avro = {
    "type": "record",
    "name": "PostReviewed",
    "namespace": "evolution.posts",
    "doc": "The subject reviews a post.",
    "topic": "posts",
    "partitioned_by": "post_id",
    "fields": [
        _field("event_id", {"type": "fixed", "name": "Id", "size": 16}),
        _field("occurred_at", {"type": "long", "logicalType": "timestamp-micros"}),
        _field("subject_id", "Id", names_person=True),
        _field("post_id", "Id"),
        _field("post_author_id", "Id", names_person=True),
        _field("mood", MOOD),
        _field("content", "bytes", sealed=True),
        _field("note", ["null", "bytes"], default=None, sealed=True),
        _field("language", ["null", "string"], default=None),
        _field("mentioned_ids", {"type": "array", "items": "Id"}, default=[], names_person=True),
        _field("media_ids", {"type": "array", "items": "Id"}, default=[]),
        _field("score", "long", default=0),
        _field("pinned", "boolean", default=False),
    ],
}


def changed(schema: Avro, *changes: Change) -> Avro:
    made = copy.deepcopy(schema)
    for change in changes:
        change(made)
    return made


def at(name: str, /, **values: Any) -> Change:
    """Attributes of a field take other values; None takes an attribute away, except a default."""

    def change(schema: Avro) -> None:
        field = next(each for each in schema["fields"] if each["name"] == name)
        for key, value in values.items():
            if value is None and key != "default":
                field.pop(key, None)
            else:
                field[key] = value

    return change


def of_record(**values: Any) -> Change:
    def change(schema: Avro) -> None:
        schema.update(values)

    return change


def without(name: str) -> Change:
    def change(schema: Avro) -> None:
        schema["fields"] = [each for each in schema["fields"] if each["name"] != name]

    return change


def without_default(name: str) -> Change:
    def change(schema: Avro) -> None:
        next(each for each in schema["fields"] if each["name"] == name).pop("default")

    return change


def added(name: str, kind: Any, **more: Any) -> Change:
    def change(schema: Avro) -> None:
        schema["fields"].append(_field(name, kind, **more))

    return change


def swapped(one: str, other: str) -> Change:
    def change(schema: Avro) -> None:
        names = [each["name"] for each in schema["fields"]]
        here, there = names.index(one), names.index(other)
        fields = schema["fields"]
        fields[here], fields[there] = fields[there], fields[here]

    return change


def mood(**values: Any) -> Change:
    return at("mood", type={**MOOD, **values})


# The second version gave up the score and took stars in; both versions are released.
SECOND = changed(FIRST, without("score"), added("stars", "long", default=0))
RELEASED = (FIRST, SECOND)
MADE_INT = at("stars", type="int")


@dataclass(frozen=True)
class BadChange:
    name: str
    change: Change
    rule: str
    field: str
    says: str
    registry: bool  # whether the registry refuses it too
    before: Change | None = None  # what was otherwise in the released versions

    @property
    def candidate(self) -> Avro:
        return changed(self.released[-1], self.change)

    @property
    def released(self) -> tuple[Avro, ...]:
        if self.before is None:
            return RELEASED
        return FIRST, changed(SECOND, self.before)


def _alias(name: str, was: str) -> Change:
    return at(was, name=name, aliases=[was])


B = BadChange
BAD_CHANGES = (
    # What Avro's own resolution forbids
    B("field added without a default", added("pages", "long"), "backward", "pages", "without a default", True),
    B("field without a default removed", without("content"), "forward", "content", "without a default", True),
    B("field renamed", at("mood", name="feeling"), "backward", "feeling", "without a default", True),
    B("default taken away", without_default("stars"), "backward", "stars", "without a default", True),
    B("type changed", at("pinned", type="long", default=0), "backward", "pinned", "type mismatch", True),
    B("fixed size changed", at("event_id", type={"type": "fixed", "name": "Id", "size": 8}),
      "backward", "event_id", "fixed size mismatch", True),
    B("made nullable", at("post_author_id", type=["null", "Id"], default=None),
      "forward", "post_author_id", "cannot read", True),
    B("made not nullable", at("language", type="string", default=""), "backward", "language", "cannot read", True),
    B("list of something else", at("media_ids", type={"type": "array", "items": "string"}),
      "backward", "media_ids", "type mismatch", True),
    B("int to long", at("stars", type="long"), "forward", "stars", "int not compatible", True, before=MADE_INT),
    B("long to double", at("stars", type="double"), "forward", "stars", "type mismatch", True),
    B("long to int", MADE_INT, "backward", "stars", "type mismatch", True),
    B("enum renamed", mood(name="Feeling"), "backward", "mood", "name mismatch", True),
    B("symbol added, default dropped", at("mood", type={"type": "enum", "name": "Mood",
      "symbols": [*MOOD["symbols"], "cross"]}), "enum default", "mood", "default", False),
    B("name used again for another type", added("score", "boolean", default=False),
      "backward", "score", "version 0001", True),
    B("record renamed", of_record(name="ReviewAdded"), "name", "", "never changes", True),
    B("default of another type", at("stars", default="none"), "avro", "", "no Avro schema", True),
    B("two fields of one name", added("mood", "long", default=0), "avro", "", "no Avro schema", True),
    B("null not first in a union", at("language", type=["string", "null"]), "type", "language", "`null` first", False),
    B("unknown type", added("pages", "number", default=0), "avro", "", "no Avro schema", True),
    # What only the house's rules forbid
    B("field renamed by an alias", _alias("feeling", "mood"), "rename", "feeling", "never renamed", True),
    B("record renamed by an alias", of_record(name="ReviewAdded", aliases=["PostReviewed"]),
      "rename", "", "never renamed", True),
    B("namespace changed", of_record(namespace="other.posts"), "namespace", "", "never changes", False),
    B("topic changed", of_record(topic="engagement"), "topic", "", "never changes", False),
    B("partitioned by something else", of_record(partitioned_by="subject_id"),
      "partitioned_by", "", "never changes", False),
    B("bytes to string", at("note", type=["null", "string"]), "type", "note", "wider", False),
    B("string to bytes", at("language", type=["null", "bytes"], sealed=True), "type", "language", "was string", False),
    B("no longer sealed", at("note", sealed=None), "sealed", "note", "is no more sealed", False),
    B("sealed from now on", at("language", sealed=True), "sealed", "language", "is now sealed", False),
    B("sealed field gone", without("note"), "sealed", "note", "export and erasure", False),
    B("people no longer named", at("post_author_id", names_person=None),
      "names_person", "post_author_id", "is no more names_person", False),
    B("a thing named as a person", at("post_id", names_person=True), "names_person", "post_id", "of a thing", False),
    B("people's ids gone", without("mentioned_ids"), "names_person", "mentioned_ids", "export and erasure", False),
    B("a new person not named", added("editor_id", ["null", "Id"], default=None),
      "names_person", "editor_id", "id of a person", False),
    B("free text in plain", added("caption", ["null", "string"], default=None), "sealed", "caption", "seal it", False),
    B("mark misspelled", added("caption", ["null", "bytes"], default=None, seald=True),
      "attribute", "caption", "seald", False),
    B("time no longer a time", at("occurred_at", type="long"), "type", "occurred_at", "timestamp-micros", False),
    B("time in another unit", at("occurred_at", type={"type": "long", "logicalType": "timestamp-millis"}),
      "type", "occurred_at", "timestamp-micros", False),
    B("default changed", at("stars", default=1), "default", "stars", "had the default 0", False),
    B("null by default no more", added("pages", ["null", "long"]), "default", "pages", "its default is null", True),
    B("symbol removed", mood(symbols=["glad", "calm"]), "enum symbols", "mood", "none goes", False),
    B("symbol renamed", mood(symbols=["glad", "calm", "blue"]), "enum symbols", "mood", "none goes", False),
    B("symbols in another order", mood(symbols=["sad", "calm", "glad"]), "enum symbols", "mood", "at the end", False),
    B("enum's default changed", mood(default="glad"), "enum default", "mood", "'calm'", False),
    B("head in another order", swapped("occurred_at", "subject_id"), "head", "", "begins with", False),
    B("fields in another order", swapped("mood", "content"), "order", "content", "keep their order", False),
    B("a shape no fold knows", added("marks", {"type": "map", "values": "long"}, default={}),
      "type", "marks", "events hold", False),
    B("new field undocumented", added("pages", "long", default=0, doc=""), "doc", "pages", "in `doc`", False),
    B("record undocumented", of_record(doc=""), "doc", "", "in `doc`", False),
    B("new field in camel case", added("pageCount", "long", default=0), "name", "pageCount", "lower case", False),
)  # fmt: skip

# What may be released: the other half of the claim.
GOOD_CHANGES: dict[str, tuple[Change, ...]] = {
    "nothing": (),
    "field added with a default": (added("pages", "long", default=0),),
    "null by default added": (added("editor_id", ["null", "Id"], default=None, names_person=True),),
    "list added": (added("editor_ids", {"type": "array", "items": "Id"}, default=[], names_person=True),),
    "sealed text added": (added("caption", ["null", "bytes"], default=None, sealed=True),),
    "plain field with a default removed": (without("stars"),),
    "symbol added at the end": (mood(symbols=[*MOOD["symbols"], "cross"]),),
    "other words": (of_record(doc="Somebody reviews a post."), at("mood", doc="How they feel.")),
}
