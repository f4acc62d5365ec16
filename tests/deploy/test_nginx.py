"""nginx with deploy/nginx.conf: pass-through, limits, errors, compression, TLS."""

import gzip
import json
import re
import socket
import socketserver
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from tests.support.servers import (
    ROOT,
    Database,
    Nginx,
    Response,
    Service,
    connection,
    get,
    replaced,
    send,
    unlimited,
    wait_until,
)

pytestmark = pytest.mark.needs("nginx")


def exchange(port: int, request: bytes) -> Response:
    """Send bytes as they are and read one response."""
    with socket.create_connection(("127.0.0.1", port), 20) as client:
        client.sendall(request)
        with HTTPResponse(client) as response:
            response.begin()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Response(response.status, headers, response.read())


@pytest.fixture
def limited(service: Service, tmp_path: Path) -> Iterator[Nginx]:
    """nginx with its own rate limits."""
    with Nginx(tmp_path, [f"unix:{service.path}"]) as running:
        yield running


# --- responses of the service ---------------------------------------------------------------------------------------


def test_a_response_is_the_services_own(nginx: Nginx, service: Service, shared_database: Database) -> None:
    headers = {"X-Request-Id": "mine"}
    through = get(nginx.port, "/v1/sessions?limit=2", shared_database.key, headers)
    direct = get(service.path, "/v1/sessions?limit=2", shared_database.key, headers)
    assert (through.status, through.body) == (200, direct.body)
    for name in ("etag", "link", "cache-control", "content-type", "x-request-id"):
        assert through.headers[name] == direct.headers[name]
    headers["If-None-Match"] = through.headers["etag"]
    assert get(nginx.port, "/v1/sessions?limit=2", shared_database.key, headers).status == 304


def test_a_link_with_long_filters_passes(nginx: Nginx, shared_database: Database) -> None:
    """`Link` repeats the filters up to four times: more than the 4 KiB that nginx takes by default."""
    filters = "&".join(f"tag={'x' * 90}{number}" for number in range(80))
    response = get(nginx.port, f"/v1/sessions?{filters}&offset=1&limit=1", shared_database.key)
    assert (response.status, len(response.headers["link"]) > 14_000) == (200, True)


def test_nginx_creates_a_missing_request_id_and_hides_its_version(nginx: Nginx, service: Service) -> None:
    headers = get(nginx.port, "/health").headers
    assert len(headers["x-request-id"]) == 32
    assert headers["server"] == "nginx"
    wait_until(
        lambda: any(line.get("id") == headers["x-request-id"] for line in service.lines()),
        "the id in the service's log",
    )


def test_a_page_of_sessions_is_compressed_and_revalidated(nginx: Nginx, shared_database: Database) -> None:
    headers = {"Accept-Encoding": "gzip"}
    response = get(nginx.port, "/v1/sessions", shared_database.key, headers)
    assert (response.status, response.headers["content-encoding"]) == (200, "gzip")
    assert b'"total":100' in gzip.decompress(response.body)
    assert "accept-encoding" in response.headers["vary"].lower()
    headers["If-None-Match"] = response.headers["etag"]
    assert get(nginx.port, "/v1/sessions", shared_database.key, headers).status == 304


def test_the_web_page_is_compressed_and_has_each_security_header_once(nginx: Nginx, service: Service) -> None:
    response = get(nginx.port, "/", headers={"Accept-Encoding": "gzip"})
    assert response.headers["content-encoding"] == "gzip"
    assert gzip.decompress(response.body) == get(service.path, "/").body
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["content-security-policy"].startswith("default-src 'none'")


# --- errors ---------------------------------------------------------------------------------------------------------

