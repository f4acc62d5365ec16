"""Backups and replicas with Litestream: restored to a moment, followed, crashed, replaced, promoted."""

import re
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.servers import (
    AGENT,
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


def total(service: Service, key: str) -> int | None:
    """Return the number of sessions, or None when the service is unavailable."""
    response = get(service.path, "/v1/sessions?limit=1", key)
    return response.json()["total"] if response.status == 200 else None


@pytest.fixture
def litestream(database: Database, tmp_path: Path) -> Iterator[Litestream]:
    """Running backup of `database`."""
    litestream = Litestream(tmp_path, database.path)
    with litestream.replicate():
        yield litestream


def test_a_database_is_restored_to_a_moment(database: Database, litestream: Litestream, tmp_path: Path) -> None:
    before = database.everruns("export", "--org", database.organization).stdout
    litestream.sync()
    moment = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    database.load([agent(name="damaged"), *(session(n, title="damaged") for n in range(0, 100, 3))])
    database.load(session(f"later{n}") for n in range(50))
    litestream.sync()
    restored = Database(tmp_path / "restored.db")
    litestream.restore(restored.path, "-timestamp", moment)
    restored.everruns("check")
    assert restored.everruns("export", "--org", database.organization).stdout == before


def test_a_replica_shows_every_change_and_its_lag(database: Database, litestream: Litestream, tmp_path: Path) -> None:
    """The titles have the same length, so that the file keeps its size."""
    with (
        litestream.follow(tmp_path / "replica") as replica,
        servers.service(tmp_path / "s", replica.path, EVERRUNS_READ_ONLY="1") as running,
    ):

        def titles() -> set[str | None]:
            response = get(running.path, "/v1/sessions?limit=100", database.key)
            return {item["title"] for item in response.json().get("data", [])}

        for title in ("one", "two"):
            database.load([session(50, title=title, updated_at=datetime.now(UTC).isoformat())])
            litestream.sync()
            wait_until(lambda: title in titles(), f"the title {title}")  # noqa: B023
        assert get(running.path, "/health").json()["replica_lag_seconds"] is None
        database.everruns("heartbeat")
        litestream.sync()
        wait_until(lambda: get(running.path, "/health").json()["replica_lag_seconds"] is not None, "a heartbeat")
        assert get(running.path, "/health").json()["replica_lag_seconds"] < 20


class Walker(threading.Thread):
    """Follows `Link` through all sessions again and again; `total` must be the number of sessions that it meets."""

    def __init__(self, address: str, key: str, stopped: threading.Event) -> None:
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
    """Imports 20 new sessions and writes a heartbeat, again and again."""

    def __init__(self, database: Database, stopped: threading.Event) -> None:
        super().__init__()
        self.database, self.stopped = database, stopped
        self.imports = 0

    def run(self) -> None:
        while not self.stopped.is_set():
            now = datetime.now(UTC).isoformat()
            self.database.load(session(f"new{self.imports}x{n}", created_at=now) for n in range(20))
            self.database.everruns("heartbeat")
            self.imports += 1


@pytest.mark.needs("nginx")
def test_replicas_behind_nginx_are_consistent_while_the_primary_imports(
    database: Database, litestream: Litestream, tmp_path: Path
) -> None:
    key = database.key

    def replica_service(folder: str, replica: Replica) -> AbstractContextManager[Service]:
        return servers.service(
            tmp_path / folder,
            replica.path,
            EVERRUNS_WORKERS="1",
            EVERRUNS_READ_ONLY="1",
            EVERRUNS_MAX_REPLICA_LAG="600",
        )

    database.everruns("heartbeat")
    litestream.sync()
    with (
        litestream.follow(tmp_path / "one") as one,
        litestream.follow(tmp_path / "two") as two,
        servers.service(tmp_path / "primary", database.path) as primary,
        replica_service("r1", one) as first,
        replica_service("r2", two) as second,
        Nginx(
            tmp_path / "nginx",
            [f"unix:{first.path}", f"unix:{second.path}", f"unix:{primary.path} backup"],
            unlimited,
        ) as front,
    ):
        stopped = threading.Event()
        importer = Importer(database, stopped)
        walkers = [Walker(running.path, key, stopped) for running in (first, second)]
        for thread in (importer, *walkers):
            thread.start()

        def wait_for_progress() -> None:
            counts = [importer.imports + 2, *(walker.walks + 2 for walker in walkers)]

            def is_reached() -> bool:
                now = [importer.imports, *(walker.walks for walker in walkers)]
                return all(reached >= wanted for reached, wanted in zip(now, counts, strict=True))

            wait_until(is_reached, "further imports and walks")

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
        for running in (first, second):
            wait_until(lambda: pages(running, key) == pages(primary, key), "the same pages everywhere")  # noqa: B023


def test_a_replaced_copy_is_served_at_once(database: Database, litestream: Litestream, tmp_path: Path) -> None:
    key = database.key
    with (
        litestream.follow(tmp_path / "replica") as replica,
        servers.service(tmp_path / "s", replica.path, EVERRUNS_READ_ONLY="1") as running,
    ):
        assert total(running, key) == 100
        replica.stop()
        database.load([session(100)])
        database.everruns("backup", tmp_path / "other.db")
        (tmp_path / "other.db").replace(replica.path)
        assert total(running, key) == 101
        replica.path.unlink()
        assert total(running, key) is None
        replica.start()
        wait_until(lambda: total(running, key) == 101, "the restored copy")


def test_a_promoted_replica_accepts_writes(database: Database, litestream: Litestream, tmp_path: Path) -> None:
    """The steps of docs/DEPLOY.md for a lost primary."""
    promoted = Database(tmp_path / "promoted.db")
    promoted.organization = database.organization
    with litestream.follow(tmp_path / "replica") as replica:
        Database(replica.path).everruns("backup", promoted.path, EVERRUNS_READ_ONLY="1")
    promoted.everruns("init-db")
    promoted.load([session(100)])
    promoted.everruns("check")
    records = promoted.everruns("export", "--org", promoted.organization).stdout.splitlines()
    assert len(records) == 102  # with the agent


def test_a_restore_while_litestream_runs_is_backed_up(
    database: Database, litestream: Litestream, tmp_path: Path
) -> None:
    """The backup is from before Litestream's first start, so that it lacks Litestream's own tables."""
    with servers.service(tmp_path / "s", database.path) as running:
        earlier = tmp_path / "earlier.db"
        database.everruns("backup", earlier)
        database.load(session(f"wrong{n}") for n in range(20))
        litestream.sync()
        assert total(running, database.key) == 120
        database.everruns("restore", earlier)
        assert total(running, database.key) == 100
        database.load([session("later")])
        litestream.sync()
        restored = Database(tmp_path / "restored.db")
        litestream.restore(restored.path)
        restored.everruns("check")
        exported = restored.everruns("export", database.organization).stdout
        assert exported == database.everruns("export", database.organization).stdout
        assert exported.count('"session_') == 101
