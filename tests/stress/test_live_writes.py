"""Clients create, change and delete sessions while others read, and the service is killed in between.

Every acknowledged write is stored, one whose response was lost is stored or not, and each response is consistent.
"""

import json
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from random import Random
from typing import Any

import pytest

from everruns.records import Organization
from everruns.store import check
from everruns.store.db import Database
from tests.stress.scale import scaled
from tests.support.database import execute
from tests.support.servers import connection, service, wait_until

WRITERS, READERS = 6, 3
STATUSES = {"POST": 201, "PUT": 200, "PATCH": 200, "DELETE": 204}


class Client:
    """Repeats `step` until it is stopped or fails, on a connection that it opens again when the service is killed."""

    def __init__(self, address: str, key: str, number: int, stopped: threading.Event) -> None:
        self.address, self.number, self.stopped = address, number, stopped
        self.headers = {"Authorization": key, "Content-Type": "application/json"}
        self.random = Random(number)
        self.steps = 0

    def run(self) -> None:
        while not self.stopped.is_set():
            with closing(connection(self.address)) as opened:
                try:
                    while not self.stopped.is_set():
                        self.step(opened)
                        self.steps += 1
                except (OSError, HTTPException):
                    pass  # killed

    def step(self, opened: HTTPConnection) -> None:
        raise NotImplementedError

    def request(self, opened: HTTPConnection, method: str, url: str, body: object = None) -> tuple[int, Any]:
        opened.request(method, url, None if body is None else json.dumps(body), self.headers)
        response = opened.getresponse()
        content = response.read()
        return response.status, json.loads(content) if content else None


class Writer(Client):
    """Writes sessions of its own. `titles` has what each may be now; None stands for no session."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.titles: dict[str, set[str | None]] = {}

    def step(self, opened: HTTPConnection) -> None:
        written = [name for name, titles in self.titles.items() if len(titles) == 1 and None not in titles]
        method = self.random.choice(["POST", "PUT", "PATCH", "DELETE"]) if written else "POST"
        name = f"session_{self.number}-{len(self.titles)}x" if method == "POST" else self.random.choice(written)
        title = None if method == "DELETE" else f"title {self.steps}"
        self.titles[name] = self.titles.get(name, {None}) | {title}
        url = "/v1/sessions" if method == "POST" else f"/v1/sessions/{name}"
        body = {"title": title, "tags": [title], **({"id": name} if method == "POST" else {})}
        status, answer = self.request(opened, method, url, None if method == "DELETE" else body)
        assert status == STATUSES[method], f"{method} {url}: {status} {answer}"
        self.titles[name] = {title}
        status, session = self.request(opened, "GET", f"/v1/sessions/{name}")
        assert (status, session) == ((200, answer) if title else (404, session))


class Reader(Client):
    """Reads the list and the numbers by status."""

    def step(self, opened: HTTPConnection) -> None:
        status, page = self.request(opened, "GET", "/v1/sessions?limit=100")
        assert status == 200, f"{status} {page}"
        assert len(page["data"]) == len({session["id"] for session in page["data"]}) == min(page["total"], 100)
        assert page["data"] == sorted(page["data"], key=lambda session: str(session["created_at"]), reverse=True)
        assert all(session["tags"] == [session["title"]] for session in page["data"])
        status, stats = self.request(opened, "GET", "/v1/sessions/stats")
        assert status == 200, f"{status} {stats}"
        assert stats["total"] == stats["started"] + stats["active"] + stats["idle"]


class Clients:
    """The writers and readers, each in a thread."""

    def __init__(self, address: str, key: str) -> None:
        self.stopped = threading.Event()
        self.writers = [Writer(address, key, number, self.stopped) for number in range(WRITERS)]
        self.readers = [Reader(address, key, WRITERS + number, self.stopped) for number in range(READERS)]
        self.pool = ThreadPoolExecutor(WRITERS + READERS)
        self.running: list[Future[None]] = []

    def __enter__(self) -> "Clients":
        self.running = [self.pool.submit(client.run) for client in (*self.writers, *self.readers)]
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.pool.shutdown()
        for client in self.running:
            client.result()

    @property
    def writes(self) -> int:
        return sum(writer.steps for writer in self.writers)

    def wait_for_writes(self, count: int) -> None:
        """Wait for so many further writes, or until a client has failed."""
        wanted = self.writes + count
        wait_until(
            lambda: self.writes >= wanted or any(client.done() for client in self.running),
            f"{count} writes",
            timeout=30 + count / 10,
        )


def test_acknowledged_writes_survive_a_crash_of_the_service(
    database: Database,
    organization: Organization,
    key: str,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    writes = scaled(30)
    with service(tmp_path / "service", database.path, EVERRUNS_WORKERS="2") as running:
        with Clients(running.path, key) as clients:
            clients.wait_for_writes(writes)
            running.kill()
            running.start()
            clients.wait_for_writes(writes)
        assert not [line for line in running.lines() if "traceback" in line or line.get("status", 200) >= 500]
    stored = dict(execute(database.path, "SELECT public_id, title FROM sessions"))
    expected = {name: titles for writer in clients.writers for name, titles in writer.titles.items()}
    assert {name: stored.get(name) for name, titles in expected.items() if stored.get(name) not in titles} == {}
    assert stored.keys() <= expected.keys()
    with database.read() as connection_:
        assert list(check.errors(connection_)) == []
    record_property("acknowledged writes", clients.writes)
    record_property("reads", sum(reader.steps for reader in clients.readers))
    record_property("writes without a response", sum(len(titles) > 1 for titles in expected.values()))


def write_after_a_loss(address: str, key: str, path: Path) -> None:
    with Clients(address, key) as clients:
        clients.wait_for_writes(20)
        execute(path, "DELETE FROM sessions")
        clients.wait_for_writes(1000)


def test_a_lost_write_is_found(database: Database, key: str, tmp_path: Path) -> None:
    lost = r"404|PUT .* 201"
    with service(tmp_path / "service", database.path) as running, pytest.raises(AssertionError, match=lost):
        write_after_a_loss(running.path, key, database.path)
