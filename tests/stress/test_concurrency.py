"""Readers through gunicorn while several programs write: each response is of one state of the database.

The database goes through numbered states, each written in one transaction. A page shows its number in all titles and
features, so that the rest of it can be computed: no response mixes two states, or is older than the last state that was
committed when the request was sent.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import pytest

from everruns.records import Organization
from everruns.store import catalog
from everruns.store.db import Database
from everruns.transfer.importer import Import
from everruns.transfer.parser import ParsedRecord
from tests.stress.scale import scaled
from tests.support.server import serve

AGENTS = ("agent_0", "agent_1")


def size(state: int) -> int:
    """Return how many sessions a state has."""
    return 30 + Random(state).randrange(30)


def page(state: int, agent: str | None, offset: int, limit: int) -> tuple[int, list[str]]:
    """Return the total and the ids that a response must have in a state."""
    ids = [f"session_{index}" for index in reversed(range(size(state))) if agent in (None, AGENTS[index % 2])]
    return len(ids), ids[offset : offset + limit]


class Writers:
    """Writes one state after the other, by imports and by SQL. `started` and `committed` are the latest states."""

    def __init__(self, path: Path, organization: Organization) -> None:
        self.path, self.organization = path, organization
        self.database = Database(path, timeout=30)
        self.started = self.committed = -1
        self.lock, self.stopped = threading.Lock(), False
        self.write_state(self.by_import)

    def write_state(self, write: Callable[[sqlite3.Connection, int], None]) -> None:
        """Write the state after the one that is stored."""
        with self.database.write() as connection:  # no other writer is in here
            self.started = state = self.started + 1
            write(connection, state)
            connection.execute("DELETE FROM sessions WHERE CAST(substr(public_id, 9) AS INTEGER) >= ?", [size(state)])
        with self.lock:
            self.committed = max(self.committed, state)

    def by_import(self, connection: sqlite3.Connection, state: int) -> None:
        entry = {"id": "shell", "name": "shell", "status": "available", "features": [str(state)]}
        catalog.replace(connection, [entry])
        Import(connection, self.organization).run([[ParsedRecord("line 1", record)] for record in self.records(state)])

    def by_sql(self, connection: sqlite3.Connection, state: int) -> None:
        connection.execute("UPDATE capability_features SET feature = ?", [str(state)])
        connection.execute("UPDATE provided_features SET feature = ?", [str(state)])
        connection.execute("UPDATE sessions SET title = ?", [str(state)])
        connection.executemany(
            """
            INSERT INTO sessions (organization_id, agent_id, public_id, title, created_at, updated_at)
            SELECT organization_id, id, :id, :title, :created_at, :created_at
            FROM agents
            WHERE public_id = :agent_id
            ON CONFLICT DO NOTHING
            """,
            list(self.records(state))[len(AGENTS) :],
        )

    def records(self, state: int) -> Iterator[dict[str, Any]]:
        for agent in AGENTS:
            yield {"id": agent, "name": agent, "capabilities": [{"ref": "shell"}]}
        for index in range(size(state)):
            created_at = f"2026-01-01T00:{index // 3:02}:00.000000Z"
            yield {
                "id": f"session_{index}",
                "agent_id": AGENTS[index % 2],
                "title": str(state),
                "created_at": created_at,
            }


def read(url: str, key: str, writers: Writers, count: int, number: int) -> int:
    """Read until this or another reader has `count` responses or got a wrong one; return how many came."""
    random, etags, responses = Random(number), dict[str, tuple[str, Any]](), 0
    try:
        with closing(HTTPConnection(urlsplit(url).netloc)) as connection:
            while responses < count and not writers.stopped:
                agent, offset, limit = random.choice([None, *AGENTS]), random.randrange(10), random.choice([5, 100])
                path = f"/v1/sessions?offset={offset}&limit={limit}" + (f"&agent_id={agent}" if agent else "")
                etag, body = etags.get(path, ("", None))
                oldest = writers.committed
                connection.request("GET", path, headers={"Authorization": key, "If-None-Match": etag})
                response = connection.getresponse()
                content = response.read()
                newest = writers.started
                if response.status != 304:
                    assert response.status == 200, f"{response.status} {content!r}"
                    body = json.loads(content)
                    etags[path] = response.headers["ETag"], body
                shown = {session["title"] for session in body["data"]}
                shown |= {feature for session in body["data"] for feature in session["features"]}
                assert len(shown) == 1, f"{path}: the data is of the states {shown}"
                state = int(shown.pop())
                assert oldest <= state <= newest, f"{path}: state {state}; allowed are {oldest} to {newest}"
                got = body["total"], [session["id"] for session in body["data"]]
                assert got == page(state, agent, offset, limit), f"{path}: state {state} does not have {got}"
                responses += 1
    finally:
        writers.stopped = True
    return responses


def run(url: str, key: str, writers: Writers, count: int) -> int:
    """Read with 4 clients and write with 2, until a client has `count` responses; return how many came in all."""

    def write(how: Callable[[sqlite3.Connection, int], None]) -> None:
        while not writers.stopped:
            writers.write_state(how)
            time.sleep(0.005)  # SQLite has no queue: without a pause, the other writer finds no gap

    with ThreadPoolExecutor() as pool:
        reading = [pool.submit(read, url, key, writers, count, number) for number in range(4)]
        writing = [pool.submit(write, how) for how in (writers.by_import, writers.by_sql)]
        for future in writing:
            future.result()
        return sum(future.result() for future in reading)


def test_each_response_is_of_one_state(
    database_path: Path, organization: Organization, key: str, record_property: Callable[[str, object], None]
) -> None:
    writers = Writers(database_path, organization)
    with serve(database_path, EVERRUNS_WORKERS="2") as url:
        responses = run(url, key, writers, scaled(60))
    assert writers.committed > 10
    record_property("states", writers.committed)
    record_property("responses", responses)


@pytest.mark.parametrize(("name", "error"), [("mix_snapshots", "does not have"), ("keep_pages", "allowed are")])
def test_a_wrong_service_is_found(
    database_path: Path, organization: Organization, key: str, name: str, error: str
) -> None:
    writers = Writers(database_path, organization)
    application = f"tests.stress.wrong_services:serve('{name}')"
    with serve(database_path, "--threads", "4", application) as url, pytest.raises(AssertionError, match=error):
        run(url, key, writers, 1000)
