"""Creating, reading, replacing and changing one session, agent or harness."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from urllib.parse import urljoin

import pytest
from flask import Flask
from flask.testing import FlaskClient

from everruns import create_app
from everruns.ids import BASE_HARNESS
from everruns.records import Organization
from everruns.store.db import Database
from tests.support.client import client_with_key, fields_of, ids
from tests.support.commands import CommandRunner
from tests.support.database import create_organization, import_records
from tests.support.records import AGENT_ID, ORGANIZATION_ID, agent_record, session_record

URL = "/v1/sessions"
SESSION_URL = f"{URL}/session_1"
RECORDS_URLS = {"session": URL, "agent": "/v1/agents", "harness": "/v1/harnesses"}
FULL_SESSION = {
    "agent_id": AGENT_ID,
    "title": "Refund",
    "tags": ["a", "b"],
    "model_id": "model_1",
    "capabilities": ["memory", {"ref": "openui", "config": {"x": 1}}],
    "status": "active",
    "created_at": "2026-02-27T13:13:53Z",
    "updated_at": "2026-02-28T00:00:00Z",
}


@pytest.fixture(autouse=True)
def agent(database: Database, organization: Organization) -> None:
    """An agent."""
    import_records(database, organization, agent_record())
    database.close()


def seconds_ago(timestamp: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(timestamp)) / timedelta(seconds=1)


# --- POST ---


def test_post_creates_a_session_with_defaults(client: FlaskClient) -> None:
    response = client.post(URL, json={})
    assert response.status_code == 201
    session = response.get_json()
    assert re.fullmatch("session_[0-9a-f]{32}", session["id"])
    assert 0 <= seconds_ago(session["created_at"]) < 60
    assert session["updated_at"] == session["created_at"]
    assert (session["agent_id"], session["harness_id"], session["status"]) == (None, BASE_HARNESS, "started")
    assert client.get(URL).get_json()["data"] == [session]


def test_post_stores_every_key(client: FlaskClient) -> None:
    session = client.post(URL, json={"id": "session_1", **FULL_SESSION}).get_json()
    assert session == {
        **FULL_SESSION,
        "id": "session_1",
        "organization_id": ORGANIZATION_ID,
        "harness_id": BASE_HARNESS,
        "capabilities": [{"ref": "memory"}, {"ref": "openui", "config": {"x": 1}}],
        "features": ["file_system", "openui"],
        "created_at": "2026-02-27T13:13:53.000000Z",
        "updated_at": "2026-02-28T00:00:00.000000Z",
    }
    assert client.get(SESSION_URL).get_json() == client.get(URL).get_json()["data"][0] == session


@pytest.mark.parametrize("kind", RECORDS_URLS)
def test_location_of_a_new_record_is_its_url(client: FlaskClient, kind: str) -> None:
    url = RECORDS_URLS[kind]
    posted = client.post(url, json={"name": "n"} if kind != "session" else {})
    put = client.put(f"{url}/{kind}_1", json={"name": "n"} if kind != "session" else {})
    for response, requested in ((posted, url), (put, f"{url}/{kind}_1")):
        assert response.status_code == 201
        location = urljoin(f"http://localhost/prefix{requested}", response.headers["Location"])
        assert location == f"http://localhost/prefix{url}/{response.get_json()['id']}"


def test_post_of_a_session_that_exists_is_a_conflict(client: FlaskClient) -> None:
    client.post(URL, json={"id": "session_a-1", "title": "first"})
    response = client.post(URL, json={"id": "session_A1", "title": "second"})
    assert (response.status_code, response.get_json()["error"]["code"]) == (409, "conflict")
    assert response.get_json()["error"]["message"].endswith(" exists; use PUT to replace it or PATCH to change it")
    invalid = client.post(URL, json={"id": "session_A1", "agent_id": "agent_none"})
    assert (invalid.status_code, list(invalid.get_json()["error"]["fields"])) == (400, ["agent_id"])
    assert [session["title"] for session in client.get(URL).get_json()["data"]] == ["first"]


@pytest.mark.parametrize("kind", ["agent", "harness"])
def test_post_of_an_agent_or_harness_that_exists_replaces_it(client: FlaskClient, kind: str) -> None:
    url = RECORDS_URLS[kind]
    first = client.post(url, json={"id": f"{kind}_1", "name": "first", "description": "d", "tags": ["a"]})
    second = client.post(url, json={"id": f"{kind}_1", "name": "second"})
    assert (first.status_code, second.status_code) == (201, 200)
    assert "Location" not in second.headers
    assert (second.get_json()["name"], second.get_json()["description"], second.get_json()["tags"]) == (
        "second",
        None,
        [],
    )
    assert second.get_json()["created_at"] == first.get_json()["created_at"]


@pytest.mark.parametrize("kind", ["agent", "harness"])
def test_agent_and_harness_have_every_key(client: FlaskClient, kind: str) -> None:
    record = {
        "name": "helper",
        "display_name": "Helper",
        "description": "Helps.",
        "system_prompt": "Help.",
        "default_model_id": "model_1",
        "tags": ["a"],
        "capabilities": [{"ref": "memory"}],
    }
    served = client.post(RECORDS_URLS[kind], json={"id": f"{kind}_1", **record}).get_json()
    assert client.get(f"{RECORDS_URLS[kind]}/{kind}_1").get_json() == served
    assert {key: served.pop(key) for key in record} == record
    created_at = served.pop("created_at")
    assert 0 <= seconds_ago(created_at) < 60
    expected = {
        "id": f"{kind}_1",
        "organization_id": ORGANIZATION_ID,
        "status": "active",
        "archived_at": None,
        "updated_at": created_at,
    }
    assert served == expected | ({"harness_id": BASE_HARNESS} if kind == "agent" else {"is_built_in": False})


# --- GET ---


@pytest.mark.parametrize("kind", RECORDS_URLS)
def test_get_has_an_etag_until_the_record_changes(client: FlaskClient, kind: str) -> None:
    url = f"{RECORDS_URLS[kind]}/{kind}_1"
    client.put(url, json={"name": "n"} if kind != "session" else {})
    first = client.get(url)
    etag = {"If-None-Match": first.headers["ETag"]}
    unchanged = client.get(url, headers=etag)
    assert (unchanged.status_code, unchanged.data, unchanged.headers["ETag"]) == (304, b"", first.headers["ETag"])
    client.patch(url, json={"tags": ["new"]})
    changed = client.get(url, headers=etag)
    assert (changed.status_code, changed.get_json()["tags"]) == (200, ["new"])


@pytest.mark.parametrize("kind", RECORDS_URLS)
def test_head_has_the_headers_of_get_without_the_body(client: FlaskClient, kind: str) -> None:
    url = f"{RECORDS_URLS[kind]}/{kind}_1"
    client.put(url, json={"name": "n"} if kind != "session" else {})
    for path in (url, f"{RECORDS_URLS[kind]}/{kind}_none"):
        get, head = client.get(path), client.head(path)
        assert (head.status_code, head.data) == (get.status_code, b"")
        names = ("Content-Type", "Content-Length", "ETag", "Cache-Control", "Vary")
        assert [head.headers.get(name) for name in names] == [get.headers.get(name) for name in names]


@pytest.mark.parametrize("form", ["session_0123-ABCD", "session_0123abcd", "session_0123AB-CD"])
def test_ids_in_a_path_ignore_dashes_and_letter_case(client: FlaskClient, form: str) -> None:
    client.post(URL, json={"id": "session_0123-abcd"})
    assert client.get(f"{URL}/{form}").get_json()["id"] == "session_0123-abcd"
    assert client.patch(f"{URL}/{form}", json={"title": "new"}).get_json()["id"] == "session_0123-abcd"
    assert client.put(f"{URL}/{form}", json={}).get_json()["id"] == "session_0123-abcd"
    assert client.delete(f"{URL}/{form}").status_code == 204


@pytest.mark.parametrize("kind", RECORDS_URLS)
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_record_that_does_not_exist_is_not_found(client: FlaskClient, kind: str, method: str) -> None:
    response = client.open(f"{RECORDS_URLS[kind]}/{kind}_none", method=method, json={})
    assert (response.status_code, response.get_json()["error"]["code"]) == (404, "not_found")
    assert f"there is no {kind} {kind}_none" in response.get_json()["error"]["message"]


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_one_record_takes_no_arguments(client: FlaskClient, method: str) -> None:
    response = client.open(f"{SESSION_URL}?limit=1", method=method, json={})
    assert list(fields_of(response)) == ["limit"]


# --- PUT ---


def test_put_creates_and_then_replaces_all_but_the_creation_time(client: FlaskClient) -> None:
    created = client.put(SESSION_URL, json=FULL_SESSION)
    assert created.status_code == 201
    replaced = client.put(SESSION_URL, json={"id": "session_1", "title": "new"})
    assert replaced.status_code == 200
    session = replaced.get_json()
    assert session["created_at"] == created.get_json()["created_at"]
    expected: dict[str, object] = {
        "agent_id": None,
        "title": "new",
        "tags": [],
        "model_id": None,
        "capabilities": [],
        "status": "started",
    }
    assert {key: session[key] for key in expected} == expected
    moved = client.put(SESSION_URL, json={"created_at": "2020-01-01T00:00:00Z"}).get_json()
    assert moved["created_at"] == "2020-01-01T00:00:00.000000Z"


def test_put_can_be_repeated(client: FlaskClient) -> None:
    first = client.put(SESSION_URL, json=FULL_SESSION)
    for _ in range(2):
        again = client.put(SESSION_URL, json=FULL_SESSION)
        assert (again.status_code, again.data) == (200, first.data)
    assert client.get(URL).get_json()["total"] == 1


def test_put_keeps_the_place_among_equal_timestamps(client: FlaskClient) -> None:
    for name in "abc":
        client.post(URL, json={"id": f"session_{name}", "created_at": "2026-02-27T13:13:53Z"})
    client.put(f"{URL}/session_a", json={"title": "new"})
    assert ids(client.get(URL)) == ["session_c", "session_b", "session_a"]


def test_put_takes_the_id_of_the_path(client: FlaskClient) -> None:
    assert list(fields_of(client.put(SESSION_URL, json={"id": "session_2"}))) == ["id"]
    assert list(fields_of(client.put(f"{URL}/agent_1", json={}))) == ["id"]
    assert client.get(URL).get_json()["total"] == 0


# --- PATCH ---


def test_patch_changes_only_the_given_keys(client: FlaskClient) -> None:
    before = client.put(SESSION_URL, json=FULL_SESSION).get_json()
    after = client.patch(SESSION_URL, json={"status": "idle", "title": None, "tags": None}).get_json()
    assert 0 <= seconds_ago(after["updated_at"]) < 60
    assert after == {**before, "status": "idle", "title": None, "tags": [], "updated_at": after["updated_at"]}
    assert client.get(SESSION_URL).get_json() == after


def test_patch_takes_any_updated_at(client: FlaskClient) -> None:
    client.put(SESSION_URL, json=FULL_SESSION)
    session = client.patch(SESSION_URL, json={"updated_at": "2020-01-01T00:00:00Z"}).get_json()
    assert session["updated_at"] == "2020-01-01T00:00:00.000000Z"


def test_patch_may_only_repeat_id_and_created_at(client: FlaskClient) -> None:
    before = client.put(SESSION_URL, json=FULL_SESSION).get_json()
    same = {"id": "session_1", "created_at": "2026-02-27T14:13:53+01:00", "title": "new"}
    assert client.patch(SESSION_URL, json=same).get_json()["title"] == "new"
    assert list(fields_of(client.patch(SESSION_URL, json={"id": "session_2", "title": "x"}))) == ["id"]
    response = client.patch(SESSION_URL, json={"created_at": "2020-01-01T00:00:00Z", "title": "x"})
    assert list(fields_of(response)) == ["created_at"]
    session = client.get(SESSION_URL).get_json()
    assert (session["title"], session["created_at"]) == ("new", before["created_at"])


def test_patch_may_send_back_what_was_served(client: FlaskClient) -> None:
    served = client.put(SESSION_URL, json=FULL_SESSION).get_json()
    assert client.patch(SESSION_URL, json=served).get_json() == served


def test_concurrent_changes_of_different_keys_are_all_kept(app: Flask, key: str) -> None:
    client_with_key(app, key).put(SESSION_URL, json={})
    patient = create_app({"DATABASE": app.extensions["everruns"].path, "DATABASE_TIMEOUT": 30})

    def change(name: str) -> list[object]:
        client = client_with_key(patient, key)
        lost = []
        for number in range(15):
            client.patch(SESSION_URL, json={name: f"{name} {number}"})
            if (found := client.get(SESSION_URL).get_json()[name]) != f"{name} {number}":
                lost.append(found)
        patient.extensions["everruns"].close()
        return lost

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(change, ["title", "model_id"])) == [[], []]
    session = client_with_key(app, key).get(SESSION_URL).get_json()
    assert (session["title"], session["model_id"]) == ("title 14", "model_id 14")


# --- DELETE ---


def test_delete_removes_the_session(client: FlaskClient) -> None:
    client.put(SESSION_URL, json=FULL_SESSION)
    client.put(f"{URL}/session_2", json=FULL_SESSION)
    response = client.delete(SESSION_URL)
    assert (response.status_code, response.data) == (204, b"")
    assert "Content-Type" not in response.headers
    assert ids(client.get(URL)) == ["session_2"]
    assert client.get(URL).get_json()["total"] == 1
    assert client.delete(SESSION_URL).status_code == 404


# --- references, the base harness, validation ---


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_agent_and_harness_of_a_session_must_exist(client: FlaskClient, method: str) -> None:
    client.put(SESSION_URL, json=FULL_SESSION)
    url = URL if method == "POST" else SESSION_URL
    response = client.open(url, method=method, json={"agent_id": "agent_none", "harness_id": "harness_none"})
    fields = fields_of(response)
    assert fields["agent_id"] == ["must be of an existing agent; got 'agent_none'"]
    assert fields["harness_id"] == ["must be of an existing harness; got 'harness_none'"]
    assert client.get(URL).get_json()["data"][0]["agent_id"] == AGENT_ID


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("PUT", f"/v1/harnesses/{BASE_HARNESS}"),
        ("PATCH", f"/v1/harnesses/{BASE_HARNESS}"),
        ("DELETE", f"/v1/harnesses/{BASE_HARNESS}"),
        ("POST", "/v1/harnesses"),
    ],
)
def test_base_harness_cannot_be_changed(client: FlaskClient, method: str, url: str) -> None:
    body = {"name": "mine"} | ({"id": BASE_HARNESS} if method == "POST" else {})
    rule = "must not be the base harness, which is built in and cannot be changed"
    assert fields_of(client.open(url, method=method, json=body)) == {"id": [rule]}
    base = client.get(f"/v1/harnesses/{BASE_HARNESS}").get_json()
    assert (base["id"], base["is_built_in"], base["capabilities"]) == (BASE_HARNESS, True, [])


def test_name_is_required_for_an_agent_but_not_to_change_it(client: FlaskClient) -> None:
    assert fields_of(client.post("/v1/agents", json={})) == {"name": ["is missing"]}
    assert fields_of(client.put(f"/v1/agents/{AGENT_ID}", json={})) == {"name": ["is missing"]}
    assert client.patch(f"/v1/agents/{AGENT_ID}", json={"description": "d"}).get_json()["name"] == "helper"


# --- who may write ---


def test_read_only_key_can_read_but_not_write(app: Flask, client: FlaskClient, run_command: CommandRunner) -> None:
    client.put(SESSION_URL, json=FULL_SESSION)
    key = run_command("create-key", ORGANIZATION_ID, "--read-only").stdout.strip()
    reader = client_with_key(app, key)
    assert reader.get(SESSION_URL).status_code == reader.head(URL).status_code == 200
    for method, url in (("POST", URL), ("PUT", SESSION_URL), ("PATCH", SESSION_URL), ("DELETE", SESSION_URL)):
        response = reader.open(url, method=method, json={})
        assert (response.status_code, response.get_json()["error"]["code"]) == (403, "read_only_key")
    assert client.get(URL).get_json()["data"][0]["title"] == "Refund"


def test_authentication_comes_before_validation_and_that_before_existence(app: Flask, client: FlaskClient) -> None:
    anonymous = app.test_client()
    assert anonymous.post(URL, data=b"{", content_type="text/plain").status_code == 401
    assert anonymous.delete(SESSION_URL).status_code == 401
    assert client.patch(f"{URL}/session_none", json={"status": "done"}).status_code == 400


def test_x_org_id_of_a_write_must_be_the_organization_of_the_key(client: FlaskClient) -> None:
    client.put(SESSION_URL, json=FULL_SESSION)
    before = client.get(URL).data
    for method, url in (("POST", URL), ("PUT", SESSION_URL), ("PATCH", SESSION_URL), ("DELETE", SESSION_URL)):
        response = client.open(url, method=method, json={}, headers={"X-Org-Id": "org_other"})
        assert (response.status_code, response.get_json()["error"]["code"]) == (403, "organization_mismatch")
    assert client.get(URL).data == before
    assert client.patch(SESSION_URL, json={}, headers={"X-Org-Id": ORGANIZATION_ID}).status_code == 200


def test_replica_refuses_writes(database: Database, key: str) -> None:
    replica = client_with_key(create_app({"DATABASE": database.path, "READ_ONLY": 1}), key)
    for method, url in (("POST", URL), ("PUT", SESSION_URL), ("PATCH", SESSION_URL), ("DELETE", SESSION_URL)):
        response = replica.open(url, method=method, json={})
        assert (response.status_code, response.get_json()["error"]["code"]) == (503, "read_only_replica")
        assert response.headers["Retry-After"].isdecimal()


def test_writes_of_one_organization_leave_the_other(app: Flask, client: FlaskClient, database: Database) -> None:
    _, other_key = create_organization(database)
    other = client_with_key(app, other_key)
    client.put(SESSION_URL, json=FULL_SESSION)
    before = client.get(URL).data
    for method in ("PATCH", "DELETE"):
        assert other.open(SESSION_URL, method=method, json={"title": "x"}).status_code == 404
        assert other.open(f"/v1/agents/{AGENT_ID}", method=method, json={"name": "x"}).status_code == 404
    assert list(fields_of(other.post(URL, json={"agent_id": AGENT_ID}))) == ["agent_id"]
    assert other.put(SESSION_URL, json={"title": "theirs"}).status_code == 201
    assert client.get(URL).data == before
    assert other.delete(SESSION_URL).status_code == 204
    assert client.get(URL).data == before


def test_writes_keep_the_counts_right(client: FlaskClient, run_command: CommandRunner) -> None:
    for name in "abc":
        client.post(URL, json={**FULL_SESSION, **session_record(name)})
    client.patch(f"{URL}/session_a", json={"status": "idle", "agent_id": None})
    client.put(f"{URL}/session_b", json={"created_at": "2020-01-01T00:00:00Z"})
    client.delete(f"{URL}/session_c")
    run_command("check")