REFUSED = {
    "not HTTP": (b"hello\r\n\r\n", 400, "invalid_request"),
    "control character in a header": (b"GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", 400, "invalid_request"),
    "no Host": (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", 400, "invalid_request"),
    "unknown version": (b"GET / HTTP/2.0\r\n\r\n", 400, "invalid_request"),
    "unknown transfer coding": (
        b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
        400,
        "invalid_request",
    ),
    "URL that is not percent-encoded": (
        "GET /v1/sessions?agent_id=Müller HTTP/1.0\r\n\r\n".encode(),
        400,
        "invalid_request",
    ),
    "long request line": (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "uri_too_long"),
    "long header": (
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        431,
        "request_header_fields_too_large",
    ),
    "large body": (
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 9999999\r\n\r\n",
        413,
        "request_entity_too_large",
    ),
    "nginx's error location": (b"GET /everruns-error HTTP/1.0\r\n\r\n", 404, "not_found"),
    "unknown path": (b"GET /v2 HTTP/1.0\r\n\r\n", 404, "not_found"),
    "other method": (b"DELETE /v1/sessions HTTP/1.0\r\n\r\n", 405, "method_not_allowed"),
    "TRACE": (b"TRACE / HTTP/1.0\r\n\r\n", 405, "method_not_allowed"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_every_error_has_the_same_shape(nginx: Nginx, what: str) -> None:
    request, status, code = REFUSED[what]
    response = exchange(nginx.port, request)
    error = response.json()["error"]
    assert (response.status, error["code"]) == (status, code)
    assert error["message"]
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"] == error["request_id"]


def test_the_description_shows_nginxs_own_errors() -> None:
    description = json.loads((ROOT / "everruns" / "api" / "openapi.json").read_text("utf-8"))
    configuration = (ROOT / "deploy" / "nginx.conf").read_text("utf-8")
    for status in ("414", "429", "431"):
        response = description["components"]["responses"][status]
        (example,) = response["content"]["application/json"]["examples"].values()
        error = example["value"]["error"]
        assert re.search(f"{status} +{error['code']};", configuration)
        assert re.search(f'{status} +"{error["message"]}";', configuration)


def test_a_contradicting_scheme_header_is_ignored(nginx: Nginx) -> None:
    assert get(nginx.port, "/health", headers={"X-Forwarded-Ssl": "on", "X-Forwarded-Protocol": "ssl"}).status == 200


def test_a_service_that_does_not_run_is_503_and_logged(tmp_path: Path) -> None:
    with Nginx(tmp_path, [f"unix:{tmp_path}/none.sock"]) as running:
        response = get(running.port, "/v1/sessions", headers={"X-Request-Id": "mine"})
    error = response.json()["error"]
    assert (response.status, error["code"], error["request_id"]) == (503, "unavailable", "mine")
    assert (response.headers["retry-after"], response.headers["x-request-id"]) == ("5", "mine")
    assert "none.sock failed" in (tmp_path / "error.log").read_text()


# --- limits ---------------------------------------------------------------------------------------------------------


def get_repeatedly(port: int, url: str, authorizations: list[str]) -> list[Response]:
    """GET `url` on one connection, once for each value of `Authorization`."""
    client = connection(port)
    responses = []
    for authorization in authorizations:
        client.request("GET", url, headers={"Authorization": authorization})
        response = client.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        responses.append(Response(response.status, headers, response.read()))
    client.close()
    return responses


def test_a_key_above_its_rate_gets_429_and_another_key_does_not(limited: Nginx, shared_database: Database) -> None:
    key = shared_database.key
    forms = [key, f"Bearer {key}", f"ApiKey {key}", f"bearer    {key}"] * 50
    responses = get_repeatedly(limited.port, "/v1/sessions?limit=1", forms)
    assert {response.status for response in responses[:100]} == {200}
    refused = [response for response in responses if response.status == 429]
    assert len(refused) > 10
    for response in refused:
        assert response.json()["error"]["code"] == "too_many_requests"
        assert response.headers["retry-after"] == "1"
    other = shared_database.everruns("create-key", shared_database.organization).stdout.strip()
    assert get(limited.port, "/v1/sessions?limit=1", other).status == 200


def test_an_address_above_its_rate_gets_429(limited: Nginx) -> None:
    statuses = [response.status for response in get_repeatedly(limited.port, "/health", [""] * 400)]
    assert set(statuses[:200]) == {200}
    assert statuses.count(429) > 10


class _Held(socketserver.ThreadingUnixStreamServer):
    """Upstream that holds every request until `release` is set."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, path: Path) -> None:
        self.received: list[bytes] = []
        self.release = threading.Event()
        super().__init__(str(path), _HeldHandler)


class _HeldHandler(socketserver.StreamRequestHandler):
    server: _Held

    def handle(self) -> None:
        self.server.received.append(self.rfile.readline())
        self.server.release.wait(20)
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def test_64_requests_reach_the_service_at_once_and_the_rest_get_503(tmp_path: Path) -> None:
    clients: list[HTTPConnection] = []
    with _Held(tmp_path / "held.sock") as upstream, Nginx(tmp_path, [f"unix:{tmp_path}/held.sock"], unlimited) as front:
        thread = threading.Thread(target=upstream.serve_forever, args=[0.01])
        thread.start()
        try:
            for _ in range(64):
                clients.append(connection(front.port))
                clients[-1].request("GET", "/")
            wait_until(lambda: len(upstream.received) == 64, "64 requests at the service")
            for _ in range(10):
                response = get(front.port, "/")
                assert (response.status, response.json()["error"]["code"]) == (503, "unavailable")
            upstream.release.set()
            assert Counter(client.getresponse().status for client in clients) == {200: 64}
        finally:
            upstream.release.set()
            upstream.shutdown()
            thread.join()
            for client in clients:
                client.close()


def test_clients_that_send_half_a_request_do_not_occupy_the_service(nginx: Nginx, shared_database: Database) -> None:
    halves = [b"GET /v1/sessions HTTP/1.1\r\nHost: a\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n12"]
    with ExitStack() as stack:
        for number in range(200):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", nginx.port), 20))
            client.sendall(halves[number % 2])
        assert get(nginx.port, "/v1/sessions", shared_database.key).status == 200


# --- TLS, numbers, the log ------------------------------------------------------------------------------------------


@pytest.mark.needs("openssl")
def test_the_tls_lines_work_when_they_are_no_comments(
    service: Service, shared_database: Database, tmp_path: Path
) -> None:
    certificate = ["-keyout", f"{tmp_path}/tls.key", "-out", f"{tmp_path}/tls.crt", "-subj", "/CN=localhost"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *certificate]
    subprocess.run(command, check=True, capture_output=True)

    def with_tls(text: str) -> str:
        lines = ("ssl_certificate ", "ssl_certificate_key", "add_header Strict")
        return replaced(
            text,
            {"# listen 443 ssl http2;": f"listen unix:{tmp_path}/tls.sock ssl http2;"}
            | {f"# {line}": line for line in lines}
            | {"/etc/everruns/": f"{tmp_path}/"},
        )

    with Nginx(tmp_path, [f"unix:{service.path}"], with_tls):
        command = ["curl", "--silent", "--fail", "--include", "--cacert", f"{tmp_path}/tls.crt"]
        command += ["--unix-socket", f"{tmp_path}/tls.sock", "-H", f"Authorization: {shared_database.key}"]
        ran = subprocess.run([*command, "https://localhost/v1/sessions"], check=True, capture_output=True, text=True)
        assert '"total":100' in ran.stdout
        response = get(f"{tmp_path}/tls.sock", "/v1/sessions")  # plain HTTP
        assert (response.status, response.json()["error"]["code"]) == (400, "invalid_request")


def test_stub_status_counts_requests_and_is_not_public(nginx: Nginx) -> None:
    def count() -> int:
        return int(get(nginx.status_port, "/nginx_status").body.split()[9])

    before = count()
    for _ in range(3):
        get(nginx.port, "/health")
    assert count() >= before + 3
    assert get(nginx.port, "/nginx_status").status == 404


@pytest.mark.parametrize(("title", "status"), [(None, 400), ("x" * 1024 * 1024, 413)], ids=["service", "nginx"])
def test_the_access_log_has_one_json_object_a_request(
    nginx: Nginx, shared_database: Database, title: str | None, status: int
) -> None:
    """Errors of nginx itself are logged with the path of the request too, not with that of the error page."""
    headers = {"X-Request-Id": f"log-line-{status}"}
    send(nginx.port, "POST", "/v1/sessions?search=secret", shared_database.key, {"title": title}, headers)
    log = nginx.folder / "everruns.log"
    wait_until(lambda: f'"id":"log-line-{status}"' in log.read_text(), "the line of the request")
    (line,) = [line for line in log.read_text().splitlines() if f'"id":"log-line-{status}"' in line]
    fields = Response(0, {}, line.encode()).json()
    assert (fields["method"], fields["path"], fields["status"]) == ("POST", "/v1/sessions", status)
    assert {"time", "status", "bytes", "seconds", "upstream", "address"} <= set(fields)
    assert "secret" not in line
    assert shared_database.key[12:] not in log.read_text()
