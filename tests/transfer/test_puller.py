"""`everruns pull`: copying an organization from another server."""

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import pytest
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

from everruns import create_app
from everruns.records import Organization
from everruns.store.db import Database
from tests.support.commands import CommandRunner
from tests.support.database import create_organization, execute, import_records
from tests.support.records import ORGANIZATION_ID, agent_record, harness_record, session_record
from tests.support.server import free_port


class Source:
    """Another server: its application, and a key of its organization."""

    def __init__(self, path: Path) -> None:
        self.database = Database(path)
        self.organization, self.key = create_organization(self.database, "org_source")
        self.app: WSGIApplication = create_app({"DATABASE": path}).wsgi_app


@pytest.fixture
def source(tmp_path: Path, new_database: Path) -> Iterator[Source]:
    """A server with 230 sessions of the same timestamp, and archived agents and harnesses."""
    path = tmp_path / "source.db"
    path.write_bytes(new_database.read_bytes())
    source = Source(path)
    archived = {"status": "archived", "archived_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"}
    import_records(
        source.database,
        source.organization,
        *({**harness_record(f"harness_{n}", capabilities=["skills"]), **archived} for n in range(2)),
        *({**agent_record(f"agent_{n}", harness_id="harness_1"), **archived} for n in range(120)),
        *(session_record(n, agent_id=f"agent_{n % 120}", title=f"title {n}") for n in range(230)),
    )
    yield source
    source.database.close()


