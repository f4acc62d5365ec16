"""The heartbeat: a timestamp that the primary writes, from which a replica computes the age of its data."""

import sqlite3
from datetime import UTC, datetime

from everruns.timestamps import now


def store_heartbeat(connection: sqlite3.Connection) -> None:
    """Store the current time."""
    connection.execute(
        """
        INSERT INTO heartbeat (id, at)
        VALUES (1, :now)
        ON CONFLICT (id) DO UPDATE SET at = excluded.at
        """,
        {"now": now()},
    )
    # Rewrites the first page of the file: only with that page does Litestream take a new copy out of WAL mode.
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute(f"PRAGMA user_version = {version:d}")


def lag_seconds(connection: sqlite3.Connection) -> float | None:
    """Return the age of the last heartbeat by the local clock, or None without one.

    Everything stored before that heartbeat is in the database.
    """
    row = connection.execute("SELECT at FROM heartbeat").fetchone()
    if row is None:
        return None
    return max((datetime.now(UTC) - datetime.fromisoformat(row[0])).total_seconds(), 0.0)
