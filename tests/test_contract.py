"""GET /v1/sessions: who may ask, what may be asked, what is answered."""

import re
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from werkzeug.datastructures import Headers

from everruns.values import BASE_HARNESS
from tests.conftest import AGENT, World, agent, session

KEYS = [
    "id",
    "organization_id",
    "harness_id",
    "agent_id",
    "title",
    "tags",
    "model_id",
    "capabilities",
    "status",
    "features",
    "created_at",
    "updated_at",
]


@pytest.fixture
def key(world: World) -> str:
    org, key = world.organization("org_00000000000000000000000000000001")
    world.load(org, agent(), *(session(n, created_at=f"2026-02-{n:02}T00:00:00Z") for n in range(1, 26)))
    return key


def ids(answer: object) -> list[str]:
    assert isinstance(answer, dict)
    return [item["id"] for item in answer["data"]]


def test_every_instant_is_utc_in_any_time_zone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        org, key = world.organization()
        world.load(org, agent(), {"id": "session_1", "agent_id": AGENT})
        world.everruns("create-key", org, "--expires-in-days", "1")
        created = world.json(key)["data"][0]["created_at"]
        expires = world.everruns("list-keys", org).stdout.splitlines()[1].split("\t")[3]
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
    for days, instant in enumerate((created, expires)):
        assert abs(datetime.fromisoformat(instant) - timedelta(days=days) - datetime.now(UTC)) < timedelta(minutes=5)


def test_the_default_page_has_the_20_newest_and_the_true_total(world: World, key: str) -> None:
    response = world.get(key)
    assert response.status_code == 200
    assert list(response.get_json()) == ["data", "total", "offset", "limit"]
    assert ids(response.get_json()) == [f"session_{n}" for n in range(25, 5, -1)]
    assert (response.get_json()["total"], response.get_json()["offset"], response.get_json()["limit"]) == (25, 0, 20)


def test_a_session_has_every_key_in_order(world: World, key: str) -> None:
    world.load(
        "org_00000000000000000000000000000001",
        session(
            "01234567-89AB",
            title="T \u0000 ' \" \\ 查 🚀",
            tags=["b", "a", "b"],
            model_id="model_1",
            status="idle",
            capabilities=["openui", {"ref": "mcp:1", "config": {"b": 1.50, "a": {}}}, {"ref": "openui", "config": {}}],
            created_at="2027-01-01T01:00:00.1234567+01:00",
            updated_at="2027-01-01T00:00:00Z",
        ),
    )
    found = world.json(key, "/v1/sessions?limit=1")["data"][0]
    assert list(found) == KEYS
    assert found == {
        "id": "session_01234567-89AB",
        "organization_id": "org_00000000000000000000000000000001",
        "harness_id": BASE_HARNESS,
        "agent_id": AGENT,
        "title": "T \u0000 ' \" \\ 查 🚀",
        "tags": ["b", "a", "b"],
        "model_id": "model_1",
        "capabilities": [
            {"ref": "openui"},
            {"ref": "mcp:1", "config": {"b": 1.5, "a": {}}},
            {"ref": "openui", "config": {}},
        ],
        "status": "idle",
        "features": ["openui"],
        "created_at": "2027-01-01T00:00:00.123456Z",
        "updated_at": "2027-01-01T00:00:00.000000Z",
    }


def test_a_bare_session_has_nulls_and_empty_arrays(world: World, key: str) -> None:
    found = world.json(key, "/v1/sessions?limit=1")["data"][0]
    assert list(found) == KEYS
    assert (found["title"], found["tags"], found["model_id"]) == (None, [], None)
    assert (found["capabilities"], found["status"], found["features"]) == ([], "started", [])
    assert found["updated_at"] == found["created_at"] == "2026-02-25T00:00:00.000000Z"


def test_offset_and_limit_cut_the_page_and_are_echoed(world: World, key: str) -> None:
    answer = world.json(key, "/v1/sessions?offset=20&limit=3")
    assert ids(answer) == ["session_5", "session_4", "session_3"]
    assert (answer["total"], answer["offset"], answer["limit"]) == (25, 20, 3)


