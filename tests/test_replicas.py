"""Backups and replicas with the real Litestream: restored to a moment, followed, killed, replaced, and never wrong."""

import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from everruns import create_app, db, values
from everruns.cli import main
from tests.conftest import AGENT, World, agent, session
from tests.servers import (
    LITESTREAM,
    Litestream,
    Load,
    Nginx,
    ask,
    configure,
    get,
    service,
    unlimited,
    wait_until,
)
from tests.test_import import EVERRUNS

QUESTIONS = ["", "?limit=100", "?offset=37&limit=50", f"?agent_id={AGENT}", "?created_after=2026-02-01T00:00:00Z"]


def answers(address: str, key: str) -> list[tuple[int, str | None, bytes]]:
    """Status, ETag and body for some questions."""
    found = (ask(address, f"/v1/sessions{question}", {"Authorization": key}) for question in QUESTIONS)
    return [(status, headers.get("etag"), body) for status, headers, body in found]


# --- read only ----------------------------------------------------------------------------------------------------

WRITING = [
    ["init-db"],
    ["create-org", "Acme"],
    ["create-key", "org_1"],
    ["revoke-key", "org_1", "evr_12345678"],
    ["import", "--org", "org_1", "-"],
    ["load-catalog", "everruns/catalog.json"],
    ["demo"],
    ["demo", "--if-empty"],
    ["heartbeat"],
    ["heartbeat", "--every", "1"],
]


