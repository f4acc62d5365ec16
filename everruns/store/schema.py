"""Creating a database from `schema.sql`, and migrating a file of an older schema version."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from everruns.store import backup, db

_PACKAGE = Path(__file__).parent.parent
_SCHEMA_FILES = (_PACKAGE / "schema.sql", _PACKAGE.parent / "schema.sql")  # in a wheel, in a checkout
MIGRATIONS = _PACKAGE / "migrations"


def schema() -> str:
    """Return the text of `schema.sql`."""
    return next(path for path in _SCHEMA_FILES if path.exists()).read_text("utf-8")


def create(path: Path, timeout: float, fill: Callable[[sqlite3.Connection], None]) -> bool:
    """Create the database at `path`, whole or not at all; return False when a current one exists already.

    `fill` stores what a new database contains. Raises `DatabaseUnavailable` when the file is something else, and
    `sqlite3.Error`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.touch(mode=0o600)  # SQLite gives the files beside it the same mode
    except OSError as error:
        raise db.DatabaseUnavailable(f"{error.filename} cannot be created: {error.strerror}") from None
    with closing(db.connect(path, timeout)) as connection:
        exists = not _is_empty(connection)
        if exists:
            db.verify(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        if exists:
            return False
        connection.execute("BEGIN IMMEDIATE")
        created = _is_empty(connection)  # otherwise another init-db was faster
        if created:
            for statement in _statements(schema()):
                connection.execute(statement)
            fill(connection)
        connection.execute("COMMIT")
    return created


def migrate(path: Path, timeout: float) -> tuple[int, Path | None]:
    """Bring the file at `path` to the current schema version, in one transaction.

    Returns the version it had, and the backup written beside it before (None when it was current). Raises
    `DatabaseUnavailable` when the file cannot be migrated, and `sqlite3.Error`.
    """
    with closing(db.connect(path, timeout)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")  # tables are replaced; cannot change within a transaction
        connection.execute("PRAGMA legacy_alter_table = ON")  # renaming a table leaves other tables alone
        connection.execute("BEGIN IMMEDIATE")
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if application_id != db.APPLICATION_ID or not db.OLDEST_VERSION <= version < db.SCHEMA_VERSION:
            db.verify(connection)
            return version, None
        copy = backup.unused(f"{path}.backup-version-{version}")
        try:
            with closing(db.connect(path, timeout)) as source:
                backup.backup(source, copy)
        except OSError as error:
            raise db.DatabaseUnavailable(f"the backup {copy} cannot be written: {error.strerror}") from None
        for number in range(version + 1, db.SCHEMA_VERSION + 1):
            (script,) = MIGRATIONS.glob(f"{number:04}_*.sql")
            for statement in _statements(script.read_text("utf-8")):
                connection.execute(statement)
        connection.execute("COMMIT")
        return version, copy


def _is_empty(connection: sqlite3.Connection) -> bool:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
    return (application_id, tables) == (0, 0)


def _statements(script: str) -> Iterator[str]:
    """Yield the statements of `script` one by one: `executescript` would commit the open transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