@pytest.mark.parametrize("offset", ["25", "2147483647"])
def test_an_offset_past_the_end_gives_no_data_and_the_true_total(world: World, key: str, offset: str) -> None:
    answer = world.json(key, f"/v1/sessions?offset={offset}")
    assert answer == {"data": [], "total": 25, "offset": int(offset), "limit": 20}


@pytest.mark.parametrize(("text", "value"), [("1", 1), ("100", 100), ("0020", 20), ("0" * 5000 + "7", 7)])
def test_limit_takes_plain_decimal_digits(world: World, key: str, text: str, value: int) -> None:
    assert world.json(key, f"/v1/sessions?limit={text}")["limit"] == value


def test_sessions_of_the_same_instant_come_last_stored_first(world: World) -> None:
    org, key = world.organization()
    world.load(org, agent(), *(session(name) for name in "cab"))
    assert ids(world.json(key)) == ["session_b", "session_a", "session_c"]
    world.load(org, session("c", title="changed"))
    assert ids(world.json(key)) == ["session_b", "session_a", "session_c"]


@pytest.mark.parametrize("asked", ["agent_01234567-89ab", "agent_0123456789AB", "agent_-0-123456789ab-"])
def test_agent_id_filters_whatever_its_dashes_and_case(world: World, asked: str) -> None:
    org, key = world.organization()
    sessions = (session(1, agent_id="agent_0123456789ab"), session("other", created_at="2027-01-01T00:00:00Z"))
    world.load(org, agent(), agent("agent_01234567-89aB"), session("before"), *sessions)
    answer = world.json(key, f"/v1/sessions?agent_id={asked}")
    assert (ids(answer), answer["total"]) == (["session_1"], 1)
    assert answer["data"][0]["agent_id"] == "agent_01234567-89aB"


@pytest.mark.parametrize("asked", ["agent_nobody", "agent_" + "a" * 64, "agent_-"])
def test_an_unknown_agent_gives_an_empty_page(world: World, key: str, asked: str) -> None:
    assert world.json(key, f"/v1/sessions?agent_id={asked}") == {"data": [], "total": 0, "offset": 0, "limit": 20}


BAD_LIMITS = [
    "0",
    "101",
    "-1",
    "+5",
    "1e2",
    "20.0",
    "1_0",
    "２０",
    "",
    " ",
    " 20",
    "9" * 20,
    "9" * 6000,
    "abc",
    "٣",
    "1\n",
]
BAD_OFFSETS = ["-1", "2147483648", "NaN", "", "0x1", "1 "]
BAD_AGENTS = [
    "01234567-89ab-cdef-0123-456789abcdef",
    "session_1",
    "agent_",
    "agent_" + "a" * 65,
    "agent_'",
    "agent_\u0000",
    "agent_a\n",
    "agent_ａ",
    "AGENT_a",
    "",
    "agent_" + "a" * 10_000,
]


def test_what_was_given_is_shown_and_cut_after_40_characters(world: World, key: str) -> None:
    shown = [world.get(key, f"/v1/sessions?limit={'x' * length}").get_json()["error"]["message"] for length in (40, 41)]
    assert [text.split(", not ")[1] for text in shown] == [f"'{'x' * 40}'", f"'{'x' * 40}…' (41 characters)"]


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [("limit", value, "must be a whole number from 1 to 100") for value in BAD_LIMITS]
    + [("offset", value, "must be a whole number from 0 to 2147483647") for value in BAD_OFFSETS]
    + [("agent_id", value, "must be agent_ and then 1 to 64 of 0-9 A-Z a-z -") for value in BAD_AGENTS],
)
def test_a_bad_value_is_refused_by_name_with_what_would_be_right(
    world: World, key: str, name: str, value: str, right: str
) -> None:
    response = world.get(key, f"/v1/sessions?{name}={quote(value)}")
    assert response.status_code == 400
    assert response.content_type == "application/json"
    error = response.get_json()["error"]
    assert list(error) == ["code", "message", "fields", "request_id"]
    assert error["code"] == "invalid_request"
    assert error["message"].startswith(f"{name} {right}, not '")
    assert list(error["fields"]) == [name]
    assert len(response.data) < 1000