@contextmanager
def serve(app: WSGIApplication) -> Iterator[str]:
    """Serve the application in a thread; yield its URL."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def pull(organization: Organization, run_command: CommandRunner) -> Callable[..., str]:
    """Pull into the organization; return what the command prints to standard error."""

    def run(url: str, key: str, exit_code: int = 0) -> str:
        environment = {"EVERRUNS_PULL_KEY": key}
        result = run_command("pull", ORGANIZATION_ID, "--from", url, exit_code=exit_code, env=environment)
        assert result.stdout == ""
        return result.stderr

    return run


def exported(run_command: CommandRunner) -> list[Any]:
    return [json.loads(line) for line in run_command("export", ORGANIZATION_ID).stdout.splitlines()]


def without_links(app: WSGIApplication) -> WSGIApplication:
    """Return the application without `Link`, as older servers respond."""

    def wrapped(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start_response(status, [header for header in headers if header[0] != "Link"], *rest)

        return app(environ, start)

    return wrapped


def with_absolute_links(app: WSGIApplication) -> WSGIApplication:
    """Return the application with a `Link` that names its own address, which a client may know by another name."""

    def wrapped(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        base = f"<http://127.0.0.1:{environ['SERVER_PORT']}{environ['PATH_INFO']}?"

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start_response(status, [(name, value.replace("<?", base)) for name, value in headers], *rest)

        return app(environ, start)

    return wrapped


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"], ids=["same address", "another address in links"])
def test_everything_is_copied_in_the_same_order(
    source: Source, pull: Callable[..., str], run_command: CommandRunner, host: str
) -> None:
    with serve(with_absolute_links(source.app)) as url:
        url = url.replace("127.0.0.1", host)
        assert pull(url, source.key) == (
            "harnesses: 2 new, 0 changed, 1 unchanged\n"  # the base harness is listed too
            "agents: 120 new, 0 changed, 0 unchanged\n"
            "sessions: 230 new, 0 changed, 0 unchanged\n"
        )
        original = CommandRunner(source.database.path)("export", "org_source").stdout.splitlines()
        expected = [{**json.loads(line), "organization_id": ORGANIZATION_ID} for line in original]
        copied = exported(run_command)
        assert sorted(copied, key=str) == sorted(expected, key=str)
        sessions = [record for record in copied if record["id"].startswith("session_")]
        assert sessions == [record for record in expected if record["id"].startswith("session_")]
        again = pull(url, source.key)
        assert again.endswith("sessions: 0 new, 0 changed, 230 unchanged\n")


def test_the_links_of_a_server_are_followed(source: Source, pull: Callable[..., str]) -> None:
    """They are pinned, so that sessions created meanwhile do not shift the pages."""
    queries = []

    def recording(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        queries.append(environ["QUERY_STRING"])
        return source.app(environ, start_response)

    with serve(recording) as url:
        pull(url, source.key)
    assert ["created_before" in query for query in queries if "archived" not in query] == [False, True, True]


def test_a_page_without_link_and_total_is_the_only_one(pull: Callable[..., str]) -> None:
    page = Response(json.dumps({"data": [agent_record()]}), content_type="application/json")
    sessions = Response('{"data": []}', content_type="application/json")
    app = DispatcherMiddleware(page, {"/v1/sessions": sessions, "/v1/harnesses": Response(status=404)})
    with serve(app) as url:
        assert pull(url, "evr_1").startswith("agents: 1 new, 0 changed, 0 unchanged\n")


def test_the_address_may_end_with_v1(source: Source, pull: Callable[..., str]) -> None:
    with serve(source.app) as url:
        assert pull(f"{url}/v1/", source.key).endswith("sessions: 230 new, 0 changed, 0 unchanged\n")


@pytest.mark.parametrize("prefix", ["", "/under/a/prefix/"])
def test_a_server_without_links_or_under_a_prefix_is_copied(
    source: Source, pull: Callable[..., str], prefix: str
) -> None:
    app = without_links(source.app)
    with serve(DispatcherMiddleware(Response(status=404), {prefix.rstrip("/"): app}) if prefix else app) as url:
        assert pull(url + prefix, source.key).endswith("sessions: 230 new, 0 changed, 0 unchanged\n")


def test_a_server_without_harnesses_is_copied(source: Source, pull: Callable[..., str]) -> None:
    execute(source.database.path, "UPDATE agents SET harness_id = NULL")
    app = DispatcherMiddleware(source.app, {"/v1/harnesses": Response(status=404)})
    with serve(app) as url:
        assert pull(url, source.key) == (
            "agents: 120 new, 0 changed, 0 unchanged\nsessions: 230 new, 0 changed, 0 unchanged\n"
        )


def answering(responses: Iterator[WSGIApplication], then: WSGIApplication) -> WSGIApplication:
    """Return an application that gives each of `responses` once, and is `then` afterwards."""

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return next(responses, then)(environ, start_response)

    return application


def test_a_server_that_is_busy_is_asked_again(source: Source, pull: Callable[..., str]) -> None:
    busy = iter([Response(status=429, headers={"Retry-After": "86400"}), Response(status=503)])
    with serve(answering(busy, then=source.app)) as url:
        assert pull(url, source.key).endswith("sessions: 230 new, 0 changed, 0 unchanged\n")
    assert list(busy) == []


def test_a_server_that_fails_in_between_changes_nothing(
    source: Source, pull: Callable[..., str], run_command: CommandRunner
) -> None:
    pages = iter([source.app] * 4)  # of harnesses, of agents, and the first of sessions
    with serve(answering(pages, then=Response(status=500))) as url:
        message = pull(url, source.key, exit_code=1)
    assert message.endswith("must respond with status 200; got 500; nothing was changed\n")
    assert len(message.splitlines()) == 1
    assert (list(pages), exported(run_command)) == ([], [])


def test_changes_are_pulled_again(source: Source, pull: Callable[..., str], run_command: CommandRunner) -> None:
    with serve(source.app) as url:
        pull(url, source.key)
        headers = {"Authorization": source.key, "Content-Type": "application/json"}
        for method, path, body in (
            ("PATCH", "/v1/sessions/session_7", b'{"status": "idle"}'),
            ("POST", "/v1/sessions", b"{}"),
        ):
            urlopen(Request(f"{url}{path}", body, headers, method=method)).close()
        assert pull(url, source.key).endswith("sessions: 1 new, 1 changed, 229 unchanged\n")
    statuses = [record["status"] for record in exported(run_command) if record["id"] == "session_7"]
    assert statuses == ["idle"]


def test_a_key_that_is_refused_is_named(source: Source, pull: Callable[..., str], run_command: CommandRunner) -> None:
    with serve(source.app) as url:
        assert pull(url, "evr_wrong", exit_code=1) == (
            f"Error: {url}/v1/harnesses?limit=100&include_archived=true refused the key in EVERRUNS_PULL_KEY "
            "(status 401); nothing was changed\n"
        )
    assert exported(run_command) == []


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (Response("<html>", status=200), 'must respond with a page, {"data": […]}; is this an Everruns server?'),
        (Response("[]", status=200), 'must respond with a page, {"data": […]}; is this an Everruns server?'),
        (Response("[" * 100_000), 'must respond with a page, {"data": […]}'),
        (Response('{"data": [{}], "total": "many"}'), 'must respond with a page, {"data": […]}'),
        (Response(status=404), "must respond with status 200; got 404"),
        (Response(status=301, headers={"Location": "http://127.0.0.1:9/"}), "must respond with status 200; got 301"),
    ],
)
def test_another_kind_of_server_is_refused(pull: Callable[..., str], response: Response, error: str) -> None:
    with serve(response) as url:
        message = pull(url, "evr_1", exit_code=1)
    assert error in message
    assert len(message.splitlines()) == 1


def test_a_server_that_cannot_be_reached_is_named(pull: Callable[..., str]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    message = pull(url, "evr_1", exit_code=1)
    assert message.startswith(f"Error: {url}/v1/harnesses?limit=100&include_archived=true cannot be reached: ")
    assert message.endswith("; nothing was changed\n")
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("url", ["api.example.com", "ftp://example.com", "file:///etc/passwd", ""])
def test_an_address_must_be_of_http(pull: Callable[..., str], url: str) -> None:
    rule = "the address must start with http:// or https://"
    assert pull(url, "evr_1", exit_code=1) == f"Error: {rule}; got '{url}'; nothing was changed\n"


def test_a_record_that_is_refused_is_named_by_its_url_and_nothing_is_stored(
    pull: Callable[..., str], run_command: CommandRunner
) -> None:
    page = {"data": [agent_record(name=5)], "total": 1, "offset": 0, "limit": 100}
    with serve(Response(json.dumps(page), content_type="application/json")) as url:
        message = pull(url, "evr_1", exit_code=1)
    first = f"{url}/v1/harnesses?limit=100&include_archived=true:1: data[0]: name must be a string; got a number\n"
    assert message.startswith(f"Error: nothing was imported; fix these errors and retry:\n{first}")
    assert exported(run_command) == []
