"""The service's log and statsd numbers."""

import socket
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.support import servers
from tests.support.servers import AGENT, Database, Service, get, wait_until


def logged_request(service: Service, request_id: str) -> dict[str, Any]:
    """Wait for the log line of a request."""
    found: list[dict[str, Any]] = []

    def is_logged() -> bool:
        found[:] = [line for line in service.lines() if line.get("id") == request_id]
        return bool(found)

    wait_until(is_logged, f"a log line of request {request_id}")
    (line,) = found
    return line


def test_a_request_is_one_json_line(service: Service, shared_database: Database) -> None:
    url = f"/v1/sessions?agent_id={AGENT}&limit=5&offset=2&created_before=2027-01-01T00:00:00Z"
    response = get(service.path, url, shared_database.key, {"X-Request-Id": "list"})
    line = logged_request(service, "list")
    assert line.pop("time").endswith("Z")
    assert 0 < line.pop("ms") < 5000
    assert line == {
        "id": "list",
        "method": "GET",
        "path": "/v1/sessions",
        "query": [f"agent_id={AGENT}", "limit=5", "offset=2", "created_before"],
        "status": 200,
        "bytes": len(response.body),
        "organization": shared_database.organization,
        "key": shared_database.key[:12],
    }


def test_a_new_request_id_is_logged(service: Service) -> None:
    response = get(service.path, "/health")
    assert logged_request(service, response.headers["x-request-id"])["path"] == "/health"


def test_a_request_without_a_key_is_logged(service: Service) -> None:
    get(service.path, "/v1/sessions", headers={"X-Request-Id": "no-key"})
    line = logged_request(service, "no-key")
    assert (line["status"], line["organization"], line["key"]) == (401, None, None)


def test_only_values_of_listed_arguments_are_logged(service: Service) -> None:
    url = "/v1/sessions?agent_id=a&status=b&offset=c&limit=d&days=e&until=f&search=secret&x=secret&limit=&flag"
    get(service.path, url, headers={"X-Request-Id": "arguments"})
    query = logged_request(service, "arguments")["query"]
    assert query == [
        "agent_id=a",
        "status=b",
        "offset=c",
        "limit=d",
        "days=e",
        "until=f",
        "search",
        "x",
        "limit=",
        "flag",
    ]


def test_authorization_is_never_logged(service: Service, shared_database: Database) -> None:
    key = shared_database.key
    sent = [f"Bearer {key}", f"ApiKey {key}", key, f"Basic {key}", f"Bearer {key}x", f"Bearer {key[:-1]}"]
    for number, authorization in enumerate(sent):
        headers = {"Authorization": authorization, "X-Org-Id": key, "Referer": key, "User-Agent": key, "Cookie": key}
        get(service.path, "/v1/sessions", headers={**headers, "X-Request-Id": f"authorization-{number}"})
        assert logged_request(service, f"authorization-{number}")["status"] in (401, 403)
    assert key[12:-1] not in service.log.read_text("utf-8")


def test_a_path_cannot_forge_a_line(service: Service) -> None:
    path = '/%0a{"id": "forged"}%1b[31m'.replace(" ", "%20")
    get(service.path, path, headers={"X-Request-Id": "line-break"})
    assert logged_request(service, "line-break")["path"] == '/\n{"id": "forged"}\x1b[31m'


def test_an_unavailable_database_is_logged_with_the_request_id(tmp_path: Path) -> None:
    with servers.service(tmp_path / "service", tmp_path / "missing.db") as running:
        assert get(running.path, "/health", headers={"X-Request-Id": "find-me"}).status == 503
        (line,) = [line for line in running.lines() if "find-me" in line.get("message", "")]
    assert line["level"] == "error"
    assert str(tmp_path / "missing.db") in line["message"]


def test_an_exception_is_one_json_line_with_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "import logging\n\n"
        "def app(environ, start_response):\n"
        "    logging.getLogger('everruns').warning('from the application')\n"
        "    logging.getLogger('a.library').warning('from a library')\n"
        "    raise RuntimeError('broken')\n"
    )
    with servers.service(tmp_path / "service", tmp_path / "none.db", tmp_path) as running:
        assert get(running.path, "/path").status == 500
        wait_until(lambda: any("traceback" in line for line in running.lines()), "a traceback")
        lines = running.lines()
    assert {"from the application", "from a library"} <= {line.get("message") for line in lines}
    line = next(line for line in lines if "traceback" in line)
    assert line["level"] == "error"
    assert line["traceback"].endswith("RuntimeError: broken")


def test_statsd_gets_number_status_and_duration_of_requests(tmp_path: Path) -> None:
    names = {"everruns.gunicorn.requests", "everruns.gunicorn.request.status.503", "everruns.gunicorn.request.duration"}
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as statsd:
        statsd.bind(("127.0.0.1", 0))
        statsd.settimeout(20)
        address = f"127.0.0.1:{statsd.getsockname()[1]}"
        with servers.service(tmp_path / "service", tmp_path / "missing.db", EVERRUNS_STATSD=address):
            received: set[str] = set()
            while not names <= received:
                received.add(statsd.recv(1000).decode().partition(":")[0])
