"""Writing a backup of a database, and restoring one."""

import sqlite3
from contextlib import closing
from pathlib import Path

from everruns.store import db


def backup(source: sqlite3.Connection, path: Path) -> None:
    """Write a consistent copy of the database to `path`. Raises `FileExistsError`, `OSError` or `sqlite3.Error`."""
    path.touch(mode=0o600, exist_ok=False)
    try:
        with closing(sqlite3.connect(path)) as copy:
            source.backup(copy)
    except BaseException:
        path.unlink()
        raise


def restore(source: Path, path: Path, timeout: float) -> Path | None:
    """Replace the content of the database at `path` by that of the file `source`, while the service runs.

    The content is written in one transaction, so that readers see the old or the new. A database that is too damaged
    for that is first moved aside; returns where to. Raises `DatabaseUnavailable` or `sqlite3.Error`.
    """
    with closing(db.connect(source, timeout)) as content:
        db.verify(content)
        damaged = _move_aside_if_damaged(path, timeout)
        is_new = not path.exists()
        if is_new:
            for suffix in ("-wal", "-shm"):  # of a file that was here, which the service may still have open
                Path(f"{path}{suffix}").unlink(missing_ok=True)
            path.touch(mode=0o600)
        try:
            with closing(db.connect(path, timeout)) as database:
                database.execute("PRAGMA journal_mode = WAL")
                content.backup(database, progress=_raise_when_locked)
        except BaseException:
            if is_new:
                path.unlink()
            raise
    return damaged


def unused(name: str) -> Path:
    """Return the path `name`, or the first of `name-1`, `name-2`, … that does not exist."""
    number, path = 0, Path(name)
    while path.exists():
        number += 1
        path = Path(f"{name}-{number}")
    return path


def _raise_when_locked(status: int, _remaining: int, _total: int) -> None:
    if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):  # after the timeout of the connection
        error = sqlite3.OperationalError("database is locked")
        error.sqlite_errorcode = sqlite3.SQLITE_BUSY
        raise error


def _move_aside_if_damaged(path: Path, timeout: float) -> Path | None:
    if not path.exists():
        return None
    try:
        with closing(db.connect(path, timeout)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            return None
    except sqlite3.DatabaseError as error:
        if (error.sqlite_errorcode & 0xFF) not in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise
    damaged = unused(f"{path}.damaged")
    for suffix in ("", "-wal", "-shm"):
        if (file := Path(f"{path}{suffix}")).exists():
            file.rename(f"{damaged}{suffix}")
    return damaged
