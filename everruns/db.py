"""The database file: connections, the read snapshot, the write transaction, and how a file comes to be."""

import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Lock

from flask import Flask, current_app

from everruns import files, heartbeat

APPLICATION_ID = 1163285075
SCHEMA_VERSION = 5
MAX_TIMEOUT_SECONDS = 3600
MAX_LAG_SECONDS = 7 * 24 * 3600
WRITER_CACHE_KIB = 32 * 1024  # at most: an import touches index pages all over the file

_EXTENSION = "everruns.database"


class DatabaseUnavailable(Exception):
    """The database cannot be used now; the message says why and what to do about it."""


class ReplicaStale(DatabaseUnavailable):
    """This is a replica whose copy is older than it may be; the message is for everyone."""


class ReadOnly(DatabaseUnavailable):
    """This is a replica, on which nothing is written."""


def init_app(app: Flask) -> None:
    """Give `app` its database: `app.config["DATABASE"]`, a path, made absolute here. Opens nothing.

    `DATABASE_TIMEOUT` is how many seconds to wait for a lock. `READ_ONLY` says that the file is a copy which
    `litestream restore -f` keeps; with `MAX_REPLICA_LAG`, seconds, it is not served when it is older, 0 being never.
    """
    try:
        path = Path(str(app.config["DATABASE"])).absolute()
    except FileNotFoundError:
        raise SystemExit("the folder that you are in is no longer there; go to another one") from None
    timeout = _seconds(app, "DATABASE_TIMEOUT", MAX_TIMEOUT_SECONDS)
    max_lag = _seconds(app, "MAX_REPLICA_LAG", MAX_LAG_SECONDS)
    read_only = app.config["READ_ONLY"]
    if read_only not in (0, 1):
        raise SystemExit(f"EVERRUNS_READ_ONLY must be 0 or 1, not {read_only!r}")
    app.config.update(DATABASE=path, DATABASE_TIMEOUT=timeout, READ_ONLY=bool(read_only))
    app.extensions[_EXTENSION] = ReplicaReader(path, timeout, max_lag, Lock()) if read_only else Reader(path, timeout)


def _seconds(app: Flask, name: str, most: int) -> float:
    try:
        seconds = float(app.config[name])
        if not 0 <= seconds <= most:
            raise ValueError
    except (TypeError, ValueError):
        given = app.config[name]
        raise SystemExit(f"EVERRUNS_{name} must be a number of seconds from 0 to {most}, not {given!r}") from None
    return seconds


def reader(app: Flask) -> "Reader":
    """The read-only connections of `app`, one a thread, for who must do without an application context."""
    found: Reader = app.extensions[_EXTENSION]
    return found


@contextmanager
def snapshot() -> Iterator[sqlite3.Connection]:
    """A read-only connection, inside one read transaction: all its statements see the same moment.

    Raises `DatabaseUnavailable` or `sqlite3.Error`.

        with db.snapshot() as connection:
            connection.execute("SELECT COUNT(*) FROM sessions")
    """
    reader: Reader = current_app.extensions[_EXTENSION]
    with reader.reading() as connection:
        try:
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")
        except sqlite3.Error:
            reader.close()  # whatever is wrong with it, the next request starts afresh
            raise
        finally:
            if reader.connection is not None and connection.in_transaction:
                connection.execute("ROLLBACK")


@contextmanager
def transaction() -> Iterator[sqlite3.Connection]:
    """A connection inside one write transaction: committed at the end, rolled back on any exception.

    Raises `ReadOnly`, `DatabaseUnavailable` or `sqlite3.Error`.

        with db.transaction() as connection:
            connection.execute("DELETE FROM organizations WHERE id = ?", [organization_id])
    """
    refuse_on_replica()
    path, timeout = current_app.config["DATABASE"], current_app.config["DATABASE_TIMEOUT"]
    with closing(_open(path, timeout, mode="rw")) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA cache_size = -{WRITER_CACHE_KIB}")
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


def refuse_on_replica() -> None:
    """Raise `ReadOnly` on a replica: what were written there would be lost, and would spoil the copy."""
    if current_app.config["READ_ONLY"]:
        raise ReadOnly("this is a read-only replica (EVERRUNS_READ_ONLY is set); run the command on the primary")


@contextmanager
def inspection() -> Iterator[sqlite3.Connection]:
    """A connection inside one read transaction for `PRAGMA integrity_check`, on a file that may be written or not.

    SQLite forgets CHECK constraints when it opens a file as read-only, and would then find none of them broken.
    Raises `DatabaseUnavailable` or `sqlite3.Error`.
    """
    path, timeout = current_app.config["DATABASE"], current_app.config["DATABASE_TIMEOUT"]
    with closing(_open(path, timeout, mode="rw")) as connection:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("BEGIN")
        yield connection


def verify(connection: sqlite3.Connection) -> None:
    """Raise `DatabaseUnavailable` unless `connection` leads to a database of this program and version."""
    (_, _, path) = connection.execute("PRAGMA database_list").fetchone()
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application_id != APPLICATION_ID:
        raise DatabaseUnavailable(f"{path} is not a database of Everruns Sessions; name another, or run init-db")
    if version != SCHEMA_VERSION:
        advice = (
            "upgrade Everruns Sessions"
            if version > SCHEMA_VERSION
            else "it was made by an older release; export with that one, import here"
        )
        raise DatabaseUnavailable(f"{path} has schema version {version}, not {SCHEMA_VERSION}: {advice}")


