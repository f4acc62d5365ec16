"""Health, the files that are served, and a database that fails under the running service."""

import os
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import everruns
from everruns import create_app
from everruns.records import Organization
from everruns.store.db import Database
from everruns.timestamps import format_timestamp
from tests.support.client import client_with_key, ids
from tests.support.commands import CommandRunner
from tests.support.database import execute, import_records
from tests.support.records import ORGANIZATION_ID, agent_record, session_record

WEB = Path(everruns.__file__).parent / "web"
WEB_URLS = ["/", *(f"/web/{path.name}" for path in WEB.iterdir() if path.suffix in (".js", ".css", ".svg"))]
DOCUMENTS = {
    "/api-doc/openapi.json": ("openapi.json", "application/json"),
    "/llms.txt": ("llms.txt", "text/plain; charset=utf-8"),
}


def test_health_has_status_and_version_and_needs_no_key(app: Flask) -> None:
    response = app.test_client().get("/health")
    assert (response.status_code, response.get_json()) == (200, {"status": "ok", "version": everruns.__version__})


def test_organization_is_that_of_the_key(client: FlaskClient, app: Flask) -> None:
    assert client.get("/v1/organization").get_json() == {"id": ORGANIZATION_ID, "name": "Acme"}
    assert app.test_client().get("/v1/organization").status_code == 401


# --- files ---


def get_file(app: Flask, url: str, method: str = "GET", etag: str = "") -> TestResponse:
    """Request a file, and close it."""
    headers = {"If-None-Match": etag} if etag else {}
    return app.test_client().open(url, method=method, headers=headers, buffered=True)


def test_web_page_is_served_under_a_strict_policy(app: Flask) -> None:
    assert len(WEB_URLS) > 5
    for url in WEB_URLS:
        response = get_file(app, url)
        assert response.status_code == 200
        assert response.headers["Cache-Control"] == "no-cache"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        policy = response.headers["Content-Security-Policy"].split("; ")
        assert {"default-src 'none'", "style-src 'self'", "frame-ancestors 'none'"} <= set(policy)
        assert any(rule.startswith("script-src 'self'") for rule in policy)
        assert "unsafe" not in response.headers["Content-Security-Policy"]


def test_web_page_refers_only_to_files_that_are_served(app: Flask) -> None:
    references = re.findall(r'(?:src|href)="([^"#]+)"', get_file(app, "/").text)
    assert len(references) > 2
    for reference in references:
        assert get_file(app, f"/{reference}").status_code == 200


@pytest.mark.parametrize("url", DOCUMENTS)
def test_description_is_served(app: Flask, url: str) -> None:
    name, content_type = DOCUMENTS[url]
    response = get_file(app, url)
    assert (response.status_code, response.data) == (200, (WEB.parent / "api" / name).read_bytes())
    assert (response.headers["Content-Type"], response.headers["Cache-Control"]) == (content_type, "no-cache")


@pytest.mark.parametrize("url", ["/", "/web/icon.svg", *DOCUMENTS])
def test_unchanged_file_is_304(app: Flask, url: str) -> None:
    response = get_file(app, url)
    etag = response.headers["ETag"]
    for sent in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        unchanged = get_file(app, url, etag=sent)
        assert (unchanged.status_code, unchanged.data, unchanged.headers["ETag"]) == (304, b"", etag)
    assert get_file(app, url, etag='"other"').data == response.data
    assert get_file(app, url, "HEAD").headers["Content-Length"] == str(len(response.data))


@pytest.mark.parametrize("name", ["none.js", "../config.py", "%2e%2e/config.py", "..%2fconfig.py", "%00", ""])
def test_other_files_are_not_found(app: Flask, name: str) -> None:
    response = get_file(app, f"/web/{name}")
    assert (response.status_code, response.get_json()["error"]["code"]) == (404, "not_found")


def test_files_are_served_without_a_database(app: Flask, database_path: Path) -> None:
    database_path.unlink()
    for url in ("/", *DOCUMENTS):
        assert get_file(app, url).status_code == 200


# --- the database fails ---


def write_other_application(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA application_id = 1")


def write_other_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("PRAGMA application_id = 1163285075; PRAGMA user_version = 5;")


BREAKS: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "empty": Path.touch,
    "directory": Path.mkdir,
    "not SQLite": lambda path: path.write_bytes(os.urandom(8192)),
    "other application": write_other_application,
    "other version": write_other_version,
}


