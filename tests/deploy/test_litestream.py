"""Backups and replicas with Litestream: restored to a moment, followed, replaced, promoted."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.servers import (
    Database,
    Litestream,
    Service,
    agent,
    get,
    session,
    wait_until,
)


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
