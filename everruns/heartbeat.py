"""The heartbeat: a sign of life that the primary writes, by which a copy of its database tells how old it is."""

import sqlite3
from datetime import UTC, datetime

from everruns.values import now


def beat(connection: sqlite3.Connection) -> None:
    """Store that the primary lives, in a write transaction of its own.

    with db.transaction() as connection:
        heartbeat.beat(connection)
    """
    connection.execute(
        """
        INSERT INTO heartbeat (id, at)
        VALUES (1, :now)
        ON CONFLICT (id) DO UPDATE SET at = excluded.at
        """,
        {"now": now()},
    )
    # Stores nothing new, but in the first page of the file, and only with that one does Litestream take a fresh
    # copy out of WAL mode, in which every request must open it anew.
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute(f"PRAGMA user_version = {version:d}")


def lag_seconds(connection: sqlite3.Connection) -> float | None:
    """How old the data is, by this machine's clock; None when no heartbeat was ever stored.

    Everything stored before the last heartbeat is there, and something stored after it may be.
    """
    row = connection.execute("SELECT at FROM heartbeat").fetchone()
    if row is None:
        return None
    return max((datetime.now(UTC) - datetime.fromisoformat(row[0])).total_seconds(), 0.0)
