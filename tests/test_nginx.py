"""Through a real nginx with deploy/nginx.conf: limits, errors in the envelope, compression, deploys without a loss."""

import gzip
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, World, agent, session
from tests.servers import Load, Nginx, Service, ask, get, service, unlimited, wait_until

pytestmark = pytest.mark.needs("nginx")


@pytest.fixture
def key(world: World) -> str:
    org, key = world.organization()
    world.load(org, agent(capabilities=["skills"]), *(session(n) for n in range(100)))
    return key


@pytest.fixture
def behind(world: World, tmp_path: Path) -> Iterator[Service]:
    with service(tmp_path / "service", world.path) as running:
        yield running


def nginx(tmp_path: Path, running: Service) -> Nginx:
    return Nginx(tmp_path, [f"unix:{running.path}"], unlimited)


def one_a_second_for_a_key(text: str) -> str:
    return text.replace("rate=50r/s", "rate=1r/s").replace("rate=100r/s", "rate=9999r/s")


def raw(port: int, request: bytes) -> tuple[int, dict[str, str], bytes]:
    with socket.create_connection(("127.0.0.1", port), 20) as client:
        client.sendall(request)
        head, _, body = b"".join(iter(lambda: client.recv(65536), b"")).partition(b"\r\n\r\n")
    lines = head.decode().splitlines()
    return int(lines[0].split()[1]), dict(line.lower().split(": ", 1) for line in lines[1:]), body


def test_an_answer_is_the_services_own(tmp_path: Path, behind: Service, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}", "X-Request-Id": "mine"}
    with nginx(tmp_path, behind) as front:
        status, told, body = ask(front.port, "/v1/sessions?limit=2", headers)
        direct = ask(behind.path, "/v1/sessions?limit=2", headers)
        assert (status, body) == (direct[0], direct[2])
        for name in ("etag", "link", "cache-control", "content-type", "x-request-id"):
            assert told[name] == direct[1][name]
        assert told["x-content-type-options"] == "nosniff"
        assert "/" not in told["server"]
        assert ask(front.port, "/v1/sessions?limit=2", {**headers, "If-None-Match": told["etag"]})[0] == 304
        assert len(ask(front.port, "/health", {})[1]["x-request-id"]) == 32


def test_a_page_is_compressed_and_still_304(tmp_path: Path, behind: Service, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}", "Accept-Encoding": "gzip"}
    with nginx(tmp_path, behind) as front:
        status, told, body = ask(front.port, "/v1/sessions", headers)
        assert (status, told["content-encoding"]) == (200, "gzip")
        assert {name.strip().lower() for name in told["vary"].split(",")} >= {"accept-encoding"}
        assert json.loads(gzip.decompress(body))["total"] == 100
        assert ask(front.port, "/v1/sessions", {**headers, "If-None-Match": told["etag"]})[0] == 304


def test_the_page_is_compressed_and_its_headers_are_told_once(tmp_path: Path, behind: Service) -> None:
    with nginx(tmp_path, behind) as front:
        for path in ("/", "/page/page.css", "/page/page.js"):
            status, told, body = ask(front.port, path, {"Accept-Encoding": "gzip"})
            assert (status, told["content-encoding"]) == (200, "gzip")
            assert gzip.decompress(body) == ask(behind.path, path, {})[2]
            assert (told["x-content-type-options"], told["referrer-policy"]) == ("nosniff", "no-referrer")
            assert told["content-security-policy"].startswith("default-src 'none'")
            assert ask(front.port, path, {"Accept-Encoding": "gzip", "If-None-Match": told["etag"]})[0] == 304


