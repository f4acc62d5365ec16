"""The running service: health, the database failing under it, real servers, the wheel in an empty environment."""

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import venv
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import everruns
from tests.conftest import ROOT, World, agent, fetch, serving, session
from tests.test_cli import UNUSABLE
from tests.test_import import EVERRUNS, SAMPLE, without_override


def test_health_tells_status_and_version_without_a_key(world: World) -> None:
    response = world.client.get("/health")
    assert (response.status_code, response.get_json()) == (200, {"status": "ok", "version": everruns.__version__})


def unavailable(world: World, key: str, caplog: pytest.LogCaptureFixture) -> None:
    """Both endpoints answer 503 in the envelope, tell nothing, and log the reason."""
    for url in ("/health", "/v1/sessions"):
        caplog.clear()
        response = world.get(key, url, X_Request_Id="find-me")
        assert (response.status_code, response.get_json()["error"]["code"]) == (503, "database_unavailable")
        assert response.headers["Retry-After"].isdecimal()
        assert str(world.path) not in response.text
        assert "find-me" in caplog.text


@pytest.mark.parametrize("what", [*UNUSABLE, "an empty file", "missing"])
def test_a_database_that_cannot_be_used_is_503_and_recovers_by_itself(
    world: World, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    _, key = world.organization()
    assert world.get(key).status_code == 200
    kept = world.folder / "kept.db"
    world.path.rename(kept)
    make: Callable[[Path], object] = {
        **{name: make for name, (make, _) in UNUSABLE.items()},
        "an empty file": Path.touch,
        "missing": lambda path: None,
    }[what]
    make(world.path)
    unavailable(world, key, caplog)
    if world.path.is_dir():
        world.path.rmdir()
    kept.replace(world.path)
    assert world.get(key).status_code == 200


def test_a_corrupt_database_is_503(world: World, caplog: pytest.LogCaptureFixture) -> None:
    _, key = world.organization()
    content = bytearray(world.path.read_bytes())
    content[100:] = os.urandom(len(content) - 100)
    world.path.write_bytes(content)
    unavailable(world, key, caplog)


def test_a_database_locked_for_longer_than_the_timeout_is_503(world: World, caplog: pytest.LogCaptureFixture) -> None:
    _, key = world.organization()
    with closing(sqlite3.connect(world.path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        other.execute("DELETE FROM api_keys WHERE FALSE")
        unavailable(world, key, caplog)
    assert world.get(key).status_code == 200


def test_a_database_that_the_user_may_not_read_is_503(world: World) -> None:
    world.path.chmod(0)
    code = "from everruns import create_app; r = create_app().test_client().get('/health'); print(r.status_code)"
    command = [*without_override(), sys.executable, "-c", code]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout == "503\n"
    assert "permission denied for this user" in ran.stderr


def test_the_http_process_cannot_write(world: World) -> None:
    from everruns import db

    with (
        world.app.app_context(),
        db.snapshot() as connection,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        connection.execute("DELETE FROM organizations")


def test_page_and_total_are_of_one_moment(world: World) -> None:
    """Between the statements of one snapshot another program stores a session: none of them sees it."""
    from everruns import db

    org, _ = world.organization()
    world.load(org, agent())
    with world.app.app_context(), db.snapshot() as connection:
        assert connection.execute("SELECT COUNT(*) FROM sessions").fetchone() == (0,)
        world.load(org, session(1))
        assert connection.execute("SELECT COUNT(*) FROM sessions").fetchone() == (0,)


def raw(address: str, request: bytes) -> tuple[bytes, bytes]:
    """Send bytes as they are; gives the status line and the body."""
    with socket.create_connection(("127.0.0.1", int(address.rsplit(":", 1)[1])), 10) as connection:
        connection.sendall(request)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.split(b"\r\n")[0], body


def test_what_gunicorn_refuses_itself_comes_in_the_envelope(world: World, server: str) -> None:
    _, key = world.organization()
    end = b"Host: x\r\nConnection: close\r\n\r\n"
    authorization = b"Authorization: Bearer " + key.encode() + b"\r\n"
    requests = {
        b"GET /v1/sessions?agent_id=" + b"a" * 10_000 + b" HTTP/1.1\r\n" + end: (b"414", "uri_too_long"),
        b"GET / HTTP/1.1\r\nAuthorization: " + b"x" * 100_000 + b"\r\n" + end: (b"431", None),
        b"GET / HTTP/1.1\r\nBad Header: x\r\n" + end: (b"400", "invalid_request"),
        b"nonsense\r\n\r\n": (b"400", "invalid_request"),
        b"GET /v1/sessions?agent_id=agent_%00 HTTP/1.1\r\n" + authorization + end: (b"400", "invalid_request"),
        b"GET /v1/sessions?agent_id=\xff HTTP/1.1\r\n" + authorization + end: (b"400", "invalid_request"),
        b"GET /v1/sessions HTTP/1.1\r\nAuthorization: \xff\xfe\r\n" + end: (b"401", "unauthorized"),
        b"GET /v1/sessions HTTP/1.1\r\n" + authorization + authorization + end: (b"401", "unauthorized"),
        b"GET /v1/sessions HTTP/1.1\r\nContent-Length: 3\r\n" + authorization + end + b"abc": (b"200", None),
    }
    for request, (status, code) in requests.items():
        line, body = raw(server, request)
        assert line.split()[1] == status, (request[:80], line, body)
        if status != b"200":
            error = json.loads(body)["error"]
            assert error["request_id"]
            assert error["message"]
            assert code in (None, error["code"])


def test_two_servers_and_an_importer_on_one_file_at_once(world: World) -> None:
    org, key = world.organization()
    world.load(org, agent())
    stop = threading.Event()
    faults: list[object] = []
    totals: list[int] = []

    def read(address: str) -> None:
        last = 0
        while not stop.is_set():
            status, answer = fetch(f"{address}/v1/sessions?limit=100", key)
            seen = [item["id"] for item in answer.get("data", [])]
            # Each import adds 50, all or nothing: a total between two is a half import.
            good = status == 200 and answer["total"] % 50 == 0 and len(set(seen)) == min(100, answer["total"])
            if not good or answer["total"] < last:
                faults.append((status, answer))
                return
            last = answer["total"]
            totals.append(last)

    with serving(world.path) as one, serving(world.path) as two:
        readers = [threading.Thread(target=read, args=[address]) for address in (one, two, one, two)]
        for reader in readers:
            reader.start()
        for batch in range(12):
            records = "".join(json.dumps(session(f"{batch}-x-{n}")) + "\n" for n in range(50))
            subprocess.run([*EVERRUNS, "import", "--org", org, "-"], input=records.encode(), check=True, stderr=-3)
        stop.set()
        for reader in readers:
            reader.join()
        assert faults == []
        assert len(set(totals)) > 3
        assert fetch(f"{one}/v1/sessions?limit=1", key)[1]["total"] == 600
    world.everruns("check")


def test_it_works_installed_as_a_wheel_in_an_empty_environment(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path / "dist"), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    scripts = tmp_path / "venv" / "bin"
    subprocess.run([scripts / "pip", "install", "--quiet", wheel], check=True, capture_output=True)
    folder = tmp_path / "anywhere"
    folder.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EVERRUNS_")}

    def run(*arguments: str) -> str:
        ran = subprocess.run(
            [scripts / "everruns", *arguments], cwd=folder, env=environment, check=True, capture_output=True, text=True
        )
        return ran.stdout.strip()

    run("init-db")
    org = run("create-org", "Acme")
    key = run("create-key", org)
    run("import", "--org", org, str(SAMPLE))
    code = (
        "from everruns import create_app\n"
        f"r = create_app().test_client().get('/v1/sessions', headers={{'Authorization': '{key}'}})\n"
        "assert create_app().test_client().get('/page/page.js').status_code == 200\n"
        "print(r.json['total'])\n"
        "documents = ('/api-doc/openapi.json', '/llms.txt')\n"
        "print([create_app().test_client().get(url).status_code for url in documents])"
    )
    ran = subprocess.run(
        [scripts / "python", "-c", code], cwd=folder, env=environment, check=True, capture_output=True, text=True
    )
    assert ran.stdout == "40\n[200, 200]\n"
    shutil.copy(folder / "instance" / "everruns.db", tmp_path / "copy.db")
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(scripts / "gunicorn"), "--bind", f"127.0.0.1:{port}", "everruns:create_app()"]
    with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL) as server:
        try:
            for _ in range(200):
                try:
                    status, answer = fetch(f"http://127.0.0.1:{port}/v1/sessions?limit=1", key)
                    break
                except OSError:
                    threading.Event().wait(0.1)
            assert (status, answer["total"]) == (200, 40)
        finally:
            server.terminate()
