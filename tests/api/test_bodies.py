"""Bodies of writing requests: what is refused, and that nothing is changed then."""

import gzip
import io
import threading
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from everruns.ids import BASE_HARNESS
from everruns.records import Organization
from everruns.store.db import Database
from tests.support.client import fields_of
from tests.support.database import create_organization, import_records
from tests.support.records import AGENT_ID, ORGANIZATION_ID, agent_record, harness_record, session_record

URL = "/v1/sessions"
SESSION_URL = f"{URL}/session_1"
AGENT_URL = f"/v1/agents/{AGENT_ID}"
HARNESS_URL = "/v1/harnesses/harness_1"
WRITES = {"POST": URL, "PUT": SESSION_URL, "PATCH": SESSION_URL}

ID_RULE = "must be {}_ and 1 to 64 of 0-9 A-Z a-z -"
NO_ZONE = "must have a zone: Z for UTC or an offset, such as 2026-02-27T13:13:53Z; got '2026-02-27T13:13:53'"
TOO_DEEP: dict[str, Any] = {}
for _ in range(101):
    TOO_DEEP = {"a": TOO_DEEP}

MALFORMED = {
    "nothing": (b"", "must be valid JSON: Expecting value (line 1, column 1)"),
    "an array": (b"[]", "must be an object; got an array"),
    "a string": (b'"x"', "must be an object; got a string"),
    "null": (b"null", "must be an object; got null"),
    "half an object": (b"{", "must be valid JSON: "),
    "two objects": (b"{}{}", "must be valid JSON: Extra data (line 1, column 3)"),
    "a key twice": (
        b'{"title": "a", "title": "b"}',
        "must have each key once in an object; got 'title' more than once",
    ),
    "a nested key twice": (
        b'{"capabilities": [{"ref": "a", "config": {"x": 1, "x": 2}}]}',
        "must have each key once in an object; got 'x' more than once",
    ),
    "100,000 brackets": (b"[" * 100_000, "must not be nested so deeply"),
    "100,000 brackets in a key": (
        b'{"tags": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "must not be nested so deeply",
    ),
    "NaN": (b'{"title": NaN}', "must be valid JSON: NaN is not a JSON number"),
    "a number that is too large": (b'{"title": 1e999}', "must contain numbers in the range of a double; got 1e999"),
    "half a surrogate pair": (b'{"title": "\\ud800"}', "must not contain half of a surrogate pair"),
    "invalid UTF-8": (b'{"title": "\xff"}', "must be valid UTF-8; byte 12 is not"),
    "UTF-16": ('{"title": "a"}'.encode("utf-16"), "must be valid UTF-8; byte 1 is not"),
    "gzip without saying so": (gzip.compress(b"{}"), "must be valid UTF-8; byte 2 is not"),
}

INVALID: dict[str, tuple[dict[str, Any], str, str]] = {
    "a status that does not exist": ({"status": "done"}, "status", "must be started, active or idle; got 'done'"),
    "a status of newer releases": ({"status": "paused"}, "status", "must be started, active or idle; got 'paused'"),
    "tags that are a string": ({"tags": "a"}, "tags", "must be an array; got a string"),
    "a tag that is a number": ({"tags": ["a", 1]}, "tags[1]", "must be a string; got a number"),
    "a title that is a number": ({"title": 1}, "title", "must be a string or null; got a number"),
    "U+0000 in a title": ({"title": "a\0"}, "title", "must not contain the character U+0000; got 'a\\u0000'"),
    "a capability without ref": ({"capabilities": [{"config": {}}]}, "capabilities[0].ref", "is missing"),
    "null as capability": (
        {"capabilities": [None]},
        "capabilities[0]",
        "must be a capability id or an object with ref; got null",
    ),
    "a capability without a name": ({"capabilities": [""]}, "capabilities[0].ref", "must be a capability id; got ''"),
    "a capability that is a number": (
        {"capabilities": ["a", 1]},
        "capabilities[1]",
        "must be a capability id or an object with ref; got a number",
    ),
    "a config that is an array": (
        {"capabilities": [{"ref": "a", "config": [1]}]},
        "capabilities[0].config",
        "must be an object; got an array",
    ),
    "a config that is nested deeply": (
        {"capabilities": [{"ref": "a", "config": TOO_DEEP}]},
        "capabilities[0].config",
        "must have at most 100 levels",
    ),
    "a misspelt key of a capability": (
        {"capabilities": ["a", {"ref": "b", "confg": {"x": 1}}]},
        "capabilities[1].confg",
        "is not kept by this service; did you mean config?",
    ),
    "an agent that does not exist": (
        {"agent_id": "agent_none"},
        "agent_id",
        "must be of an existing agent; got 'agent_none'",
    ),
    "an agent of another organization": (
        {"agent_id": "agent_theirs"},
        "agent_id",
        "must be of an existing agent; got 'agent_theirs'",
    ),
    "a harness of another organization": (
        {"harness_id": "harness_theirs"},
        "harness_id",
        "must be of an existing harness; got 'harness_theirs'",
    ),
    "a harness as agent": (
        {"agent_id": BASE_HARNESS},
        "agent_id",
        f"{ID_RULE.format('agent')} or null; got '{BASE_HARNESS}'",
    ),
    "an id of another kind": ({"id": "agent_1"}, "id", f"{ID_RULE.format('session')}; got 'agent_1'"),
    "an id without characters": ({"id": "session_"}, "id", f"{ID_RULE.format('session')}; got 'session_'"),
    "created_at without a zone": ({"created_at": "2026-02-27T13:13:53"}, "created_at", NO_ZONE),
    "updated_at without a zone": ({"updated_at": "2026-02-27T13:13:53"}, "updated_at", NO_ZONE),
    "a misspelt key": ({"titel": "a"}, "titel", "is not kept by this service; did you mean title?"),
    "a key that is not kept": ({"messages": [1]}, "messages", "is not kept by this service"),
}

