"""Failure drills on the running service: a full disk, the database lost or spoilt, the clock."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from everruns import create_app
from tests.conftest import ROOT, World, agent, session
from tests.servers import Service, ask, get, service, wait_until
from tests.test_import import EVERRUNS


@pytest.fixture
def running(world: World, tmp_path: Path) -> Iterator[Service]:
    with service(tmp_path / "service", world.path) as running:
        yield running


def lose(path: Path) -> None:
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)


def spoil(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(os.urandom(path.stat().st_size))


def replace(path: Path) -> None:
    lose(path)
    path.write_bytes(os.urandom(20_000))


def bury(path: Path) -> None:
    lose(path)
    path.mkdir()


DISASTERS: dict[str, Callable[[Path], object]] = {
    "deleted": lose,
    "deleted, but for its -wal": Path.unlink,
    "truncated": lambda path: os.truncate(path, 5000),
    "emptied": lambda path: os.truncate(path, 0),
    "overwritten by garbage": spoil,
    "replaced by garbage": replace,
    "replaced by a folder": bury,
}


@pytest.mark.parametrize("what", DISASTERS)
def test_a_lost_database_is_503_and_logged_and_its_return_is_noticed(
    world: World, tmp_path: Path, running: Service, what: str
) -> None:
    org, key = world.organization()
    world.load(org, agent(capabilities=["skills"]), *(session(n) for n in range(300)))
    world.everruns("backup", str(tmp_path / "backup.db"))
    good = [ask(running.path, "/v1/sessions", {"Authorization": key})[2] for _ in range(8)]
    assert world.sql("PRAGMA wal_checkpoint(TRUNCATE)") == [(0, 0, 0)]  # else all is still in the -wal, and answered
    DISASTERS[what](world.path)
    for url in ("/v1/sessions", "/v1/sessions?offset=100", "/health"):
        wait_until(lambda url=url: get(running.path, url, key)[0] == 503, f"503 for {url}")  # type: ignore[misc]
        assert get(running.path, url, key)[1]["error"]["code"] == "database_unavailable"
    assert any("database unavailable" in line.get("message", "") for line in running.lines())
    if world.path.is_dir():
        world.path.rmdir()
    lose(world.path)
    shutil.copy(tmp_path / "backup.db", tmp_path / "back.db")
    (tmp_path / "back.db").rename(world.path)
    answers = [ask(running.path, "/v1/sessions", {"Authorization": key}) for _ in range(8)]
    assert [(status, body) for status, _, body in answers] == [(200, good[0])] * 8
    assert not any("traceback" in line for line in running.lines())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_refuses_an_import_whole_and_the_service_goes_on(world: World, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", disk], check=False).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        path = disk / "everruns.db"
        org, key = world.organization()
        world.load(org, agent(), *(session(n) for n in range(50)))
        world.everruns("backup", str(path))
        environment = {**os.environ, "EVERRUNS_DATABASE": str(path)}
        with service(tmp_path / "service", path) as running:
            before = ask(running.path, "/v1/sessions", {"Authorization": key})[2]
            lines = "".join(json.dumps(session(f"new-{n}", title="x" * 300)) + "\n" for n in range(30_000))
            command = [*EVERRUNS, "import", "--org", org, "-"]
            ran = subprocess.run(command, input=lines.encode(), env=environment, capture_output=True, check=False)
            assert ran.returncode == 1
            assert b"the disk is full; make room and try again; nothing was changed" in ran.stderr
            assert ask(running.path, "/v1/sessions", {"Authorization": key})[2] == before
            subprocess.run([*EVERRUNS, "check"], env=environment, check=True, capture_output=True)
            little = "".join(json.dumps(session(f"new-{n}")) + "\n" for n in range(10))
            subprocess.run(command, input=little.encode(), env=environment, check=True, capture_output=True)
            assert get(running.path, "/v1/sessions", key)[1]["total"] == 60
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.needs("faketime")
def test_a_clock_that_jumps_only_matters_for_keys_that_expire(world: World) -> None:
    org, key = world.organization()
    expiring = world.everruns("create-key", org, "--expires-in-days", "10").stdout.strip()
    world.load(org, agent(), session(1))
    code = (
        "import sys; from everruns import create_app; client = create_app().test_client()\n"
        "for key in sys.argv[1:]:\n"
        "  print(client.get('/v1/sessions', headers={'Authorization': key}).status_code)"
    )

    def statuses(clock: str) -> list[str]:
        command = ["faketime", clock, sys.executable, "-c", code, key, expiring]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()

    assert statuses("+9 days") == ["200", "200"]
    assert statuses("+11 days") == ["200", "401"]
    assert statuses("-20 years") == ["200", "200"]
    assert statuses("2037-12-31 23:59:59") == ["200", "401"]


def test_sessions_from_a_clock_that_was_ahead_are_listed_in_their_order(world: World) -> None:
    org, key = world.organization()
    world.load(org, agent(), session(1), session(2, created_at="2199-01-01T00:00:00Z"), session(3))
    client = create_app().test_client()
    data = client.get("/v1/sessions", headers={"Authorization": key}).get_json()["data"]
    assert [item["id"] for item in data] == ["session_2", "session_3", "session_1"]
