"""`rookery schemas`: whether event schemas may follow what was released; releasing, listing and registering them."""

from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from infra.cli.output import print_json, say, screen
from infra.local import installation as installations
from infra.local.failures import LocalError
from schemas.catalogue import EventSchema, event_schemas
from shared.environment import REPOSITORY

application = typer.Typer(no_args_is_help=True, help="Check, release, list and register the event schemas.")
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
REFUSED = 1


@application.command()
def check(as_json: AsJson = False) -> None:
    """Compare every schema with all that was ever released of it. Exit status 1 when one is refused."""
    from schemas.releases import problems

    found = problems()
    if as_json:
        told = [{"event": each.event, **vars(each.refusal)} for each in found]
        print_json({"events": len(event_schemas()), "versions": _versions(), "refused": told})
    else:
        for each in found:
            screen.print(f"[red]refused[/] {escape(str(each))}", soft_wrap=True)
        if not found:
            screen.print(f"{len(event_schemas())} events, {_versions()} released versions: every one reads all others")
    if found:
        raise typer.Exit(REFUSED)


@application.command()
def release(
    events: Annotated[list[str] | None, typer.Argument(help="Events by name, as PostLiked.")] = None,
    all_events: Annotated[bool, typer.Option("--all", help="Every event whose schema is not released yet.")] = False,
    as_json: AsJson = False,
) -> None:
    """Append current schemas to what is kept for ever, under the next number; nothing when one is refused."""
    from schemas.releases import Refused
    from schemas.releases import release as append

    if all_events == bool(events):
        raise LocalError("name the events to release, or say --all")
    unknown = set(events or ()) - event_schemas().keys()
    if unknown:
        raise LocalError(f"no such event: {', '.join(sorted(unknown))}")
    try:
        written = append(event_schemas() if all_events else events or ())
    except Refused as error:
        raise LocalError(f"not released:\n{error}") from error
    names = [path.relative_to(REPOSITORY).as_posix() for path in written]
    if as_json:
        print_json({"released": names})
        return
    for name in names:
        screen.print(f"released {name}", soft_wrap=True)
    if not names:
        screen.print("nothing to release: every schema named is the last released one")


@application.command(name="list")
def list_schemas(as_json: AsJson = False) -> None:
    """Every event with its topic and its released versions."""
    from schemas.upcasters import UPCASTERS

    rows = [_row(schema, {number for name, number in UPCASTERS if name == schema.name}) for schema in _all()]
    if as_json:
        print_json({"events": rows})
        return
    table = Table("event", "topic", "partitioned by", "versions", "fields", "sealed", "", box=None)
    table.columns[0].no_wrap = True
    for row in rows:
        marks = [mark for mark, holds in (("retired", row["retired"]), ("not released", not row["released"])) if holds]
        marks += [f"upcast from {number:04}" for number in row["upcast_from"]]
        table.add_row(
            row["event"], row["topic"], row["partitioned_by"], str(row["versions"]), str(row["fields"]),
            ", ".join(row["sealed"]), ", ".join(marks),
        )  # fmt: skip
    screen.print(table)


@application.command()
def register(as_json: AsJson = False) -> None:
    """Register every current schema with the registry, which also compares each with what it has. Twice is once."""
    installations.current()
    import httpx2
    from confluent_kafka.schema_registry.error import SchemaRegistryError

    from schemas.registration import register as register_all
    from schemas.releases import problems
    from shared.environment import environment

    if found := problems():
        raise LocalError("not registered:\n" + "\n".join(map(str, found)))
    url = environment().schema_registry_url
    try:
        ids = register_all(url)
    except (SchemaRegistryError, httpx2.HTTPError) as error:
        raise LocalError(f"the registry at {url}: {error}") from error
    if as_json:
        print_json({"registry": url, "ids": ids})
        return
    for name, schema_id in ids.items():
        screen.print(f"{schema_id:>6}  {name}")
    say(f"{len(ids)} schemas at {url}")


def _all() -> list[EventSchema]:
    return list(event_schemas().values())


def _versions() -> int:
    return sum(len(schema.released()) for schema in _all())


def _row(schema: EventSchema, upcast_from: set[int]) -> dict[str, Any]:
    versions = schema.released()
    return {
        "event": schema.name,
        "topic": schema.topic,
        "partitioned_by": schema.partitioned_by,
        "versions": len(versions),
        "released": versions[-1:] == [schema.avro],
        "retired": schema.retired,
        "upcast_from": sorted(upcast_from),
        "fields": len(schema.avro["fields"]),
        "sealed": [field["name"] for field in schema.avro["fields"] if field.get("sealed")],
    }
