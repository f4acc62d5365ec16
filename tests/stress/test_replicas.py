"""Read replicas that Litestream keeps up to date, while the primary imports and one of them crashes.

Each walk through the pages of a replica is of one snapshot or refused, and at the end all serve the same.
"""

import re
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.stress.scale import FACTOR, scaled
from tests.support import servers
from tests.support.server import serve
from tests.support.servers import (
    AGENT,
    TIMEOUT,
    Address,
    Database,
    Litestream,
    Load,
    Nginx,
    Replica,
    Service,
    agent,
    get,
    session,
    unlimited,
    wait_until,
)

QUERIES = ["", "?limit=100", "?offset=37&limit=50", f"?agent_id={AGENT}", "?created_after=2026-02-01T00:00:00Z"]


def pages(service: Service, key: str) -> list[tuple[int, bytes]]:
    """Return status and body of some requests."""
    responses = (get(service.path, f"/v1/sessions{query}", key) for query in QUERIES)
    return [(response.status, response.body) for response in responses]


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """Database with 100 sessions."""
    database = Database(tmp_path / "everruns.db")
    database.everruns("init-db")
    database.create_organization()
    database.load([agent(), *(session(number) for number in range(100))])
    return database


class Walker(threading.Thread):
    """Follows `Link` through all sessions again and again; `total` must be the number of sessions that it meets."""

    def __init__(self, address: Address, key: str, stopped: threading.Event) -> None:
        super().__init__()
        self.address, self.key, self.stopped = address, key, stopped
        self.walks = 0
        self.unavailable = 0
        self.errors: list[str] = []

    def run(self) -> None:
        while not self.stopped.wait(0.02):
            self._walk()

    def _walk(self) -> None:
        seen: list[str] = []
        totals: set[int] = set()
        url = "/v1/sessions?limit=100"
        while url:
            response = get(self.address, url, self.key)
            if response.status == 503:
                self.unavailable += 1
                return
            page = response.json()
            seen += [item["id"] for item in page["data"]]
            totals.add(page["total"])
            following = re.search(r'<([^>]+)>; rel="next"', response.headers["link"])
            url = f"/v1/sessions{following[1]}" if following else ""
        self.walks += 1
        if totals != {len(seen)} or len(set(seen)) != len(seen):
            self.errors.append(f"totals {totals}, {len(seen)} sessions, {len(set(seen))} distinct")


class Importer(threading.Thread):
    """Imports two new sessions and writes a heartbeat, again and again: few, as each walk visits all of them."""

    def __init__(self, database: Database, stopped: threading.Event) -> None:
        super().__init__()
        self.database, self.stopped = database, stopped
        self.imports = 0

    def run(self) -> None:
        while not self.stopped.is_set():
            now = datetime.now(UTC).isoformat()
            self.database.load(session(f"new{self.imports}x{n}", created_at=now) for n in range(2))
            self.database.everruns("heartbeat")
            self.imports += 1


@pytest.mark.needs("nginx")
def test_replicas_behind_nginx_are_consistent_while_the_primary_imports(
    database: Database, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    key = database.key
    litestream = Litestream(tmp_path, database.path)

    def replica_service(folder: str, replica: Replica) -> AbstractContextManager[Service]:
        return servers.service(
            tmp_path / folder,
            replica.path,
            EVERRUNS_WORKERS="1",
            EVERRUNS_READ_ONLY="1",
            EVERRUNS_MAX_REPLICA_LAG="600",
        )

    database.everruns("heartbeat")
    with ExitStack() as running:
        running.enter_context(litestream.replicate())
        one, two = (running.enter_context(litestream.follow(tmp_path / name)) for name in ("one", "two"))
        primary = running.enter_context(servers.service(tmp_path / "primary", database.path))
        first, second = (
            running.enter_context(replica_service(name, replica)) for name, replica in (("r1", one), ("r2", two))
        )
        upstreams = [f"unix:{first.path}", f"unix:{second.path}", f"unix:{primary.path} backup"]
        front = running.enter_context(Nginx(tmp_path / "nginx", upstreams, unlimited))
        stopped = threading.Event()
        importer = Importer(database, stopped)
        walkers = [Walker(replica.path, key, stopped) for replica in (first, second)]
        for thread in (importer, *walkers):
            thread.start()

        def wait_for_progress() -> None:
            more = scaled(2)
            counts = [importer.imports + more, *(walker.walks + more for walker in walkers)]

            def is_reached() -> bool:
                now = [importer.imports, *(walker.walks for walker in walkers)]
                return all(reached >= wanted for reached, wanted in zip(now, counts, strict=True))

            wait_until(is_reached, "further imports and walks", TIMEOUT * FACTOR)

        with Load(front.port, "/v1/sessions?limit=50", key, clients=1, pause=0.02) as load:
            wait_for_progress()
            one.crash()
            wait_until(lambda: walkers[0].unavailable > 0, "503 of the first replica")
            load.wait_for(20)
            one.start()
            wait_for_progress()
        stopped.set()
        for thread in (importer, *walkers):
            thread.join()
        assert load.errors == []
        assert [walker.errors for walker in walkers] == [[], []]
        assert walkers[1].unavailable == 0
        record_property("imports", importer.imports)
        record_property("walks", sum(walker.walks for walker in walkers))
        wait_until(lambda: pages(first, key) == pages(second, key) == pages(primary, key), "the same pages everywhere")


def test_a_service_that_mixes_snapshots_is_found(database: Database) -> None:
    stopped = threading.Event()
    application = "tests.stress.wrong_services:serve('mix_snapshots')"
    with serve(database.path, "--workers=1", application) as url:
        walker = Walker(urlsplit(url).port or 0, database.key, stopped)
        importer = Importer(database, stopped)
        for thread in (importer, walker):
            thread.start()
        wait_until(lambda: walker.errors, "an error")
        stopped.set()
        for thread in (importer, walker):
            thread.join()
    assert re.fullmatch(r"totals \{[0-9, ]+\}, [0-9]+ sessions, [0-9]+ distinct", walker.errors[0])
