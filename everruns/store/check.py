"""The errors that `everruns check` reports: of the file, its schema, references, capabilities and derived tables."""

import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from everruns.store import db, derived, organizations, schema

# Responses leave such capabilities out of the features, so that only this shows them.
WRONG_CAPABILITIES = """
SELECT id
FROM {table}
WHERE EXISTS (SELECT 1 FROM json_each(capabilities) WHERE type <> 'object')
"""


def errors(connection: sqlite3.Connection) -> Iterator[str]:
    """Yield a line for each error: file integrity, schema, references, capabilities and derived tables."""
    for (message,) in connection.execute("PRAGMA integrity_check"):
        if message != "ok":
            yield message
    yield from _missing(connection)
    for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        yield f"{table} row {row} refers to a row of {parent} that does not exist"
    for table in ("harnesses", "agents", "sessions"):
        for (row,) in connection.execute(WRONG_CAPABILITIES.format(table=table)):
            yield f"{table} row {row}: each of its capabilities must be an object"
    yield from derived.differences(connection)


def backup_errors(path: Path, timeout: float) -> list[str]:
    """Return the errors of a backup, or that it is empty. Raises `DatabaseUnavailable` or `sqlite3.Error`."""
    with closing(db.connect(path, timeout)) as connection:
        db.verify(connection, migrate=f"EVERRUNS_DATABASE={shlex.quote(str(path))} everruns migrate")
        connection.execute("BEGIN")
        if next(organizations.list_organizations(connection), None) is None:
            return ["there is no organization in it"]
        return list(errors(connection))


def _missing(connection: sqlite3.Connection) -> Iterator[str]:
    # Additional tables are fine: Litestream and ANALYZE create some.
    with closing(sqlite3.connect(":memory:")) as expected:
        expected.executescript(schema.schema())
        names = expected.execute("SELECT type, name FROM sqlite_schema").fetchall()
    existing = set(connection.execute("SELECT type, name FROM sqlite_schema"))
    return (f"the {kind} {name} is missing" for kind, name in names if (kind, name) not in existing)
