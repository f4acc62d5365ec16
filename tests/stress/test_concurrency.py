"""Readers through gunicorn while several programs write: each response is of one state of the database.

The database goes through numbered states, each written in one transaction. A page shows its number in all titles and
features, so that the rest of it can be computed: no response mixes two states, or is older than the last state that was
committed when the request was sent.
"""

import json
import sqlite3
import threading
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
from tests.stress.imports import stop_counting
from tests.stress.scale import scaled
from tests.support import ROOT
from tests.support.client import client_with_key
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
        self.lock = threading.Lock()
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


def read(url: str, key: str, writers: Writers, last: int, number: int) -> int:
    """Read until the state `last` is there; return how many responses came."""
    random, etags, responses = Random(number), dict[str, tuple[str, Any]](), 0
    with closing(HTTPConnection(urlsplit(url).netloc)) as connection:
        while writers.committed < last:
            agent, offset, limit = random.choice([None, *AGENTS]), random.randrange(10), random.choice([5, 100])
            path = f"/v1/sessions?offset={offset}&limit={limit}" + (f"&agent_id={agent}" if agent else "")
            etag, body = etags.get(path, ("none", None))
            oldest = writers.committed
            connection.request("GET", path, headers={"Authorization": key, "If-None-Match": etag})
            response = connection.getresponse()
            content = response.read()
            newest = writers.started
            if response.status != 304:
                assert response.status == 200, f"{response.status} {content!r}"
                body = json.loads(content)
                etags[path] = response.headers["ETag"], body
            states = {session["title"] for session in body["data"]} | {f for s in body["data"] for f in s["features"]}
            assert len(states) == 1, f"{path}: the data is of the states {states}"
            state = int(states.pop())
            assert oldest <= state <= newest, f"{path}: state {state}; allowed are {oldest} to {newest}"
            got = body["total"], [session["id"] for session in body["data"]]
            assert got == page(state, agent, offset, limit), f"{path}: state {state} does not have {got}"
            responses += 1
    return responses


def run(url: str, key: str, writers: Writers, states: int, readers: int = 4) -> int:
    """Write so many states while readers read; return how many responses came, raise `AssertionError` for a wrong one."""
    last = writers.started + states
    with ThreadPoolExecutor() as pool:
        reading = [pool.submit(read, url, key, writers, last, number) for number in range(readers)]

        def write(how: Callable[[sqlite3.Connection, int], None]) -> None:
            while writers.committed < last and not any(future.done() for future in reading):
                writers.write_state(how)

        for future in [pool.submit(write, how) for how in (writers.by_import, writers.by_sql)]:
            future.result()
        writers.committed = last  # ends the readers also when one of them failed
        return sum(future.result() for future in reading)


def test_each_response_is_of_one_state(
    database_path: Path, organization: Organization, key: str, record_property: Callable[[str, object], None]
) -> None:
    states = scaled(50)
    writers = Writers(database_path, organization)
    with serve(database_path) as url:
        responses = run(url, key, writers, states)
    assert responses > states
    record_property("states", states)
    record_property("responses", responses)


def test_writers_do_not_lose_changes_of_others(
    database_path: Path, key: str, record_property: Callable[[str, object], None]
) -> None:
    """Each of three clients changes a key of its own of the same session."""
    changes = scaled(20)
    with serve(database_path) as url:

        def change(name: str) -> None:
            with closing(HTTPConnection(urlsplit(url).netloc)) as connection:
                for number in range(changes):
                    value = [str(number)] if name == "tags" else str(number)
                    headers = {"Authorization": key, "Content-Type": "application/json"}
                    connection.request("PATCH", "/v1/sessions/session_1", json.dumps({name: value}), headers)
                    body = json.load(connection.getresponse())
                    assert body.get(name) == value, body

        with closing(HTTPConnection(urlsplit(url).netloc)) as connection:
            connection.request(
                "PUT", "/v1/sessions/session_1", "{}", {"Authorization": key, "Content-Type": "application/json"}
            )
            assert connection.getresponse().status == 201
        with ThreadPoolExecutor() as pool:
            assert not any(pool.map(change, ("title", "model_id", "tags")))
        with closing(HTTPConnection(urlsplit(url).netloc)) as connection:
            connection.request("GET", "/v1/sessions/session_1", headers={"Authorization": key})
            session = json.load(connection.getresponse())
    last = str(changes - 1)
    assert (session["title"], session["model_id"], session["tags"]) == (last, last, [last])
    record_property("changes", 3 * changes)


@pytest.mark.parametrize(
    ("name", "error"),
    [("mix_snapshots", "does not have"), ("keep_pages", "allowed are"), ("always_return_304", "allowed are")],
)
def test_a_wrong_service_is_found(
    database_path: Path, organization: Organization, key: str, name: str, error: str
) -> None:
    writers = Writers(database_path, organization)
    application = f"tests.stress.wrong_services:serve('{name}')"
    with serve(database_path, "--threads", "4", application) as url, pytest.raises(AssertionError, match=error):
        run(url, key, writers, states=1000)


def test_wrong_counts_are_found(database_path: Path, organization: Organization, key: str) -> None:
    stop_counting(database_path)
    writers = Writers(database_path, organization)
    with serve(database_path) as url, pytest.raises(AssertionError, match="does not have"):
        run(url, key, writers, states=1000)