@pytest.mark.parametrize("query", ["agent_id=agent_%ff", "agent_id=agent_%00", "limit=%ff", "limit=%", "offset=%2"])
def test_bytes_that_are_no_text_are_refused(world: World, key: str, query: str) -> None:
    response = world.get(key, f"/v1/sessions?{query}")
    assert response.status_code == 400
    assert list(response.get_json()["error"]["fields"]) == [query.split("=")[0]]


def test_several_faults_are_told_together(world: World, key: str) -> None:
    response = world.get(key, "/v1/sessions?limit=5&limit=5&offset=-1&agentid=agent_1&created_after=2026")
    assert response.status_code == 400
    fields = response.get_json()["error"]["fields"]
    assert set(fields) == {"limit", "offset", "agentid", "created_after"}
    assert fields["limit"] == ["was given 2 times; give it once"]
    assert fields["agentid"] == [
        "is not an argument here; there are agent_id, created_after, created_before, offset and limit"
    ]
    for name in fields:
        assert f"{name} " in response.get_json()["error"]["message"]


def test_a_body_on_get_is_ignored(world: World, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    response = world.client.get("/v1/sessions", data=b'{"limit": 1}', headers=headers, content_type="application/json")
    assert len(response.get_json()["data"]) == 20


@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "BEARER  {}", "ApiKey {}", "apikey {}", "{}"])
def test_a_key_is_accepted_in_every_form_that_clients_send(world: World, key: str, form: str) -> None:
    assert world.client.get("/v1/sessions", headers={"Authorization": form.format(key)}).status_code == 200


def test_what_is_no_valid_key_is_refused_without_telling_why(world: World, key: str) -> None:
    org = "org_00000000000000000000000000000001"
    expired = world.everruns("create-key", org, "--expires-in-days", "1").stdout.strip()
    world.sql("UPDATE api_keys SET expires_at = '2020-01-01T00:00:00.000000Z' WHERE prefix = ?", expired[:12])
    revoked = world.everruns("create-key", org).stdout.strip()
    world.everruns("revoke-key", org, revoked[:12])
    bad = ["", "Bearer", "Bearer ", key[:20], f"Basic {key}", f"Bearer {key} x", f"Bearer {key},Bearer {key}"]
    bad += [expired, revoked, f"evr_{'A' * 43}", "x" * 100_000, f"Bearer {key[:-1]}é", f"Bearer {key.upper()}"]
    answers = []
    for value in bad:
        response = world.client.get("/v1/sessions", headers={"Authorization": value, "X-Request-Id": "same"})
        assert response.status_code == 401, value
        assert response.headers["WWW-Authenticate"] == "Bearer"
        answers.append(response.data)
    answers.append(world.client.get("/v1/sessions", headers={"X-Request-Id": "same"}).data)
    assert len(set(answers)) == 1
    assert world.get(key).status_code == 200


def test_two_authorization_headers_are_refused(world: World, key: str) -> None:
    headers = Headers([("Authorization", f"Bearer {key}"), ("Authorization", f"Bearer {key}")])
    assert world.client.get("/v1/sessions", headers=headers).status_code == 401


def test_a_key_works_until_it_expires(world: World) -> None:
    org, _ = world.organization()
    key = world.everruns("create-key", org, "--expires-in-days", "1").stdout.strip()
    assert world.get(key).status_code == 200


def test_authentication_comes_before_validation(world: World, key: str) -> None:
    assert world.get(None, "/v1/sessions?limit=0").status_code == 401
    assert world.get(key, "/v1/sessions?limit=0", X_Org_Id="org_2").status_code == 403