def create(path: Path, timeout: float, fill: Callable[[sqlite3.Connection], None]) -> bool:
    """Create the database at `path` whole, or not at all; False when a current one is already there.

    `fill` stores what a new database begins with. Only a file without any table is written to. Raises
    `DatabaseUnavailable` when `path` holds something else, and `sqlite3.Error`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.touch(mode=0o600)  # it says what people talk about; SQLite gives the files beside it the same mode
    except OSError as error:
        raise DatabaseUnavailable(f"{error.filename} cannot be created: {error.strerror}") from None
    with closing(_connect(path, timeout, mode="rw")) as connection:
        there = not _is_blank(connection)
        if there:
            verify(connection)
        connection.execute("PRAGMA journal_mode = WAL")  # a copy that Litestream kept has lost it
        if there:
            return False
        connection.execute("BEGIN IMMEDIATE")
        if _is_blank(connection):  # else another init-db was quicker
            for statement in _statements(schema()):
                connection.execute(statement)
            fill(connection)
        connection.execute("COMMIT")
    return True


def missing(connection: sqlite3.Connection) -> list[str]:
    """A line for each table, index and trigger of `schema.sql` that is not there. Others may be: Litestream's are."""
    with closing(sqlite3.connect(":memory:")) as whole:
        whole.executescript(schema())
        wanted = whole.execute("SELECT type, name FROM sqlite_schema").fetchall()
    there = set(connection.execute("SELECT type, name FROM sqlite_schema"))
    return [f"the {kind} {name} is missing" for kind, name in wanted if (kind, name) not in there]


def schema() -> str:
    """The text of `schema.sql`."""
    return files.find("schema.sql").read_text("utf-8")


def _open(path: Path, timeout: float, mode: str) -> sqlite3.Connection:
    """Open the database at `path` and verify it; `mode` is SQLite's: `ro` or `rw`."""
    connection = _connect(path, timeout, mode)
    try:
        verify(connection)
        if mode == "ro":
            connection.execute("PRAGMA query_only = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(path: Path, timeout: float, mode: str) -> sqlite3.Connection:
    # SQLite has one message for every reason not to open a file; the operating system is more precise. It is
    # asked without opening: closing a second handle would drop the locks that SQLite holds in this process.
    try:
        folder = stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        raise DatabaseUnavailable(f"{path} does not exist; run 'everruns init-db' first") from None
    except OSError as error:
        raise DatabaseUnavailable(f"{path} cannot be read: {error.strerror}") from None
    else:
        if folder:
            raise DatabaseUnavailable(f"{path} is a folder; name a file")
        if not os.access(path, os.R_OK):
            raise DatabaseUnavailable(f"{path}: permission denied for this user")
    try:
        connection = sqlite3.connect(f"{path.as_uri()}?mode={mode}", timeout, isolation_level=None, uri=True)
    except sqlite3.OperationalError as error:
        raise DatabaseUnavailable(f"{path} cannot be opened: {error}") from None
    # A foreign program may have stored bytes that are no UTF-8: they must not cost an answer.
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    return connection


def _is_blank(connection: sqlite3.Connection) -> bool:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
    return (application_id, tables) == (0, 0)


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


class Reader(threading.local):
    """The read-only connection of a thread, opened when first asked for and again when the file is not the same.

    Not the same: another file, or this one written to. SQLite itself writes there at a checkpoint, which is rare;
    what else does has spoilt it, and must not be covered up by what a connection remembers.
    """

    def __init__(self, path: Path, timeout: float) -> None:
        self.path = path
        self.name = str(path)
        self.timeout = timeout
        self.connection: sqlite3.Connection | None = None
        self.file: tuple[int, int, int, int] | None = None

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection of this thread, outside any transaction; raises `DatabaseUnavailable`, `sqlite3.Error`."""
        yield self._get()

    def close(self) -> None:
        """Close the connection of this thread; the next `reading` opens another."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def _get(self) -> sqlite3.Connection:
        try:
            status = os.stat(self.name)
            file = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        except OSError:
            file = None
        if self.connection is None or file != self.file:
            self.close()
            self.connection = _open(self.path, self.timeout, mode="ro")
            self.file = file
        return self.connection


class ReplicaReader(Reader):
    """A reader of a copy that Litestream writes to, page by page and behind SQLite's back.

    Litestream keeps out of SQLite's way by its locks. What it does not do is tell SQLite that pages have changed:
    nothing read before may be remembered. In WAL mode, in which a copy begins, a connection locks it as long as it
    is open.
    """

    def __init__(self, path: Path, timeout: float, max_lag: float, turn: Lock) -> None:
        super().__init__(path, timeout)
        self.max_lag = max_lag
        # One reader at a time in a process: SQLite shares locks among its threads, and would never let go of them.
        self.turn = turn

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """As `Reader.reading`; also raises `ReplicaStale` for a copy that is older than `max_lag` seconds."""
        with self.turn:
            connection = self._get()
            try:
                if self.max_lag:
                    self._refuse_stale(connection)
                yield connection
            finally:
                self._forget()

    def _refuse_stale(self, connection: sqlite3.Connection) -> None:
        lag = heartbeat.lag_seconds(connection)
        if lag is None:
            raise ReplicaStale("nobody knows how old this replica's data is: no heartbeat has arrived")
        if lag > self.max_lag:
            raise ReplicaStale(f"this replica's data is {lag:.0f} s old, and may be {self.max_lag:g}; ask another one")

    def _forget(self) -> None:
        if self.connection is None:
            return
        (journal_mode,) = self.connection.execute("PRAGMA journal_mode").fetchone()
        if journal_mode == "wal":
            self.close()
        else:
            self.connection.execute("PRAGMA shrink_memory")