def assert_unavailable(client: FlaskClient, database_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each response is 503 without details, which are logged."""
    for url in ("/health", "/v1/sessions"):
        caplog.clear()
        response = client.get(url, headers={"X-Request-Id": "find-me"})
        assert (response.status_code, response.get_json()["error"]["code"]) == (503, "database_unavailable")
        assert response.headers["Retry-After"].isdecimal()
        assert str(database_path) not in response.text
        assert "find-me" in caplog.text


@pytest.mark.parametrize("how", BREAKS)
def test_unusable_database_is_503_until_it_is_back(
    client: FlaskClient, database_path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    assert client.get("/v1/sessions").status_code == 200
    database_path.rename(tmp_path / "away.db")
    BREAKS[how](database_path)
    assert_unavailable(client, database_path, caplog)
    if database_path.is_dir():
        database_path.rmdir()
    (tmp_path / "away.db").replace(database_path)
    assert client.get("/v1/sessions").status_code == 200


def test_corrupt_database_is_503(client: FlaskClient, database_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = bytearray(database_path.read_bytes())
    content[100:] = os.urandom(len(content) - 100)
    database_path.write_bytes(content)
    assert_unavailable(client, database_path, caplog)


def test_locked_database_is_503(client: FlaskClient, database_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with closing(sqlite3.connect(database_path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        other.execute("DELETE FROM api_keys WHERE FALSE")
        assert_unavailable(client, database_path, caplog)
        assert "locked by another program" in caplog.text
    assert client.get("/v1/sessions").status_code == 200


# --- replicas ---


def set_heartbeat(database_path: Path, seconds_ago: float) -> None:
    at = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    execute(database_path, "UPDATE heartbeat SET at = ?", format_timestamp(at))


def test_replica_reports_its_lag(app: Flask, database_path: Path, run_command: CommandRunner) -> None:
    replica = create_app({"DATABASE": database_path, "READ_ONLY": 1}).test_client()
    assert replica.get("/health").get_json()["replica_lag_seconds"] is None
    run_command("heartbeat")
    assert 0 <= replica.get("/health").get_json()["replica_lag_seconds"] < 5
    set_heartbeat(database_path, 100)
    assert 100 <= replica.get("/health").get_json()["replica_lag_seconds"] < 105
    set_heartbeat(database_path, -60)  # the clock of the primary is ahead
    assert replica.get("/health").get_json()["replica_lag_seconds"] == 0
    assert "replica_lag_seconds" not in app.test_client().get("/health").get_json()


def test_replica_that_is_older_than_allowed_is_503(database_path: Path, key: str, run_command: CommandRunner) -> None:
    app = create_app({"DATABASE": database_path, "READ_ONLY": 1, "MAX_REPLICA_LAG": 60})
    client = client_with_key(app, key)

    def statuses() -> set[int]:
        return {client.get(url).status_code for url in ("/health", "/v1/sessions", "/v1/sessions")}

    assert statuses() == {503}
    message = "the age of this replica is unknown: no heartbeat has arrived"
    assert client.get("/health").get_json()["error"]["message"] == message
    run_command("heartbeat")
    assert statuses() == {200}
    set_heartbeat(database_path, 75)
    assert statuses() == {503}
    error = client.get("/health").get_json()["error"]
    assert error["code"] == "database_unavailable"
    assert re.fullmatch(r"the data of this replica must be at most 60 s old; got 7\d s", error["message"])


def test_replica_sees_pages_that_were_changed_without_sqlite(
    database: Database, organization: Organization, key: str
) -> None:
    """Litestream writes so: what a connection remembers of the file is out of date."""
    import_records(database, organization, agent_record(), session_record(1, title="before"))
    database.close()
    execute(database.path, "PRAGMA journal_mode = DELETE")
    client = client_with_key(create_app({"DATABASE": database.path, "READ_ONLY": 1}), key)
    for _ in range(2):
        assert client.get("/v1/sessions").get_json()["data"][0]["title"] == "before"
    status, content = database.path.stat(), database.path.read_bytes()
    assert content.count(b"before") == 1
    with database.path.open("r+b") as file:
        file.seek(content.index(b"before"))
        file.write(b"after!")
    os.utime(database.path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert client.get("/v1/sessions").get_json()["data"][0]["title"] == "after!"


def test_replica_serves_a_replaced_copy(
    database: Database, organization: Organization, key: str, run_command: CommandRunner, tmp_path: Path
) -> None:
    client = client_with_key(create_app({"DATABASE": tmp_path / "copy.db", "READ_ONLY": 1}), key)
    assert client.get("/v1/sessions").status_code == 503
    for number in range(3):
        import_records(database, organization, agent_record(), session_record(number))
        run_command("backup", str(tmp_path / "new.db"))
        (tmp_path / "new.db").replace(tmp_path / "copy.db")
        assert ids(client.get("/v1/sessions"))[0] == f"session_{number}"


def test_if_match_is_ignored(client: FlaskClient) -> None:
    """Werkzeug answers a file with status 412 and the file in the body."""
    for path in ("/", "/web/main.js", "/llms.txt", "/api-doc/openapi.json", "/v1/sessions"):
        with client.get(path, headers={"If-Match": '"other"'}) as response:
            assert response.status_code == 200
