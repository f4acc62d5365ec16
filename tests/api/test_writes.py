"""Writes by several clients of gunicorn with two workers, and writes while the database or the key cannot be used."""

import json
import socket
import sqlite3
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from everruns import create_app
from everruns.records import Organization
from everruns.store.db import Database
from tests.support.client import client_with_key
from tests.support.commands import CommandRunner
from tests.support.database import create_organization, execute
from tests.support.disks import fill_disk, small_disk
from tests.support.processes import obeying_permissions
from tests.support.records import ORGANIZATION_ID
from tests.support.servers import Service, get, send, service, wait_until

URL = "/v1/sessions"


class Running(NamedTuple):
    """gunicorn with two workers, its database, and a key."""

    service: Service
    database: Database
    key: str

    @property
    def address(self) -> str:
        return self.service.path

    def total(self) -> int:
        total: int = get(self.address, f"{URL}/stats", self.key).json()["total"]
        return total


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, new_database: Path) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("running")
    database = Database(folder / "everruns.db")
    database.path.write_bytes(new_database.read_bytes())
    _, key = create_organization(database)
    with service(folder / "service", database.path, EVERRUNS_WORKERS="2", EVERRUNS_DATABASE_TIMEOUT="30") as started:
        yield Running(started, database, key)
    database.close()


def assert_unavailable(response: TestResponse) -> None:
    assert (response.status_code, response.get_json()["error"]["code"]) == (503, "database_unavailable")
    assert response.headers["Retry-After"].isdecimal()


def write_in_every_way(client: FlaskClient) -> list[TestResponse]:
    """Create, replace, change and delete; `session_1` exists."""
    return [
        client.post(URL, json={"id": "session_2", "title": "x" * 50_000}),
        client.put(f"{URL}/session_1", json={"title": "x" * 50_000}),
        client.patch(f"{URL}/session_1", json={"title": "x" * 50_000}),
        client.delete(f"{URL}/session_1"),
    ]


# --- several clients ----------------------------------------------------------------------------------------------


def test_same_post_by_20_clients_creates_one_session(running: Running) -> None:
    before = running.total()
    with ThreadPoolExecutor(20) as pool:
        bodies = [{"id": "session_same", "title": str(client)} for client in range(20)]
        responses = list(pool.map(lambda body: send(running.address, "POST", URL, running.key, body), bodies))
    assert Counter(response.status for response in responses) == {201: 1, 409: 19}
    (created,) = (response.json() for response in responses if response.status == 201)
    assert get(running.address, f"{URL}/session_same", running.key).json() == created
    assert running.total() == before + 1


def test_put_of_one_session_by_20_clients_creates_it_once_and_keeps_one_of_them(running: Running) -> None:
    before = running.total()
    with ThreadPoolExecutor(20) as pool:
        bodies = [{"title": str(client), "tags": [str(client)]} for client in range(20)]
        url = f"{URL}/session_put"
        responses = list(pool.map(lambda body: send(running.address, "PUT", url, running.key, body), bodies))
    assert Counter(response.status for response in responses) == {201: 1, 200: 19}
    assert get(running.address, url, running.key).json() in [response.json() for response in responses]
    assert running.total() == before + 1


def test_write_is_seen_by_the_next_read_of_every_worker(running: Running) -> None:
    url = f"{URL}/session_seen"
    for number in range(10):
        written = send(running.address, "PUT", url, running.key, {"title": str(number)}).json()
        for _ in range(4):  # each on a connection of its own, which either worker may accept
            assert get(running.address, url, running.key).json() == written


def test_revoked_key_cannot_write_any_more(running: Running) -> None:
    run_command = CommandRunner(running.database.path)
    organization = run_command("list-orgs").stdout.partition("\t")[0]
    key = run_command("create-key", organization).stdout.strip()
    assert send(running.address, "POST", URL, key, {}).status == 201
    before = running.total()
    run_command("revoke-key", organization, key)
    for _ in range(4):
        assert send(running.address, "POST", URL, key, {}).status == 401
    assert running.total() == before


def test_write_is_logged_without_its_body(running: Running) -> None:
    send(running.address, "PUT", f"{URL}/session_logged", running.key, {"title": "confidential"})
    wait_until(lambda: f"{URL}/session_logged" in running.service.log.read_text(), "a line")
    (line,) = (line for line in running.service.lines() if line.get("path") == f"{URL}/session_logged")
    logged = {name: line[name] for name in ("method", "status", "query", "key")}
    assert logged == {"method": "PUT", "status": 201, "query": [], "key": running.key[:12]}
    assert line["organization"].startswith("org_")
    assert "confidential" not in running.service.log.read_text()


# --- bodies on the wire -------------------------------------------------------------------------------------------


def send_raw(running: Running, headers: str, *parts: bytes) -> bytes:
    """Send a POST in parts until the service responds or all are sent, then no more; return the response."""
    with closing(socket.socket(socket.AF_UNIX)) as client:
        client.settimeout(30)
        client.connect(running.address)
        start = f"POST {URL} HTTP/1.1\r\nHost: a\r\nAuthorization: {running.key}\r\nContent-Type: application/json\r\n"
        try:
            client.sendall(f"{start}{headers}\r\n\r\n".encode())
            for part in parts:
                client.sendall(part)
            client.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass
        received = b""
        try:
            while part := client.recv(65536):
                received += part
        except ConnectionResetError:
            pass
        return received