REFUSED = {
    "no HTTP": (b"hello\r\n\r\n", 400, "invalid_request"),
    "a control character in a header": (b"GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", 400, "invalid_request"),
    "no Host": (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", 400, "invalid_request"),
    "a version that there is not": (b"GET / HTTP/2.0\r\n\r\n", 400, "invalid_request"),
    "a transfer coding that there is not": (
        b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
        400,
        "invalid_request",
    ),
    "a long line": (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "uri_too_long"),
    "a long header": (
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        431,
        "request_header_fields_too_large",
    ),
    "a large body": (
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 99999\r\n\r\n",
        413,
        "request_entity_too_large",
    ),
    "the page of errors": (b"GET /everruns-error HTTP/1.0\r\n\r\n", 404, "not_found"),
    "another path": (b"GET /v2 HTTP/1.0\r\n\r\n", 404, "not_found"),
    "another method": (b"DELETE /v1/sessions HTTP/1.0\r\n\r\n", 405, "method_not_allowed"),
    "TRACE": (b"TRACE / HTTP/1.0\r\n\r\n", 405, "method_not_allowed"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_refusal_is_in_the_envelope_whoever_refuses(tmp_path: Path, behind: Service, what: str) -> None:
    request, status, code = REFUSED[what]
    with nginx(tmp_path, behind) as front:
        answered, headers, body = raw(front.port, request)
    error = json.loads(body)["error"]
    assert (answered, error["code"]) == (status, code)
    assert error["message"]
    assert headers["content-type"] == "application/json"
    assert headers["x-request-id"] == error["request_id"]


@pytest.mark.parametrize("line", ["GET /", "GET  / ", "GET /everruns-error", "GET /%00", "POST /", "GET http://[/"])
def test_a_request_line_without_a_version_gets_no_body_without_a_status(
    tmp_path: Path, behind: Service, line: str
) -> None:
    with nginx(tmp_path, behind) as front, socket.create_connection(("127.0.0.1", front.port), 20) as client:
        client.sendall(f"{line}\r\n".encode())
        assert client.recv(65536) == b""


@pytest.mark.parametrize("begun", [b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"])
def test_a_request_that_does_not_arrive_in_time_gets_no_answer(tmp_path: Path, behind: Service, begun: bytes) -> None:
    def impatient(text: str) -> str:
        return re.sub(r"(client_\w+_timeout) 10s", r"\1 1s", text)

    with (
        Nginx(tmp_path, [f"unix:{behind.path}"], impatient) as front,
        socket.create_connection(("127.0.0.1", front.port), 9) as client,
    ):
        client.sendall(begun)
        assert client.recv(65536) == b""


def test_a_service_that_is_away_is_503_in_the_envelope(tmp_path: Path) -> None:
    with Nginx(tmp_path, [f"unix:{tmp_path}/nobody.sock"]) as front:
        status, headers, body = ask(front.port, "/v1/sessions", {"X-Request-Id": "mine"})
    assert (status, json.loads(body)["error"]["code"]) == (503, "unavailable")
    assert json.loads(body)["error"]["request_id"] == headers["x-request-id"] == "mine"
    assert headers["retry-after"] == "5"


def test_a_key_that_asks_too_often_gets_429_and_another_one_does_not(
    world: World, tmp_path: Path, behind: Service, key: str
) -> None:
    _, other = world.organization()
    with Nginx(tmp_path, [f"unix:{behind.path}"], one_a_second_for_a_key) as front:
        answers = [ask(front.port, "/v1/sessions?limit=1", {"Authorization": f"Bearer {key}"}) for _ in range(400)]
        assert get(front.port, "/v1/sessions?limit=1", other)[0] == 200
    refused = [(headers, json.loads(body)) for status, headers, body in answers if status == 429]
    assert [status for status, _, _ in answers[:100]] == [200] * 100
    assert len(refused) > 100
    for headers, answer in refused:
        assert (headers["retry-after"], answer["error"]["code"]) == ("1", "too_many_requests")


def test_a_key_is_the_same_key_however_it_is_sent(tmp_path: Path, behind: Service, key: str) -> None:
    ways = [f"{scheme}{' ' * n}{key}" for scheme in ("Bearer", "bEARER", "ApiKey") for n in range(1, 101)]
    with Nginx(tmp_path, [f"unix:{behind.path}"], one_a_second_for_a_key) as front:
        statuses = [ask(front.port, "/v1/sessions?limit=1", {"Authorization": way})[0] for way in [key, *ways]]
    assert statuses[:100] == [200] * 100
    assert statuses.count(429) > 100


def test_an_address_that_asks_too_often_without_a_key_gets_429(tmp_path: Path, behind: Service) -> None:
    with Nginx(tmp_path, [f"unix:{behind.path}"], lambda text: text.replace("rate=100r/s", "rate=1r/s")) as front:
        statuses = [ask(front.port, "/health", {})[0] for _ in range(600)]
    assert statuses[:200] == [200] * 200
    assert statuses.count(429) > 100


def test_a_key_is_never_whole_in_the_log(tmp_path: Path, behind: Service, key: str) -> None:
    once, twice = key.replace("_", "%5f", 1), key.replace("_", "%25255F", 1)
    with Nginx(tmp_path, [f"unix:{behind.path}"], one_a_second_for_a_key) as front:
        for path in ("/health", f"/{key}", f"/%0a{key}/{key}", f"/{once}", f"/{twice}", f"/health?api_key={key}"):
            ask(front.port, path, {"X-Request-Id": key, "Authorization": key, "Referer": key, "User-Agent": key})
        large = f"GET /health?{key} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 99999\r\n\r\n"
        statuses = {raw(front.port, large.encode())[0]}
        statuses |= {ask(front.port, f"/health?{key}", {"Authorization": key})[0] for _ in range(200)}
        behind.stop()
        behind.listener.close()
        statuses.add(ask(front.port, f"/health?{key}", {})[0])
    assert statuses == {200, 413, 429, 503}
    text = (tmp_path / "everruns.log").read_text("utf-8")
    assert text.count(f'"id":"{key[:12]}...","method":"GET","path":"/') == 6
    for path in (key, f"\\n{key}", key, twice.replace("%25", "%", 1)):
        told = path[: path.index(key[4:]) + 8]
        assert f'"path":"/{told}..."' in text
    assert key[4:13] not in text + (tmp_path / "error.log").read_text("utf-8")


def test_it_speaks_tls_where_the_certificate_is_put(tmp_path: Path, behind: Service, key: str) -> None:
    certificate = ["-keyout", f"{tmp_path}/tls.key", "-out", f"{tmp_path}/tls.crt", "-subj", "/CN=localhost"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *certificate]
    subprocess.run(command, check=True, capture_output=True)

    def with_tls(text: str) -> str:
        text = text.replace("# listen 443 ssl http2;", f"listen unix:{tmp_path}/tls.sock ssl http2;")
        for line in ("ssl_certificate ", "ssl_certificate_key", "add_header Strict"):
            text = text.replace(f"# {line}", line)
        return text.replace("/etc/everruns/", f"{tmp_path}/")

    with Nginx(tmp_path, [f"unix:{behind.path}"], with_tls):
        address = ["--unix-socket", f"{tmp_path}/tls.sock", "--cacert", f"{tmp_path}/tls.crt"]
        command = [
            "curl",
            "--silent",
            "--fail",
            *address,
            "-H",
            f"Authorization: {key}",
            "https://localhost/v1/sessions",
        ]
        assert json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["total"] == 100
        status, _, body = ask(f"{tmp_path}/tls.sock", "/v1/sessions", {})  # by plain HTTP
        error = json.loads(body)["error"]
        assert (status, error["code"]) == (400, "invalid_request")
        assert "https" in error["message"]


def test_stub_status_counts_the_requests_and_is_for_this_machine_alone(tmp_path: Path, behind: Service) -> None:
    with nginx(tmp_path, behind) as front:
        for _ in range(3):
            ask(front.port, "/health", {})
        status, _, body = ask(front.status_port, "/nginx_status", {})
        assert status == 200
        assert int(body.split()[9]) >= 3
        assert ask(front.port, "/nginx_status", {})[0] == 404


def test_reload_and_restart_under_load_lose_no_request(tmp_path: Path, behind: Service, key: str) -> None:
    with nginx(tmp_path, behind) as front, Load(front.port, "/v1/sessions?limit=5", key) as load:
        for _ in range(3):
            load.more(200)
            before = behind.workers()
            behind.signal(signal.SIGHUP)
            wait_until(lambda old=before: not set(old) & set(behind.workers()), "new workers")  # type: ignore[misc]
        for _ in range(3):
            load.more(200)
            behind.stop()
            time.sleep(0.2)
            behind.start()
        load.more(200)
    assert load.faults == []


def test_a_reload_brings_new_code_and_new_configuration(world: World, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    subprocess.run(["cp", "-r", "app.py", "schema.sql", "everruns", "deploy", str(copy)], cwd=ROOT, check=True)
    with service(tmp_path / "service", world.path, cwd=copy) as running:
        assert get(running.path, "/health")[1]["version"] != "9.9.9"
        package = copy / "everruns" / "__init__.py"
        package.write_text(package.read_text().replace('__version__ = "', '__version__ = "9.9.9" or "'))
        config = copy / "deploy" / "gunicorn.conf.py"
        config.write_text(config.read_text() + "\nworkers = 1\n")
        running.signal(signal.SIGHUP)
        wait_until(lambda: get(running.path, "/health")[1]["version"] == "9.9.9", "the new code")
        wait_until(lambda: len(running.workers()) == 1, "the new configuration")


def test_a_killed_worker_costs_at_most_its_own_requests(tmp_path: Path, behind: Service, key: str) -> None:
    """nginx asks again where it has had no answer; an answer that has begun is cut off, and the client sees that."""
    with nginx(tmp_path, behind) as front, Load(front.port, "/v1/sessions?limit=5", key, clients=4) as load:
        for kills in range(1, 6):
            load.more(200)
            victim = behind.workers()[0]
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda dead=victim: dead not in behind.workers() and len(behind.workers()) == 2, "a new worker")  # type: ignore[misc]
            load.more(200)
            assert len(load.faults) <= kills * 4
    assert [fault for fault in load.faults if not fault.startswith(("IncompleteRead", "503"))] == []
