"""The statements that make a rebuilt schema's tables and indexes of what is staged, each after those it needs."""

from projectors.runtime import staging
from projectors.runtime.changes import CountTable, Table
from projectors.runtime.prepare import index_statements, primary_keys
from projectors.runtime.projection import PostgresProjection
from projectors.runtime.tasks import Task


def merge_tasks(projection: PostgresProjection, schema: str) -> list[Task]:
    """The statements that make a schema of what is staged, each with those that must come before it."""
    merges = {
        table.name: [
            Task(f"{table.name} {share + 1}", staging.merge_sql(projection, schema, table, share, shares))
            for shares in (staging.shares_of(table),)
            for share in range(shares)
        ]
        for table in projection.tables
    }
    tasks = [task for each in merges.values() for task in each]
    made = {name: tuple(task.name for task in each) for name, each in merges.items()}
    for table in projection.tables:
        tasks.append(Task(f"analyze {table.name}", f"analyze {schema}.{table.name}", made[table.name]))
        made[table.name] += (f"analyze {table.name}",)
    # The longer its key the more rows a table of counts has: it is begun first.
    for counts in sorted(projection.count_tables, key=lambda each: -len(each.key)):
        sources = {table.name for table in projection.tables for count in table.counts if count.into == counts.name}
        after = tuple(name for source in sorted(sources) for name in made[source])
        statement = staging.count_sql(projection, schema, counts)
        if statement:
            tasks.append(Task(counts.name, statement, after))
        tasks.append(
            Task(f"analyze {counts.name}", f"analyze {schema}.{counts.name}", (counts.name,) if statement else ())
        )
        made[counts.name] = (f"analyze {counts.name}",)
    every: list[Table | CountTable] = [*projection.tables, *projection.count_tables]
    keys = primary_keys(projection)
    for each in every:
        index = f"create unique index {each.name}_pkey on {schema}.{each.name} ({', '.join(keys[each.name])})"
        tasks.append(Task(f"index {each.name}_pkey", index, made[each.name]))
    for statement, table_name in index_statements(projection, schema).items():
        tasks.append(Task(f"index {statement.split()[5]}", statement, made[table_name]))
    return tasks