@pytest.mark.parametrize("command", WRITING, ids=" ".join)
def test_a_replica_refuses_what_writes_in_one_line(
    world: World, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    before = world.path.read_bytes()
    monkeypatch.setenv("EVERRUNS_READ_ONLY", "1")
    ran = world.everruns(*command, status=1)
    assert ran.stderr.splitlines() == [
        "Error: this is a read-only replica (EVERRUNS_READ_ONLY is set); run the command on the primary"
    ]
    assert ran.stdout == ""
    assert world.path.read_bytes() == before


def test_every_command_either_reads_or_is_refused_on_a_replica() -> None:
    reading = {"list-keys", "export", "check", "backup"}
    flask = {"run", "shell", "routes"}
    assert set(main.commands) | flask == {command[0] for command in WRITING} | reading | flask


def test_commands_that_read_work_on_a_replica(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    org, _ = world.organization()
    world.load(org, agent(), session(1))
    monkeypatch.setenv("EVERRUNS_READ_ONLY", "1")
    assert len(world.everruns("export", "--org", org).stdout.splitlines()) == 2
    assert len(world.everruns("list-keys", org).stdout.splitlines()) == 1
    world.everruns("check")
    world.everruns("backup", str(world.folder / "backup.db"))


@pytest.mark.parametrize(("name", "value"), [("READ_ONLY", "yes"), ("READ_ONLY", "2"), ("MAX_REPLICA_LAG", "-1")])
def test_a_bad_setting_is_told(world: World, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"EVERRUNS_{name}", value)
    with pytest.raises(SystemExit, match=f"EVERRUNS_{name} must be"):
        create_app()


# --- how old is a copy --------------------------------------------------------------------------------------------


def test_a_replica_tells_how_old_its_data_is(world: World) -> None:
    client = create_app({"READ_ONLY": 1}).test_client()
    assert client.get("/health").get_json()["replica_lag_seconds"] is None
    world.everruns("heartbeat")
    assert 0 <= client.get("/health").get_json()["replica_lag_seconds"] < 5
    world.sql("UPDATE heartbeat SET at = ?", values.instant(datetime.now(UTC) - timedelta(seconds=100)))
    assert 100 <= client.get("/health").get_json()["replica_lag_seconds"] < 105
    assert "replica_lag_seconds" not in world.json(None, "/health")


def test_a_clock_that_jumps_back_makes_no_negative_age(world: World) -> None:
    world.everruns("heartbeat")
    world.sql("UPDATE heartbeat SET at = '2999-01-01T00:00:00.000000Z'")
    assert create_app({"READ_ONLY": 1}).test_client().get("/health").get_json()["replica_lag_seconds"] == 0


def test_a_replica_that_is_older_than_allowed_answers_503(world: World) -> None:
    _, key = world.organization()
    client = create_app({"READ_ONLY": 1, "MAX_REPLICA_LAG": 60}).test_client()

    def statuses() -> set[int]:
        headers = {"Authorization": f"Bearer {key}"}
        return {client.get(url, headers=headers).status_code for url in ("/health", "/v1/sessions", "/v1/sessions")}

    assert statuses() == {503}
    message = "nobody knows how old this replica's data is: no heartbeat has arrived"
    assert client.get("/health").get_json()["error"]["message"] == message
    world.everruns("heartbeat")
    assert statuses() == {200}
    world.sql("UPDATE heartbeat SET at = ?", values.instant(datetime.now(UTC) - timedelta(seconds=75)))
    assert statuses() == {503}
    error = client.get("/health").get_json()["error"]
    assert error["code"] == "database_unavailable"
    assert re.fullmatch(r"this replica's data is 7\d s old, and may be 60; ask another one", error["message"])


# --- nothing is remembered ----------------------------------------------------------------------------------------


def test_a_page_that_is_changed_behind_the_back_of_sqlite_shows_in_the_next_answer(world: World) -> None:
    org, key = world.organization()
    world.load(org, agent(), session(1, title="before"))
    world.sql("PRAGMA journal_mode = DELETE")
    client, headers = create_app({"READ_ONLY": 1}).test_client(), {"Authorization": key}
    for limit in (1, 2):
        asked = client.get(f"/v1/sessions?limit={limit}", headers=headers).get_json()
        assert asked["data"][0]["title"] == "before"
    status, content = world.path.stat(), world.path.read_bytes()
    assert content.count(b"before") == 1
    with world.path.open("r+b") as file:
        file.seek(content.index(b"before"))
        file.write(b"after!")
    os.utime(world.path, ns=(status.st_atime_ns, status.st_mtime_ns))
    asked = client.get("/v1/sessions?limit=3", headers=headers).get_json()
    assert asked["data"][0]["title"] == "after!"


def test_a_copy_in_wal_mode_is_not_kept_open(world: World) -> None:
    _, key = world.organization()
    app = create_app({"READ_ONLY": 1})
    for _ in range(2):
        assert app.test_client().get("/v1/sessions", headers={"Authorization": key}).status_code == 200
        assert db.reader(app).connection is None
    world.sql("PRAGMA journal_mode = DELETE")
    assert app.test_client().get("/v1/sessions", headers={"Authorization": key}).status_code == 200
    assert db.reader(app).connection is not None


# --- Litestream ---------------------------------------------------------------------------------------------------


class Follower:
    """A copy, kept as deploy/litestream-replica.service keeps it: begun anew whenever Litestream is started."""

    def __init__(self, folder: Path, primary: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.primary = folder, primary
        self.path = folder / "copy" / "everruns.db"
        self.path.parent.mkdir()

    def start(self) -> None:
        arguments = ["-config", str(self.folder.parent / "litestream.yml"), "-o", str(self.path), str(self.primary)]
        self.litestream = Litestream(self.folder.parent, self.primary, "restore", "-f", *arguments)
        wait_until(self.path.exists, "a copy")

    def remove(self) -> None:
        for file in self.path.parent.iterdir():
            file.unlink()


@pytest.fixture
def replicate(world: World) -> Iterator[Litestream]:
    configure(world.folder, world.path)
    running = Litestream(world.folder, world.path, "replicate", "-config", str(world.folder / "litestream.yml"))
    wait_until(lambda: any((world.folder / "backup").rglob("*.ltx")), "the first backup")
    try:
        yield running
    finally:
        running.stop()


@contextmanager
def following(world: World, name: str) -> Iterator[Follower]:
    follower = Follower(world.folder / name, world.path)
    follower.start()
    try:
        yield follower
    finally:
        follower.litestream.stop()


def test_a_database_comes_back_as_it_was_at_a_moment(world: World, replicate: Litestream, tmp_path: Path) -> None:
    org, key = world.organization()
    world.load(org, agent(capabilities=["skills"]), *(session(n) for n in range(500)))
    with service(tmp_path / "before", world.path) as running:
        before = answers(running.path, key)
    time.sleep(2.5)
    moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    time.sleep(2.5)
    world.sql("UPDATE sessions SET title = 'damaged'")
    world.sql("DELETE FROM sessions WHERE id % 3 = 0")
    world.load(org, *(session(f"later-{n}") for n in range(100)))
    time.sleep(2.5)
    restored = tmp_path / "restored.db"
    command = [LITESTREAM, "restore", "-config", str(tmp_path / "litestream.yml"), "-timestamp", moment]
    subprocess.run([*command, "-o", str(restored), str(world.path)], check=True, capture_output=True)
    with service(tmp_path / "after", restored) as running:
        assert answers(running.path, key) == before
    ran = subprocess.run(
        [*EVERRUNS, "check"], env={"EVERRUNS_DATABASE": str(restored)}, capture_output=True, check=True
    )
    assert ran.stderr == b"no fault found\n"


def test_a_copy_shows_every_change_also_those_that_leave_the_size_of_the_file(
    world: World, replicate: Litestream, tmp_path: Path
) -> None:
    """Litestream writes behind SQLite's back: what a connection remembers of the file would be out of date."""
    org, key = world.organization()
    world.load(org, agent(), *(session(n, created_at=f"2026-02-27T13:{n % 60:02}:00Z") for n in range(400)))
    with following(world, "replica") as copy, service(tmp_path / "s", copy.path, EVERRUNS_READ_ONLY="1") as running:
        for beaten in (False, True, False):
            if beaten:
                world.everruns("heartbeat")
            for number in range(3):
                title = f"title {beaten} {number}"
                world.sql("UPDATE sessions SET title = ? WHERE id IN (59, 60)", title)
                load = lambda: get(running.path, "/v1/sessions?limit=100", key)[1].get("data", [])  # noqa: E731
                wait_until(lambda shown=title, load=load: shown in [item["title"] for item in load()], title)  # type: ignore[misc]
        wait_until(lambda: get(running.path, "/health")[1]["replica_lag_seconds"] is not None, "a heartbeat")
        assert get(running.path, "/health")[1]["replica_lag_seconds"] < 20


class Walker(threading.Thread):
    """Reads a replica from the first page to the last, again and again: each session once, and as many as it says."""

    def __init__(self, address: str, key: str) -> None:
        super().__init__()
        self.address, self.key = address, key
        self.ended = threading.Event()
        self.walks = 0
        self.unavailable = 0
        self.faults: list[str] = []

    def run(self) -> None:
        while not self.ended.is_set():
            self.walk()

    def walk(self) -> None:
        seen: list[str] = []
        url, totals = "/v1/sessions?limit=100", set()
        while url:
            status, headers, body = ask(self.address, url, {"Authorization": self.key})
            if status == 503:
                self.unavailable += 1
                return
            answer = json.loads(body)
            if status != 200:
                self.faults.append(f"{status} {body!r}")
                return
            seen += [item["id"] for item in answer["data"]]
            totals.add(answer["total"])
            following = re.search(r'<([^>]+)>; rel="next"', headers["link"])
            url = f"/v1/sessions{following[1]}" if following else ""
        self.walks += 1
        if totals != {len(seen)} or len(set(seen)) != len(seen):
            self.faults.append(f"totals {totals}, {len(seen)} sessions, {len(set(seen))} different ones")


class Importer(threading.Thread):
    """Imports sessions and beats the heart of the primary all the while."""

    def __init__(self, world: World, org: str) -> None:
        super().__init__()
        self.world, self.org = world, org
        self.ended = threading.Event()
        self.imports = 0

    def run(self) -> None:
        while not self.ended.is_set():
            self.imports += 1
            lines = [
                session(f"new{self.imports}x{n}", created_at=datetime.now(UTC).isoformat(), capabilities=["skills"])
                for n in range(20)
            ]
            text = "".join(json.dumps(line) + "\n" for line in lines)
            subprocess.run([*EVERRUNS, "import", "--org", self.org, "-"], input=text.encode(), check=True, stderr=-3)
            subprocess.run([*EVERRUNS, "heartbeat"], check=True, stderr=-3)


def caught_up(primary: str, replica: str, key: str) -> bool:
    return answers(primary, key) == answers(replica, key)


@pytest.mark.needs("nginx")
def test_replicas_behind_nginx_are_right_while_the_primary_imports(
    world: World, replicate: Litestream, tmp_path: Path
) -> None:
    org, key = world.organization()
    world.load(org, agent(capabilities=["skills"]), *(session(n) for n in range(1000)))
    with (
        following(world, "one") as one,
        following(world, "two") as two,
        service(tmp_path / "primary", world.path) as primary,
        service(tmp_path / "r1", one.path, EVERRUNS_READ_ONLY="1", EVERRUNS_MAX_REPLICA_LAG="60") as first,
        service(tmp_path / "r2", two.path, EVERRUNS_READ_ONLY="1", EVERRUNS_MAX_REPLICA_LAG="60") as second,
        Nginx(
            tmp_path, [f"unix:{first.path}", f"unix:{second.path}", f"unix:{primary.path} backup"], unlimited
        ) as front,
    ):
        importer = Importer(world, org)
        importer.start()
        for running in (first, second):
            wait_until(lambda at=running: get(at.path, "/health")[0] == 200, "a replica that is up to date")  # type: ignore[misc]
        walkers = [Walker(running.path, key) for running in (first, second)]
        for walker in walkers:
            walker.start()
        with Load(front.port, "/v1/sessions?limit=50", key, clients=2) as load:
            time.sleep(8)
            # One replica's Litestream crashes; systemd removes the copy and starts another.
            one.litestream.kill()
            one.remove()
            time.sleep(1)
            one.start()
            time.sleep(6)
        importer.ended.set()
        importer.join()
        for walker in walkers:
            walker.ended.set()
            walker.join()
        assert load.faults == []
        assert load.good > 200
        assert [walker.faults for walker in walkers] == [[], []]
        assert min(walker.walks for walker in walkers) > 3
        assert walkers[1].unavailable == 0
        assert importer.imports > 5
        for running in (first, second):
            wait_until(lambda at=running: caught_up(primary.path, at.path, key), "the same answers everywhere")  # type: ignore[misc]


def test_a_copy_that_is_replaced_under_the_server_is_served_at_once(
    world: World, replicate: Litestream, tmp_path: Path
) -> None:
    org, key = world.organization()
    world.load(org, agent(), session(1))
    with following(world, "replica") as copy, service(tmp_path / "s", copy.path, EVERRUNS_READ_ONLY="1") as running:
        wait_until(lambda: get(running.path, "/v1/sessions", key)[1].get("total") == 1, "the first session")
        copy.litestream.stop()
        world.load(org, session(2))
        other = tmp_path / "other.db"
        world.everruns("backup", str(other))
        other.replace(copy.path)
        assert get(running.path, "/v1/sessions", key)[1]["total"] == 2
        copy.remove()
        assert get(running.path, "/v1/sessions", key)[0] == 503
        copy.start()
        wait_until(lambda: get(running.path, "/v1/sessions", key)[1].get("total") == 2, "the new copy")


def test_a_promoted_copy_takes_writes_again(
    world: World, replicate: Litestream, monkeypatch: pytest.MonkeyPatch
) -> None:
    org, key = world.organization()
    world.load(org, agent(), session(1))
    world.everruns("heartbeat")
    with following(world, "replica") as copy:
        time.sleep(3)
    monkeypatch.setenv("EVERRUNS_DATABASE", str(copy.path))
    world.everruns("init-db")
    world.load(org, session(2))
    world.everruns("check")
    assert create_app().test_client().get("/v1/sessions", headers={"Authorization": key}).get_json()["total"] == 2
    assert world.everruns("check").stderr == "no fault found\n"
    import sqlite3

    assert sqlite3.connect(copy.path).execute("PRAGMA journal_mode").fetchone() == ("wal",)