def test_x_org_id_must_be_the_organization_of_the_key(world: World, key: str) -> None:
    assert world.get(key, X_Org_Id="org_00000000000000000000000000000001").status_code == 200
    assert world.get(key, X_Org_Id="org_00000000-0000-0000-0000-000000000001").status_code == 200
    other, _ = world.organization()
    for claimed in (other, "org_none", "", "é"):
        response = world.get(key, X_Org_Id=claimed)
        assert (response.status_code, response.get_json()["error"]["code"]) == (403, "organization_mismatch")


def test_no_organization_sees_anything_of_another(world: World, key: str) -> None:
    org, other_key = world.organization()
    assert world.json(other_key)["total"] == 0
    world.load(org, agent(name="same id, other organization"), session(1, title="mine"))
    answer = world.json(other_key)
    assert (answer["total"], answer["data"][0]["title"], answer["data"][0]["organization_id"]) == (1, "mine", org)
    only_theirs = agent("agent_theirs")
    world.load(org, only_theirs, session("theirs", agent_id="agent_theirs"))
    assert world.json(key, "/v1/sessions?agent_id=agent_theirs")["total"] == 0
    assert world.json(key)["total"] == 25


def test_response_headers(world: World, key: str) -> None:
    headers = world.get(key).headers
    assert headers["Content-Type"] == "application/json"
    assert headers["Cache-Control"] == "private, no-cache"
    assert headers["Vary"] == "Authorization"


def test_request_id_is_echoed_when_it_is_well_formed_and_made_otherwise(world: World, key: str) -> None:
    assert world.get(key, X_Request_Id="a.B_9-" + "x" * 122).headers["X-Request-Id"] == "a.B_9-" + "x" * 122
    made = {world.get(key, X_Request_Id=bad).headers["X-Request-Id"] for bad in ("", "a b", "x" * 129, "é", "a,b")}
    assert len(made) == 5
    assert all(re.fullmatch("[0-9a-f]{32}", request_id) for request_id in made)
    refused = world.get(None, X_Request_Id="mine")
    assert refused.headers["X-Request-Id"] == refused.get_json()["error"]["request_id"] == "mine"


def test_head_answers_as_get_without_the_body(world: World, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}", "X-Request-Id": "same"}
    got, head = (world.client.open("/v1/sessions", method=method, headers=headers) for method in ("GET", "HEAD"))
    assert (head.status_code, head.data) == (200, b"")
    assert dict(head.headers) == dict(got.headers)
    assert int(head.headers["Content-Length"]) == len(got.data)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO"])
@pytest.mark.parametrize("path", ["/v1/sessions", "/health"])
def test_other_methods_are_refused_with_allow(world: World, method: str, path: str) -> None:
    response = world.client.open(path, method=method)
    assert (response.status_code, response.headers["Allow"]) == (405, "GET, HEAD")
    assert response.get_json()["error"]["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", ["/v1", "/v1/sessions/", "/v1//sessions", "/v1/sessions/x", "/static/x", "/%ff"])
def test_other_paths_are_not_found_in_the_envelope(world: World, path: str) -> None:
    response = world.client.get(path)
    assert (response.status_code, response.get_json()["error"]["code"]) == (404, "not_found")
    assert response.headers["X-Request-Id"] == response.get_json()["error"]["request_id"]


def test_a_fault_of_ours_is_logged_with_the_request_id_and_tells_nothing(
    world: World, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    @world.app.get("/broken")
    def broken() -> str:
        raise RuntimeError("secret detail")

    response = world.get(key, "/broken", X_Request_Id="find-me")
    assert (response.status_code, response.get_json()["error"]["code"]) == (500, "internal_error")
    assert "secret" not in response.text
    assert "find-me" in caplog.text
    assert "secret detail" in caplog.text
    assert key not in caplog.text


def test_text_that_is_no_utf8_from_another_program_still_gives_json(world: World, key: str) -> None:
    world.sql("UPDATE sessions SET title = CAST(x'41ff22c3' AS TEXT) WHERE public_id = 'session_25'")
    assert world.json(key, "/v1/sessions?limit=1")["data"][0]["title"] == 'A\ufffd"\ufffd'
