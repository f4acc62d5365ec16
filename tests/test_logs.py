"""The log of the running service: a line a request, JSON or for a person, and never a key; statsd."""

import os
import pty
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import AGENT, ROOT, World, agent, free_port, session
from tests.servers import Service, ask, get, service, wait_until


@pytest.fixture
def running(world: World, tmp_path: Path) -> Iterator[Service]:
    with service(tmp_path / "service", world.path) as running:
        yield running


def requests(running: Service) -> list[dict[str, object]]:
    return [line for line in running.lines() if "status" in line]


def test_a_request_is_one_json_line(world: World, running: Service) -> None:
    org, key = world.organization()
    world.load(org, agent(), session(1))
    url = f"/v1/sessions?agent_id={AGENT}&limit=5&created_before=2027-01-01T00:00:00Z"
    headers = {"Authorization": f"Bearer {key}", "X-Request-Id": "find-me"}
    bodies = [ask(running.path, url, headers)[2] for _ in range(6)]  # also those that are answered before Flask
    wait_until(lambda: len([line for line in requests(running) if line["path"] == "/v1/sessions"]) == 6, "six lines")
    for line in [line for line in requests(running) if line["path"] == "/v1/sessions"]:
        assert str(line.pop("time")).endswith("Z")
        assert 0 < float(str(line.pop("ms"))) < 5000
        assert line == {
            "id": "find-me",
            "method": "GET",
            "path": "/v1/sessions",
            "query": [f"agent_id={AGENT}", "limit=5", "created_before"],
            "status": 200,
            "bytes": len(bodies[0]),
            "organization": org,
            "key": key[:12],
        }


def test_a_request_of_nobody_is_told_too(running: Service) -> None:
    assert get(running.path, "/v1/sessions?x=secret")[0] == 401
    wait_until(lambda: any(line["status"] == 401 for line in requests(running)), "the line")
    (line,) = [line for line in requests(running) if line["status"] == 401]
    assert (line["organization"], line["key"], line["query"]) == (None, None, ["x"])


def test_a_key_is_never_whole_in_the_log(world: World, running: Service) -> None:
    _, key = world.organization()
    for headers in (
        {"Authorization": f"Bearer {key}"},
        {"Authorization": key},
        {"Authorization": f"Basic {key}"},
        {"X-Request-Id": key},
        {"X-Org-Id": key, "Authorization": key},
        {"User-Agent": key, "Referer": key},
    ):
        for url in (
            "/v1/sessions",
            f"/{key}",
            f"/{key.replace('_', '%5f', 1)}",
            f"/{key.replace('_', '%25255F', 1)}",
            f"/v1/sessions?{key}",
            f"/v1/sessions?limit={key}",
            f"/health?a={key}",
        ):
            ask(running.path, url, headers)
    for request in (
        f"GET /{key}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: a\r\n{key} : {key}\r\n\r\n",
        f"{key} / HTTP/9\r\n\r\n",
    ):
        with closing(socket.socket(socket.AF_UNIX)) as client:
            client.connect(running.path)
            client.sendall(request.encode())
            client.recv(1000)
    world.path.rename(world.folder / "away.db")
    assert get(running.path, "/v1/sessions", key)[0] == 503
    wait_until(lambda: len(requests(running)) >= 43, "all lines")
    text = running.log.read_text("utf-8")
    assert key[:12] in text
    assert key[4:13] not in text


def test_a_fault_is_a_json_line_with_the_id_of_the_request(world: World, running: Service) -> None:
    world.path.rename(world.folder / "away.db")
    assert ask(running.path, "/health", {"X-Request-Id": "find-me"})[0] == 503
    (line,) = [line for line in running.lines() if "find-me" in str(line.get("message"))]
    assert line["level"] == "error"
    assert f"{world.path} does not exist" in str(line["message"])


def test_at_a_terminal_a_person_can_read_it(world: World) -> None:
    _, key = world.organization()
    port = free_port()
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "gunicorn", "--config", "deploy/gunicorn.conf.py", "app:app"]
    environment = {**os.environ, "EVERRUNS_BIND": f"127.0.0.1:{port}", "EVERRUNS_WORKERS": "1"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        text = b""
        while b"Booting worker" not in text:
            text += os.read(ours, 4096)
        assert get(port, "/v1/sessions?limit=3", key)[0] == 200
        assert get(port, "/%0A00:00:00.000%20forged%1B%5B31m")[0] == 404
        while b" 200 " not in text or b" 404 " not in text:
            text += os.read(ours, 4096)
        process.terminate()
    os.close(ours)
    (line,) = [line for line in text.decode().splitlines() if " 200 " in line]
    assert "GET /v1/sessions?limit=3 200 " in line
    assert "{" not in line
    assert b"\x1b" not in text
    assert "\n00:00:00.000 forged" not in text.decode()


def test_statsd_gets_the_number_and_the_time_of_the_requests(world: World, tmp_path: Path) -> None:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(20)
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        with service(tmp_path / "service", world.path, EVERRUNS_STATSD=address) as running:
            assert get(running.path, "/v1/sessions")[0] == 401
            told: set[str] = set()
            while not {"everruns.gunicorn.request.status.401", "everruns.gunicorn.request.duration"} <= told:
                told.add(listener.recv(1000).decode().partition(":")[0])
    assert "everruns.gunicorn.requests" in told


def test_a_setting_that_is_no_number_is_told_in_one_line(world: World) -> None:
    for name, value in (("EVERRUNS_WORKERS", "many"), ("EVERRUNS_WORKERS", "0"), ("EVERRUNS_STATSD", "nowhere:port")):
        command = [sys.executable, "-m", "gunicorn", "--config", "deploy/gunicorn.conf.py", "app:app"]
        environment = {**os.environ, "EVERRUNS_BIND": f"127.0.0.1:{free_port()}", name: value}
        ran = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=20, check=False
        )
        assert ran.returncode != 0
        assert name in ran.stderr
        assert "Traceback" not in ran.stderr