INVALID_AGENTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "an empty name": ({"name": ""}, "name", "must not be empty"),
    "a name of 201 characters": ({"name": "x" * 201}, "name", "must have at most 200 characters; got 201"),
    "a name of U+0000": ({"name": "\0"}, "name", "must not contain the character U+0000; got '\\u0000'"),
    "null as name": ({"name": None}, "name", "must be a string; got null"),
    "a status of sessions": ({"status": "idle"}, "status", "must be active or archived; got 'idle'"),
    "a prompt that is a number": ({"system_prompt": 1}, "system_prompt", "must be a string or null; got a number"),
    "archived_at without a zone": ({"archived_at": "2026-02-27T13:13:53"}, "archived_at", NO_ZONE),
    "a session's key": ({"title": "a"}, "title", "is not kept by this service"),
}


@pytest.fixture(autouse=True)
def records(database: Database, organization: Organization) -> None:
    """A session with its agent and harness; and an agent and a harness of another organization."""
    other, _ = create_organization(database)
    import_records(database, other, harness_record("harness_theirs"), agent_record("agent_theirs"))
    session = session_record(1, title="Refund", tags=["a"], harness_id="harness_1")
    import_records(database, organization, harness_record("harness_1"), agent_record(), session)
    database.close()


def everything(client: FlaskClient) -> list[bytes]:
    return [client.get(url).data for url in (URL, "/v1/agents", "/v1/harnesses")]


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_body_is_refused(client: FlaskClient, name: str) -> None:
    before = everything(client)
    body, expected = MALFORMED[name]
    for method, url in WRITES.items():
        fields = fields_of(client.open(url, method=method, data=body, content_type="application/json"))
        assert list(fields) == ["body"]
        assert fields["body"][0].startswith(expected)
    assert everything(client) == before


@pytest.mark.parametrize("name", INVALID)
def test_invalid_session_is_refused(client: FlaskClient, name: str) -> None:
    before = everything(client)
    body, key, expected = INVALID[name]
    for method, url in WRITES.items():
        assert fields_of(client.open(url, method=method, json=body)) == {key: [expected]}
    assert everything(client) == before


@pytest.mark.parametrize("name", INVALID_AGENTS)
def test_invalid_agent_or_harness_is_refused(client: FlaskClient, name: str) -> None:
    before = everything(client)
    body, key, expected = INVALID_AGENTS[name]
    for url in (AGENT_URL, HARNESS_URL):
        for method, path in (("POST", url.rpartition("/")[0]), ("PUT", url), ("PATCH", url)):
            assert fields_of(client.open(path, method=method, json={"name": "n", **body})) == {key: [expected]}
    assert everything(client) == before


def test_body_must_be_declared_as_json(client: FlaskClient) -> None:
    for method, url in WRITES.items():
        for content_type in ("text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"):
            response = client.open(url, method=method, data=b"{}", content_type=content_type)
            assert (response.status_code, response.get_json()["error"]["code"]) == (415, "unsupported_media_type")
        response = client.open(url, method=method, data=b"{}", content_type="application/json; charset=utf-8")
        assert response.status_code in (200, 201)


def test_compressed_body_is_refused(client: FlaskClient) -> None:
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    for method, url in WRITES.items():
        response = client.open(url, method=method, data=gzip.compress(b"{}"), headers=headers)
        assert response.status_code == 415
        assert response.get_json()["error"]["message"] == "the body must be sent without Content-Encoding"


