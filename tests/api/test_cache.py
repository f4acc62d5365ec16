"""ETags, 304 and recent responses: nothing stale is ever served."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from everruns import create_app
from everruns.records import Organization
from everruns.store.db import Database
from tests.support.client import client_with_key, ids
from tests.support.commands import CommandRunner
from tests.support.database import create_organization, execute, import_records
from tests.support.records import AGENT_ID, ORGANIZATION_ID, agent_record, harness_record, session_record

URL = "/v1/sessions"
ACTIVITY_URL = "/v1/sessions/activity?until=2026-03-01"
EXAMPLES: list[dict[str, object]] = [
    harness_record("harness_1", capabilities=["a2ui"]),
    agent_record(capabilities=["skills"]),
    *(session_record(n, harness_id="harness_1", capabilities=["openui"]) for n in range(3)),
]


@pytest.fixture(autouse=True)
def sessions(database: Database, organization: Organization) -> None:
    """Three sessions with a harness, an agent and capabilities."""
    import_records(database, organization, *EXAMPLES)


def get_if_changed(client: FlaskClient, etag: str, url: str = URL) -> TestResponse:
    return client.get(url, headers={"If-None-Match": etag})


@contextmanager
def trace_reads_of_sessions(app: Flask) -> Iterator[list[str]]:
    """Yield a list of the statements that read sessions, as this thread runs them for requests."""
    statements: list[str] = []

    def trace(statement: str) -> None:
        if "FROM sessions" in statement:
            statements.append(statement)

    with app.extensions["everruns"].read() as connection:
        connection.set_trace_callback(trace)
    yield statements
    connection.set_trace_callback(None)


# --- ETag and 304 ---


@pytest.mark.parametrize("url", [URL, ACTIVITY_URL])
def test_unchanged_content_is_304_without_a_body(client: FlaskClient, url: str) -> None:
    first = client.get(url)
    assert first.headers["ETag"].startswith('W/"')
    for method in ("GET", "GET", "HEAD"):
        response = client.open(url, method=method, headers={"If-None-Match": first.headers["ETag"]})
        assert (response.status_code, response.data) == (304, b"")
        assert response.headers["ETag"] == first.headers["ETag"]
        assert response.headers["Cache-Control"] == "private, no-cache"
        assert response.headers["Vary"] == "Authorization"
        assert len(response.headers["X-Request-Id"]) == 32
        assert "Content-Type" not in response.headers


@pytest.mark.parametrize("form", ["{}", '"other", {}', ' {} , "x"', 'W/"a,b", {}', "*", "{strong}", "{},", ",,{}"])
def test_if_none_match_compares_weakly(client: FlaskClient, form: str) -> None:
    etag = client.get(URL).headers["ETag"]
    assert get_if_changed(client, form.format(etag, strong=etag.removeprefix("W/"))).status_code == 304


@pytest.mark.parametrize(
    "header",
    ["", '""', 'W/""', "garbage", '"', "W/", '"unclosed', ",", "\x7f", "é", '"x", ' * 2000, "x" * 10_000, "**"],
)
def test_other_if_none_match_gives_the_content(client: FlaskClient, header: str) -> None:
    response = get_if_changed(client, header)
    assert response.status_code == 200
    assert response.data == client.get(URL).data


def test_errors_ignore_if_none_match(client: FlaskClient, app: Flask) -> None:
    etag = client.get(URL).headers["ETag"]
    assert get_if_changed(client, "*", f"{URL}?limit=0").status_code == 400
    assert get_if_changed(app.test_client(), etag).status_code == 401
    headers = {"If-None-Match": etag, "X-Org-Id": "org_2"}
    assert client.get(URL, headers=headers).status_code == 403


def test_each_organization_and_each_query_has_its_own_etag(client: FlaskClient, app: Flask, database: Database) -> None:
    other, other_key = create_organization(database)
    import_records(database, other, *EXAMPLES)
    urls = [URL, f"{URL}?limit=1", f"{URL}?offset=1", f"{URL}?offset=2", ACTIVITY_URL, f"{ACTIVITY_URL}&days=7"]
    etags = {client.get(url).headers["ETag"] for url in urls}
    assert len(etags | {client_with_key(app, other_key).get(URL).headers["ETag"]}) == len(urls) + 1


def test_equal_content_has_the_same_etag_everywhere(
    client: FlaskClient, key: str, run_command: CommandRunner, tmp_path: Path
) -> None:
    etag = client.get(URL).headers["ETag"]
    run_command("backup", str(tmp_path / "copy.db"))
    code = (
        "from everruns import create_app\n"
        f"response = create_app().test_client().get('{URL}', headers={{'Authorization': '{key}'}})\n"
        "print(response.headers['ETag'], end='')"
    )
    environment = {"EVERRUNS_DATABASE": str(tmp_path / "copy.db"), "PYTHONHASHSEED": "7"}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout == etag


def test_commit_that_does_not_change_the_content_keeps_the_etag(
    client: FlaskClient, database: Database, organization: Organization, run_command: CommandRunner
) -> None:
    etag = client.get(URL).headers["ETag"]
    import_records(database, organization, *EXAMPLES)
    other, _ = create_organization(database)
    import_records(database, other, agent_record(), session_record(1))
    run_command("create-key", ORGANIZATION_ID)
    run_command("check", "--repair")
    assert get_if_changed(client, etag).status_code == 304


# --- recent responses ---


def test_repeated_request_does_not_read_sessions(app: Flask, client: FlaskClient) -> None:
    first = client.get(URL)
    with trace_reads_of_sessions(app) as statements:
        assert client.get(URL).data == first.data
        assert get_if_changed(client, first.headers["ETag"]).status_code == 304
        assert statements == []
        client.get(f"{URL}?limit=1")
        assert statements


def test_last_responses_are_kept_up_to_the_setting(database: Database, key: str) -> None:
    app = create_app({"DATABASE": database.path, "CACHED_RESPONSES": 2})
    client = client_with_key(app, key)
    for limit in (1, 2, 1, 3):
        client.get(f"{URL}?limit={limit}")
    with trace_reads_of_sessions(app) as statements:
        client.get(f"{URL}?limit=2")
        client.get(f"{URL}?limit=3")
        assert statements == []
        client.get(f"{URL}?limit=1")
        assert statements
    app.extensions["everruns"].close()


def test_large_responses_are_not_kept(
    app: Flask, client: FlaskClient, database: Database, organization: Organization
) -> None:
    import_records(database, organization, session_record("large", title="x" * 128 * 1024))
    client.get(URL)
    with trace_reads_of_sessions(app) as statements:
        client.get(URL)
    assert statements


def test_responses_are_the_same_with_and_without_recent_ones(client: FlaskClient, database: Database, key: str) -> None:
    app = create_app({"DATABASE": database.path, "CACHED_RESPONSES": 0})
    uncached = client_with_key(app, key)
    etag = client.get(URL).headers["ETag"]
    queries = ["", "?limit=2", "?offset=1&limit=1", "?offset=9", "?limit=0", "?x=1", f"?agent_id={AGENT_ID}"]
    variants = [
        {},
        {"X-Org-Id": ORGANIZATION_ID},
        {"X-Org-Id": "org_2"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"apikey {key}"},
        {"If-None-Match": etag},
        {"If-None-Match": "*"},
    ]
    for method in ("GET", "HEAD", "POST"):
        for query in queries:
            for variant in variants:
                headers = {"X-Request-Id": "same", **variant}
                expected = uncached.open(f"{URL}{query}", method=method, headers=headers)
                for _ in range(2):
                    response = client.open(f"{URL}{query}", method=method, headers=headers)
                    assert response.status == expected.status
                    assert sorted(response.headers) == sorted(expected.headers)
                    assert response.data == expected.data
    app.extensions["everruns"].close()


# --- nothing stale ---

CHANGES = [
    "UPDATE sessions SET title = 'new' WHERE id = 1",
    "UPDATE sessions SET updated_at = '2027-01-01T00:00:00.000000Z' WHERE id = 1",
    "UPDATE sessions SET tags = '[\"a\"]' WHERE id = 1",
    "UPDATE sessions SET created_at = '2020-01-01T00:00:00.000000Z' WHERE id = 3",
    "UPDATE sessions SET status = 'idle' WHERE id = 1",
    "UPDATE sessions SET harness_id = NULL WHERE id = 1",
    "UPDATE sessions SET agent_id = NULL WHERE id = 1",
    """UPDATE sessions SET capabilities = '[{"ref":"browserless"}]' WHERE id = 1""",
    "DELETE FROM sessions WHERE id = 1",
    """
    INSERT INTO sessions (organization_id, agent_id, public_id, created_at, updated_at)
    SELECT organization_id, agent_id, 'session_x', created_at, updated_at FROM sessions WHERE id = 1
    """,
    """
    INSERT OR REPLACE INTO sessions (organization_id, agent_id, public_id, created_at, updated_at)
    SELECT organization_id, agent_id, public_id, created_at, updated_at FROM sessions WHERE id = 1
    """,
    "UPDATE agents SET public_id = 'agent_renamed'",
    """UPDATE agents SET capabilities = '[{"ref":"browserless"}]'""",
    "UPDATE harnesses SET public_id = 'harness_renamed'",
    """UPDATE harnesses SET capabilities = '[]'""",
    "UPDATE organizations SET public_id = 'org_renamed'",
    "INSERT INTO provided_features VALUES ('openui', 'a_new_one')",
    "UPDATE provided_features SET feature = 'renamed' WHERE capability_id = 'openui'",
    "DELETE FROM provided_features WHERE capability_id = 'openui'",
]


@pytest.mark.parametrize("change", CHANGES)
def test_change_by_sql_shows_in_the_next_response(client: FlaskClient, database: Database, change: str) -> None:
    before = client.get(URL)
    assert get_if_changed(client, before.headers["ETag"]).status_code == 304
    execute(database.path, change)
    after = get_if_changed(client, before.headers["ETag"])
    assert after.status_code == 200
    assert after.data != before.data
    assert after.headers["ETag"] != before.headers["ETag"]
    assert get_if_changed(client, after.headers["ETag"]).status_code == 304


def test_change_by_a_command_shows_in_the_next_response(
    client: FlaskClient, run_command: CommandRunner, tmp_path: Path
) -> None:
    catalog = tmp_path / "catalog.json"
    catalog.write_text('[{"id": "openui", "name": "A2", "status": "available", "features": ["new"]}]')
    other_agent = json.dumps(agent_record(capabilities=["browserless"]))
    many = "\n".join(json.dumps(session_record(n)) for n in range(100, 1000))
    commands: list[Callable[[], object]] = [
        lambda: run_command("import", "--org", ORGANIZATION_ID, "-", stdin=json.dumps(session_record(1, title="new"))),
        lambda: run_command("import", "--org", ORGANIZATION_ID, "-", stdin=other_agent),
        lambda: run_command("import", "--org", ORGANIZATION_ID, "-", stdin=many),
        lambda: run_command("load-catalog", str(catalog)),
    ]
    for command in commands:
        before = client.get(URL)
        command()
        after = get_if_changed(client, before.headers["ETag"])
        assert after.status_code == 200
        assert after.data != before.data


def test_activity_changes_with_the_sessions(client: FlaskClient, database: Database) -> None:
    before = client.get(ACTIVITY_URL)
    execute(database.path, "DELETE FROM sessions WHERE id = 1")
    after = get_if_changed(client, before.headers["ETag"], ACTIVITY_URL)
    assert (after.status_code, after.get_json()["total"]) == (200, before.get_json()["total"] - 1)


def test_restored_file_shows_in_the_next_response(
    client: FlaskClient, database: Database, organization: Organization, run_command: CommandRunner, tmp_path: Path
) -> None:
    original = client.get(URL)
    run_command("backup", str(tmp_path / "backup.db"))
    import_records(database, organization, session_record("lost"))
    lost = client.get(URL)
    for suffix in ("-wal", "-shm"):
        Path(f"{database.path}{suffix}").unlink(missing_ok=True)
    (tmp_path / "backup.db").replace(database.path)
    restored = get_if_changed(client, lost.headers["ETag"])
    assert (restored.status_code, restored.data) == (200, original.data)
    assert get_if_changed(client, original.headers["ETag"]).status_code == 304
    import_records(database, organization, session_record("other"))
    assert ids(get_if_changed(client, lost.headers["ETag"]))[0] == "session_other"


def test_response_after_a_failed_request_is_current(client: FlaskClient, database: Database, tmp_path: Path) -> None:
    assert len(ids(client.get(URL))) == 3
    database.path.rename(tmp_path / "away.db")
    assert client.get(URL).status_code == 503
    (tmp_path / "away.db").rename(database.path)
    execute(database.path, "DELETE FROM sessions WHERE id = 1")
    assert len(ids(client.get(URL))) == 2


def test_revoked_key_gets_no_recent_response(client: FlaskClient, key: str, run_command: CommandRunner) -> None:
    etag = client.get(URL).headers["ETag"]
    run_command("revoke-key", ORGANIZATION_ID, key)
    assert client.get(URL).status_code == 401
    assert get_if_changed(client, etag).status_code == 401


def test_expired_key_gets_no_recent_response(client: FlaskClient, database: Database) -> None:
    assert client.get(URL).status_code == 200
    execute(database.path, "UPDATE api_keys SET expires_at = '2020-01-01T00:00:00.000000Z'")
    assert client.get(URL).status_code == 401


def test_each_thread_sees_each_commit(app: Flask, key: str, database: Database) -> None:
    def title() -> object:
        return client_with_key(app, key).get(f"{URL}?limit=1").get_json()["data"][0]["title"]

    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as two:
        for number in range(30):
            execute(database.path, "UPDATE sessions SET title = ? WHERE id = 3", f"title {number}")
            for thread in (one, two, one, two):
                assert thread.submit(title).result() == f"title {number}"
        for thread in (one, two):
            thread.submit(app.extensions["everruns"].close).result()


def test_request_that_starts_after_a_commit_sees_it(app: Flask, key: str, database: Database) -> None:
    insert = """
    INSERT INTO sessions (organization_id, agent_id, public_id, created_at, updated_at)
    SELECT organization_id, agent_id, ?, created_at, updated_at FROM sessions WHERE id = 1
    """
    committed = 3
    ended = threading.Event()
    stale: list[tuple[int, int]] = []

    def read() -> int:
        client = client_with_key(app, key)
        requests = 0
        while not ended.is_set():
            at_least = committed
            total = client.get(f"{URL}?limit=1").get_json()["total"]
            if total < at_least:
                stale.append((total, at_least))
            requests += 1
        app.extensions["everruns"].close()
        return requests

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        try:
            for number in range(150):
                execute(database.path, insert, f"session_new{number}")
                committed += 1
        finally:
            ended.set()
    assert stale == []
    assert min(reader.result() for reader in readers) > 20
