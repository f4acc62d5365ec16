"""The running service when its database is lost, damaged or replaced."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.servers import Database, Response, Service, get


@pytest.fixture(scope="module")
def path(template: Database, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the service looks for its database; each test puts one there."""
    return tmp_path_factory.mktemp("database") / "everruns.db"


@pytest.fixture(scope="module")
def service(path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with servers.service(tmp_path_factory.mktemp("service"), path, EVERRUNS_WORKERS="2") as running:
        yield running


def delete(path: Path) -> None:
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)


def replace_by_garbage(path: Path) -> None:
    delete(path)
    path.write_bytes(os.urandom(20_000))


def replace_by_a_folder(path: Path) -> None:
    delete(path)
    path.mkdir()


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(os.urandom(path.stat().st_size))


def put_back(template: Database, path: Path) -> None:
    """Put a copy in place by a rename, as docs/DEPLOY.md does."""
    if path.is_dir():
        path.rmdir()
    delete(path)
    shutil.copy(template.path, path.with_name("copy.db"))
    path.with_name("copy.db").rename(path)


def sessions(service: Service, key: str) -> list[Response]:
    """Return several responses, so that each worker and thread gives some."""
    return [get(service.path, url, key) for url in ("/v1/sessions", "/v1/sessions?offset=50") for _ in range(8)]


LOST: dict[str, Callable[[Path], object]] = {
    "deleted": delete,
    "deleted, but not its -wal": Path.unlink,
    "replaced by garbage": replace_by_garbage,
    "replaced by a folder": replace_by_a_folder,
}
DAMAGED: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: os.truncate(path, 5000),
    "emptied": lambda path: os.truncate(path, 0),
    "overwritten": overwrite,
}


@pytest.mark.parametrize("what", LOST)
def test_a_lost_database_is_503_until_it_is_back(service: Service, template: Database, path: Path, what: str) -> None:
    put_back(template, path)
    assert {response.status for response in sessions(service, template.key)} == {200}
    logged = len(service.lines())
    LOST[what](path)
    for url in ("/v1/sessions", "/v1/sessions?offset=50", "/health"):
        response = get(service.path, url, template.key)
        assert (response.status, response.json()["error"]["code"]) == (503, "database_unavailable")
    messages = [line["message"] for line in service.lines()[logged:] if line.get("level") == "error"]
    assert len(messages) >= 3
    put_back(template, path)
    assert {response.status for response in sessions(service, template.key)} == {200}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_database_gives_no_wrong_response(
    service: Service, template: Database, path: Path, what: str
) -> None:
    """Connections that are open may still have the content in memory; new ones see the damage."""
    put_back(template, path)
    before = {response.body for response in sessions(service, template.key)}
    with closing(sqlite3.connect(path)) as connection:  # otherwise the -wal may hold all of it
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    DAMAGED[what](path)
    for response in sessions(service, template.key):
        assert response.status in (200, 503)
        assert response.status == 503 or response.body in before
    service.reload()
    for response in [get(service.path, "/health"), *sessions(service, template.key)]:
        assert (response.status, response.json()["error"]["code"]) == (503, "database_unavailable")
    assert not any("traceback" in line for line in service.lines())
    put_back(template, path)
    assert {response.body for response in sessions(service, template.key)} == before
