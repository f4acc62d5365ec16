"""Plain SQL of other programs."""

import sqlite3
from contextlib import closing
from pathlib import Path


def execute_without_foreign_keys(path: Path, sql: str) -> None:
    """Run SQL on the file with foreign keys off, as SQLite's shell has them."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(sql)
