"""The derived tables: each but the index of titles must contain what its view in `schema.sql` computes."""

import sqlite3
from collections.abc import Iterator

TABLES = {
    "session_counts": "organization_id, agent_id, precision, period, status, sessions",
    "session_tags": "organization_id, tag, session_id",
    "provided_features": "capability_id, feature",
}

# The view has no rows with 0 sessions; the table may.
DIFFERENCES = """
SELECT 'must have', *
FROM (SELECT {columns} FROM computed_{table} EXCEPT SELECT {columns} FROM {table})
UNION ALL
SELECT 'must not have', *
FROM (SELECT {columns} FROM {table} EXCEPT SELECT {columns} FROM computed_{table})
WHERE {is_counted}
"""

CLEAR = "DELETE FROM {table}"

FILL = """
INSERT INTO {table} ({columns})
SELECT {columns}
FROM computed_{table}
"""

COUNT_TITLES = """
SELECT (SELECT COUNT(*) FROM sessions), (SELECT COUNT(*) FROM session_titles_docsize)
"""


def differences(connection: sqlite3.Connection) -> Iterator[str]:
    """Yield a line for each missing or surplus row of a derived table."""
    for table, columns in TABLES.items():
        is_counted = "sessions <> 0" if table == "session_counts" else "true"
        sql = DIFFERENCES.format(table=table, columns=columns, is_counted=is_counted)
        for rule, *row in connection.execute(sql):
            yield f"{table} {rule} the row {', '.join(map(repr, row))}"
    titles, indexed = connection.execute(COUNT_TITLES).fetchone()
    if titles != indexed:
        yield f"session_titles must have {titles} rows; got {indexed}"


def rebuild(connection: sqlite3.Connection, table: str) -> None:
    """Fill a derived table again, inside a write transaction."""
    connection.execute(CLEAR.format(table=table))
    connection.execute(FILL.format(table=table, columns=TABLES[table]))


def rebuild_all(connection: sqlite3.Connection) -> None:
    """Fill all derived tables again, inside a write transaction."""
    for table in TABLES:
        rebuild(connection, table)
    connection.execute("INSERT INTO session_titles (session_titles) VALUES ('rebuild')")