@pytest.mark.parametrize(
    ("headers", "parts"),
    [
        ("Transfer-Encoding: chunked", [b"10000\r\n" + b" " * 0x10000 + b"\r\n"] * 64),
        (f"Content-Length: {1_100_000}", [b" " * 100_000] * 11),
    ],
    ids=["chunked without end", "1.1 MB"],
)
def test_body_that_is_too_large_is_refused_on_the_wire(running: Running, headers: str, parts: list[bytes]) -> None:
    before = running.total()
    response = send_raw(running, headers, *parts)
    assert response.startswith(b"HTTP/1.1 413 ")
    assert b'"request_entity_too_large"' in response
    assert running.total() == before


@pytest.mark.parametrize(
    ("headers", "part"),
    [
        ("Content-Length: 100", b'{"title": "a'),
        ("Transfer-Encoding: chunked", b'e\r\n{"title": "a"}\r\n'),
        ("Transfer-Encoding: chunked", b"x\r\n{}\r\n0\r\n\r\n"),
    ],
    ids=["shorter than declared", "chunked without the last chunk", "a malformed chunk"],
)
def test_body_that_is_cut_off_changes_nothing(running: Running, headers: str, part: bytes) -> None:
    before = running.total()
    response = send_raw(running, headers, part)
    assert response.startswith(b"HTTP/1.1 400 ")
    assert b'"invalid_request"' in response
    assert running.total() == before


def test_chunked_body_is_taken(running: Running) -> None:
    response = send_raw(running, "Transfer-Encoding: chunked", b'8\r\n{"title"\r\n5\r\n: "a"\r\n1\r\n}\r\n0\r\n\r\n')
    assert response.startswith(b"HTTP/1.1 201 ")


# --- what changes while a request is under way --------------------------------------------------------------------


class BodyThatRevokes(BytesIO):
    """The body of a request whose key is revoked before it has arrived."""

    def __init__(self, run_command: CommandRunner, key: str) -> None:
        super().__init__(json.dumps({"id": "session_1"}).encode())
        self.run_command, self.key = run_command, key

    def readinto(self, buffer: object) -> int:
        if self.tell() == 0:
            self.run_command("revoke-key", ORGANIZATION_ID, self.key)
        return super().readinto(buffer)  # type: ignore[arg-type]


def test_key_that_is_revoked_while_the_body_arrives_cannot_write(
    app: Flask, key: str, run_command: CommandRunner
) -> None:
    body = BodyThatRevokes(run_command, key)
    length = len(body.getvalue())
    client = client_with_key(app, key)
    response = client.post(URL, input_stream=body, content_length=length, content_type="application/json")
    assert response.status_code == 401
    assert execute(run_command.path, "SELECT revoked_at IS NOT NULL FROM api_keys") == [(1,)]
    assert execute(run_command.path, "SELECT * FROM sessions") == []


# --- a database that cannot be written ----------------------------------------------------------------------------


def test_locked_database_is_503_and_works_again(app: Flask, client: FlaskClient) -> None:
    client.put(f"{URL}/session_1", json={})
    before = client.get(URL).data
    with closing(sqlite3.connect(app.extensions["everruns"].path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for response in write_in_every_way(client):
            assert_unavailable(response)
        assert client.get(URL).data == before
    assert [response.status_code for response in write_in_every_way(client)] == [201, 200, 200, 204]


def test_full_disk_is_503_and_leaves_nothing_half_done(tmp_path: Path, new_database: Path) -> None:
    with small_disk(tmp_path / "disk", 2 * 1024 * 1024) as folder:
        database = Database(folder / "everruns.db")
        database.path.write_bytes(new_database.read_bytes())
        _, key = create_organization(database)
        app = create_app({"DATABASE": database.path})
        client = client_with_key(app, key)
        client.put(f"{URL}/session_1", json={})
        before = client.get(URL).data
        filler = fill_disk(folder)
        for response in write_in_every_way(client)[:3]:
            assert_unavailable(response)
        assert client.get(URL).data == before
        filler.unlink()
        assert [response.status_code for response in write_in_every_way(client)] == [201, 200, 200, 204]
        CommandRunner(database.path)("check")
        app.extensions["everruns"].close()
        database.close()


def test_file_without_permission_to_write_is_503_with_advice_in_the_log(
    tmp_path: Path, database: Database, organization: Organization, key: str
) -> None:
    database.checkpoint()
    database.close()
    database.path.chmod(0o400)
    with service(tmp_path / "service", database.path, prefix=obeying_permissions()) as running:
        assert get(running.path, URL, key).json()["total"] == 0
        response = send(running.path, "POST", URL, key, {})
        assert (response.status, response.json()["error"]["code"]) == (503, "database_unavailable")
        assert response.headers["retry-after"].isdecimal()
        assert f"this user must be allowed to write {database.path} and its directory" in running.log.read_text()
    database.path.chmod(0o600)
    assert execute(database.path, "SELECT COUNT(*) FROM sessions") == [(0,)]
