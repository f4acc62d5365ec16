"""The database file: connections, read and write transactions."""

import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path

from everruns.store import features, heartbeat

APPLICATION_ID = 1163285075
SCHEMA_VERSION = 8
OLDEST_VERSION = 5  # that can be migrated
WRITER_CACHE_KIB = 8 * 1024  # an import touches index pages all over the file
WAL_LIMIT_BYTES = 4 * 1024 * 1024
SHARED_MEMORY_BYTES = 32 * 1024  # the least that SQLite needs for the -shm file


class DatabaseUnavailable(Exception):
    """The database cannot be used now; the message says why and what to do."""


class ReplicaStale(DatabaseUnavailable):
    """The data of this replica is older than allowed; the message may be shown to API clients."""


class ReadOnlyReplica(DatabaseUnavailable):
    """A write on a read replica."""


class _Connections(threading.local):
    """The connections of a thread, and the device and inode of the file that they have open."""

    def __init__(self) -> None:
        self.file: tuple[int, int] | None = None
        self.reader: sqlite3.Connection | None = None
        self.writer: sqlite3.Connection | None = None


class Database:
    """The database file at `path`. Nothing is opened before the first transaction.

    `timeout` is the number of seconds to wait for a lock. With `replica`, the file is a copy that
    `litestream restore -f` keeps up to date; it is not read when older than `max_lag` seconds (0: any age).
    """

    def __init__(self, path: Path, timeout: float = 5.0, replica: bool = False, max_lag: float = 0) -> None:
        self.path = path
        self.timeout = timeout
        self.replica = replica
        self.max_lag = max_lag
        self._connections = _Connections()

    def read(self) -> AbstractContextManager[sqlite3.Connection]:
        """Yield a connection in a read transaction: all statements see the same snapshot.

        Raises `DatabaseUnavailable` or `sqlite3.Error`.
        """
        return self._read_replica() if self.replica else self._transaction(self._reader(), "BEGIN")

    @contextmanager
    def _read_replica(self) -> Iterator[sqlite3.Connection]:
        # Litestream changes pages without telling SQLite: nothing read before may be kept.
        with closing(self._open("ro")) as connection:
            connection.execute("BEGIN")
            if self.max_lag:
                lag = heartbeat.lag_seconds(connection)
                if lag is None:
                    raise ReplicaStale("the age of this replica is unknown: no heartbeat has arrived")
                if lag > self.max_lag:
                    rule = f"must be at most {self.max_lag:g} s old"
                    raise ReplicaStale(f"the data of this replica {rule}; got {lag:.0f} s")
            yield connection

    def write(self) -> AbstractContextManager[sqlite3.Connection]:
        """Yield a connection in a write transaction: committed at the end, rolled back on an exception.

        Raises `ReadOnlyReplica`, `DatabaseUnavailable` or `sqlite3.Error`.
        """
        self.refuse_on_replica()
        return self._transaction(self._writer(), "BEGIN IMMEDIATE")

    @contextmanager
    def _transaction(self, connection: sqlite3.Connection, begin: str) -> Iterator[sqlite3.Connection]:
        try:
            connection.execute(begin)
            yield connection
            connection.execute("COMMIT")
        except sqlite3.Error:
            self.close()  # the file may be damaged or replaced: open it again for the next transaction
            raise
        except BaseException:
            connection.rollback()
            raise

    def checkpoint(self) -> None:
        """Move the write-ahead log into the database file and truncate it, as far as no other program is using it."""
        with suppress(sqlite3.Error), closing(self._open("rw", timeout=0)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def refuse_on_replica(self) -> None:
        """Raise `ReadOnlyReplica` on a replica, where writes are lost and corrupt the copy."""
        if self.replica:
            raise ReadOnlyReplica("this is a read replica (EVERRUNS_READ_ONLY is set); run the command on the primary")

    def close(self) -> None:
        """Close the connections of this thread."""
        connections = self._connections
        for connection in (connections.reader, connections.writer):
            if connection is not None:
                connection.close()
        connections.reader = connections.writer = None

    def _reader(self) -> sqlite3.Connection:
        self._close_if_replaced()
        if self._connections.reader is None:
            # Opened for writing, so that the last connection to close moves the write-ahead log into the file.
            self._connections.reader = self._open("rw")
            self._connections.reader.execute("PRAGMA query_only = ON")
        return self._connections.reader

    def _writer(self) -> sqlite3.Connection:
        self._close_if_replaced()
        if self._connections.writer is None:
            connection = self._connections.writer = self._open("rw")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = FULL")  # sync at every commit: it survives a power cut
            connection.execute("PRAGMA temp_store = MEMORY")  # triggers keep the pages they change in a temporary file
            connection.execute(f"PRAGMA cache_size = -{WRITER_CACHE_KIB}")
            connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
        return self._connections.writer

    def _close_if_replaced(self) -> None:
        try:
            status = os.stat(self.path)
            file = (status.st_dev, status.st_ino)
        except OSError:
            file = None
        if file != self._connections.file:
            self.close()
            self._connections.file = file

    def _open(self, mode: str, timeout: float | None = None) -> sqlite3.Connection:
        connection = connect(self.path, self.timeout if timeout is None else timeout, mode)
        try:
            verify(connection)
        except BaseException:
            connection.close()
            raise
        return connection


def connect(path: Path, timeout: float, mode: str = "rw") -> sqlite3.Connection:
    """Open the file at `path`; `mode` is SQLite's `ro` or `rw`. Raises `DatabaseUnavailable`."""
    # SQLite has one message for all reasons not to open a file; the operating system is more precise.
    try:
        if path.is_dir():
            raise DatabaseUnavailable(f"{path} must be a file; it is a directory")
        path.stat()
    except FileNotFoundError:
        raise DatabaseUnavailable(f"{path} does not exist; run 'everruns init-db'") from None
    except OSError as error:
        raise DatabaseUnavailable(f"{path} cannot be read: {error.strerror}") from None
    if not os.access(path, os.R_OK):
        raise DatabaseUnavailable(f"{path} cannot be read: permission denied for this user")
    try:
        connection = sqlite3.connect(f"{path.as_uri()}?mode={mode}", timeout, isolation_level=None, uri=True)
    except sqlite3.OperationalError as error:
        raise DatabaseUnavailable(f"{path} cannot be opened: {error}") from None
    connection.text_factory = _decode
    connection.create_function("casefold", 1, _casefold, deterministic=True)
    features.register(connection)
    return connection


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")  # another program may have stored bytes that are not UTF-8


def _casefold(raw: bytes | None) -> str | None:
    # A BLOB, because sqlite3 gives a function no text that is not UTF-8.
    return None if raw is None else _decode(raw).casefold()


def verify(connection: sqlite3.Connection, migrate: str = "everruns migrate") -> None:
    """Raise `DatabaseUnavailable` unless the file is a database of this program and of its schema version.

    `migrate` is the command that upgrades the file.
    """
    (_, _, path) = connection.execute("PRAGMA database_list").fetchone()
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application_id != APPLICATION_ID:
        advice = "use another file or run 'everruns init-db'"
        raise DatabaseUnavailable(f"{path} is not a database of Everruns Sessions; {advice}")
    if version != SCHEMA_VERSION:
        advice = "export with the release that made it, then import here"
        if version > SCHEMA_VERSION:
            advice = "install a newer release of Everruns Sessions"
        elif version >= OLDEST_VERSION:
            advice = f"run '{migrate}'"
        raise DatabaseUnavailable(f"{path} must have schema version {SCHEMA_VERSION}; got {version}: {advice}")


def defer_foreign_keys(connection: sqlite3.Connection) -> None:
    """Check foreign keys at the end of the current transaction. SQLite compiles all statements again after this."""
    connection.execute("PRAGMA defer_foreign_keys = ON")


def data_version(connection: sqlite3.Connection) -> int:
    """Return a number that changes when another connection has committed to the file since the last call."""
    (version,) = connection.execute("PRAGMA data_version").fetchone()
    return int(version)


def explain(error: sqlite3.Error, path: Path) -> str:
    """Return what is wrong with the database at `path`, and what to do."""
    damaged = f"{path} is damaged; see 'everruns check', and restore a backup with 'everruns restore FILE'"
    advice = {
        sqlite3.SQLITE_NOTADB: damaged,
        sqlite3.SQLITE_CORRUPT: damaged,
        sqlite3.SQLITE_BUSY: "the database is locked by another program; retry, or raise EVERRUNS_DATABASE_TIMEOUT",
        sqlite3.SQLITE_FULL: "the disk is full; free some space and retry",
        sqlite3.SQLITE_READONLY: f"this user must be allowed to write {path} and its directory, where SQLite keeps the "
        "-wal and -shm files that even reading needs",
    }
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_IOERR:
        with suppress(OSError):  # the directory may be gone
            if shutil.disk_usage(path.parent).free < SHARED_MEMORY_BYTES:
                code = sqlite3.SQLITE_FULL
    return advice.get(code, f"the database cannot be used: {error}")