def test_body_that_the_server_cannot_read_is_refused(client: FlaskClient) -> None:
    class Malformed(io.BytesIO):
        def readinto(self, buffer: Any) -> int:
            raise RuntimeError("an exception of the server's own")

    chunked = {"wsgi.input_terminated": True}
    for method, url in WRITES.items():
        response = client.open(
            url,
            method=method,
            input_stream=Malformed(),
            content_type="application/json",
            environ_overrides=chunked,
        )
        assert fields_of(response) == {"body": ["must be complete, and its chunks well-formed"]}


def test_body_has_at_most_1_mib(client: FlaskClient) -> None:
    longest = b'{"title": "' + b"x" * (1024 * 1024 - 13) + b'"}'
    before = everything(client)
    for method, url in WRITES.items():
        response = client.open(url, method=method, data=longest + b" ", content_type="application/json")
        assert (response.status_code, response.get_json()["error"]["code"]) == (413, "request_entity_too_large")
    assert everything(client) == before
    assert client.post(URL, data=longest, content_type="application/json").status_code == 201


def test_all_errors_of_a_body_are_reported(client: FlaskClient) -> None:
    body = {"status": "done", "tags": ["a", 1], "capabilities": [{"config": {}}], "titel": "x", "metadata": {"a": 1}}
    assert fields_of(client.post(URL, json=body)) == {
        "status": ["must be started, active or idle; got 'done'"],
        "tags[1]": ["must be a string; got a number"],
        "capabilities[0].ref": ["is missing"],
        "titel": ["is not kept by this service; did you mean title?"],
        "metadata": ["is not kept by this service"],
    }


def test_20_unknown_keys_of_a_body_are_named(client: FlaskClient) -> None:
    response = client.post(URL, json={f"k{n}": n for n in range(100)} | {"status": "done"})
    assert list(fields_of(response)) == [*(f"k{n}" for n in range(20)), "status"]


def test_a_large_body_with_a_key_twice_is_refused_without_a_hang(client: FlaskClient) -> None:
    """Anybody with a key can send it; comparing each key with all others took minutes."""
    keys = ", ".join(f'"k{n}": 0' for n in range(80_000))
    body = f'{{{keys}, "k79999": 0}}'
    assert 900_000 < len(body) < 1024 * 1024
    responses: list[TestResponse] = []

    def post() -> None:
        responses.append(client.post(URL, data=body, content_type="application/json"))

    thread = threading.Thread(target=post, daemon=True)
    thread.start()
    thread.join(20)
    assert [fields_of(response) for response in responses] == [
        {"body": ["must have each key once in an object; got 'k79999' more than once"]}
    ]


def test_empty_and_computed_keys_are_ignored(client: FlaskClient) -> None:
    empty: dict[str, object] = {"metadata": None, "locale": False, "mounts": [], "hints": {}}
    for method, url in WRITES.items():
        session = client.open(url, method=method, json={**empty, "features": ["x"], "organization_id": "org_9"})
        assert session.status_code in (200, 201)
        assert session.get_json()["organization_id"] == ORGANIZATION_ID
        assert (session.get_json()["features"], set(session.get_json()) & set(empty)) == ([], set())


def test_null_of_a_key_that_cannot_be_null_is_as_no_key(client: FlaskClient) -> None:
    body = {"name": "n", **dict.fromkeys(("id", "status", "created_at", "updated_at"))}
    for url, default in ((URL, "started"), ("/v1/agents", "active"), ("/v1/harnesses", "active")):
        keys = body if default == "active" else body | {"name": None}
        created = client.post(url, json=keys)
        assert (created.status_code, created.get_json()["status"]) == (201, default)
        path = f"{url}/{created.get_json()['id']}"
        for method in ("PUT", "PATCH"):
            changed = client.open(path, method=method, json=keys)
            assert (changed.status_code, changed.get_json()["status"]) == (200, default)
            assert changed.get_json()["created_at"] == created.get_json()["created_at"]


def test_computed_keys_of_agents_and_harnesses_are_ignored(client: FlaskClient) -> None:
    body = {"name": "n", "is_built_in": True, "session_counts": {"total": 9}, "organization_id": "org_9"}
    assert client.put(HARNESS_URL, json=body).get_json()["is_built_in"] is False
    assert "session_counts" not in client.put(AGENT_URL, json=body).get_json()


def test_updated_at_may_be_before_created_at(client: FlaskClient) -> None:
    for method, url in WRITES.items():
        session = client.open(url, method=method, json={"updated_at": "2001-02-03 04:05+02"}).get_json()
        assert session["updated_at"] == "2001-02-03T02:05:00.000000Z" < session["created_at"]
