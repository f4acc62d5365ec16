"""Faults planted by hand, one for each kind of attack, to see that the attack finds it. Never used otherwise.

python -m tests.attack.planted FAULT import --org …    the command line with a fault
planted.served("FAULT")                                the WSGI application with a fault
"""

import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from flask import Flask

from everruns import auth, cli, create_app, db, importer, pages, schemas, sessions, spans
from tests.conftest import ROOT

Fault = Callable[[], AbstractContextManager[Any]]


def command(fault: str) -> list[str]:
    """The command line with a fault, instead of `everruns`."""
    return [sys.executable, "-m", "tests.attack.planted", fault]


def served(fault: str) -> Flask:
    """The application with a fault, which stays in this process."""
    FAULTS[fault]().__enter__()
    return create_app()


def server(folder: Path, fault: str) -> Path:
    """A folder from which gunicorn serves the application with a fault, instead of ours."""
    folder.mkdir()
    (folder / "deploy").symlink_to(ROOT / "deploy")
    (folder / "app.py").write_text(f"from tests.attack import planted\n\napp = planted.served({fault!r})\n")
    return folder


def an_import_in_two_halves() -> AbstractContextManager[Any]:
    """Half of the sessions, and their agents, are committed on their own."""
    store = importer.Import._store_sessions

    def halves(self: importer.Import) -> None:
        sessions = list(self.gathered.items())
        middle = len(sessions) // 2
        self.gathered = dict(sessions[:middle])
        store(self)
        self.connection.execute("COMMIT")
        time.sleep(0.02)
        self.connection.execute("BEGIN IMMEDIATE")
        self.gathered = dict(sessions[middle:])
        store(self)

    return patch.object(importer.Import, "_store_sessions", halves)


def an_import_told_before_it_is_stored() -> AbstractContextManager[Any]:
    """The command ends well and has committed nothing."""
    return patch.object(importer.Import, "run", lambda self, found: os._exit(0))


def a_writer_that_does_not_sync() -> AbstractContextManager[Any]:
    """What is committed is left to the operating system to write, some time."""
    opened = db._open

    def careless(path: Path, timeout: float, mode: str) -> sqlite3.Connection:
        connection = opened(path, timeout, mode)
        connection.execute("PRAGMA synchronous = OFF")
        return connection

    return patch.object(db, "_open", careless)


@contextmanager
def an_importer_that_shrugs() -> Iterator[None]:
    """What the database refuses is no reason for another exit status."""
    try:
        yield
    except SystemExit:
        os._exit(0)


def a_total_of_another_moment() -> AbstractContextManager[Any]:
    """The total is of one read transaction, the page of the next."""
    counted = spans.count_all

    def two_moments(connection: sqlite3.Connection, scope: spans.Scope) -> int:
        total = counted(connection, scope)
        connection.execute("COMMIT")
        time.sleep(0.02)
        connection.execute("BEGIN")
        return total

    return patch.object(spans, "count_all", two_moments)


def a_page_of_all_organizations() -> AbstractContextManager[Any]:
    """The query of a page lacks the condition on the organization."""
    sql = sessions.PAGE_OF_ORGANIZATION.replace("organization_id = :organization_id", ":organization_id")
    return patch.object(sessions, "PAGE_OF_ORGANIZATION", sql)


def an_etag_without_the_catalog() -> AbstractContextManager[Any]:
    """The ETag stays the same when the catalog changes."""

    def etag(organization: auth.Organization, query: schemas.SessionsQuery) -> str:
        return f"{organization.revision[:16]}{abs(hash(query)):x}"

    return patch.object(pages, "etag", etag)


def an_etag_without_the_revision() -> AbstractContextManager[Any]:
    """The ETag stays the same whatever changes."""
    return patch.object(pages, "etag", lambda organization, query: f"{organization.id}x{abs(hash(query)):x}")


def a_key_that_outlives_its_end() -> AbstractContextManager[Any]:
    """Whether a key was revoked, or has expired, is not looked at."""
    end = "api_keys.revoked_at IS NULL AND (api_keys.expires_at IS NULL OR api_keys.expires_at > :now)"
    return patch.object(auth, "FIND_KEY", auth.FIND_KEY.replace(end, "1"))


def a_lookup_that_dawdles() -> AbstractContextManager[Any]:
    """A key that was once known is refused later than one that never was."""
    authenticate = auth.authenticate

    def dawdling(connection: sqlite3.Connection, headers: Any) -> auth.Organization:
        digest = auth._sha256(headers["Authorization"].removeprefix("Bearer "))
        if connection.execute("SELECT 1 FROM api_keys WHERE sha256 = ?", [digest]).fetchone():
            end = time.perf_counter() + 0.00002
            while time.perf_counter() < end:
                pass
        return authenticate(connection, headers)

    return patch.object(auth, "authenticate", dawdling)


def drop_a_trigger(path: Path) -> None:
    """New sessions are not counted."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TRIGGER IF EXISTS sessions_insert_count")


def lose_the_wal(path: Path) -> None:
    """What was committed, and not yet moved into the database, is gone."""
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


FAULTS: dict[str, Fault] = {
    fault.__name__: fault
    for fault in (
        an_import_in_two_halves,
        an_import_told_before_it_is_stored,
        a_writer_that_does_not_sync,
        an_importer_that_shrugs,
        a_total_of_another_moment,
        a_page_of_all_organizations,
        an_etag_without_the_catalog,
        an_etag_without_the_revision,
        a_key_that_outlives_its_end,
        a_lookup_that_dawdles,
    )
}

if __name__ == "__main__":
    with FAULTS[sys.argv.pop(1)]():
        cli.main()
