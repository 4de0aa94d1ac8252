"""Writes types.py from the .avsc files: one frozen struct an event, in the order of the schema's fields.

python -m schemas.generate          write types.py
python -m schemas.generate --check  exit 1 when types.py is not what the schemas say
"""

import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from schemas.catalogue import HERE, EventSchema, event_schemas

HEADER = '''"""The events as Python types. GENERATED from the .avsc files by schemas/generate.py; do not edit.

Ids are UUIDs, times whole microseconds since 1970-01-01 UTC. A sealed field is plain text here and encrypted in the
log; None where it could not be read (its subject's key is destroyed) or was not asked for.
"""

from uuid import UUID

import msgspec
'''


def python_type(field: dict[str, Any]) -> str:
    """The annotation of a field, with its default where the schema gives one."""
    kind = field["type"]
    if field.get("sealed"):
        return "str | None"
    if isinstance(kind, list):
        return f"{_plain(kind[1])} | None"
    return _plain(kind)


def _plain(kind: Any) -> str:
    if isinstance(kind, dict):
        if kind["type"] == "array":
            return f"tuple[{_plain(kind['items'])}, ...]"
        return {"fixed": "UUID", "enum": "str", "long": "int"}[kind["type"]]
    return {"Id": "UUID", "string": "str", "boolean": "bool", "long": "int"}[str(kind)]


def _default(field: dict[str, Any]) -> str:
    if "default" not in field:
        return ""
    return f" = {() if field['default'] == [] else field['default']!r}"


def struct(schema: EventSchema) -> str:
    """The source of one event's struct."""
    retired = "\n\n    Retired: read for ever, written no more.\n    " if schema.retired else ""
    lines = [
        f"class {schema.name}(msgspec.Struct, frozen=True, gc=False, kw_only=True):",
        f'    """{schema.avro["doc"]} Topic {schema.topic}, partitioned by {schema.partitioned_by}.{retired}"""',
        "",
    ]
    for field in schema.avro["fields"]:
        lines.append(f"    {field['name']}: {python_type(field)}{_default(field)}")
    return "\n".join(lines)


def source(of: Mapping[str, EventSchema] | None = None) -> str:
    """The whole of types.py, formatted; of the product's events where no others are given."""
    schemas = list((event_schemas() if of is None else of).values())
    union = "Event = (\n    " + "\n    | ".join(schema.name for schema in schemas) + "\n)"
    table = (
        "EVENT_TYPES: dict[str, type[Event]] = {\n"
        + "".join(f'    "{schema.name}": {schema.name},\n' for schema in schemas)
        + "}"
    )
    text = "\n\n\n".join([HEADER.strip(), *(struct(schema) for schema in schemas), union + "\n\n" + table]) + "\n"
    return subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--line-length", "120", "--stdin-filename", "types.py", "-"],
        input=text,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def main() -> int:
    target = HERE / "types.py"
    text = source()
    if "--check" in sys.argv:
        if target.read_text() != text:
            print("schemas/types.py is not what the .avsc files say: run python -m schemas.generate", file=sys.stderr)
            return 1
        return 0
    target.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
