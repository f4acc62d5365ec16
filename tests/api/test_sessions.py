"""GET /v1/sessions: the page of sessions, its order and its filters."""

import random
from typing import Any
from urllib.parse import urlencode

import pytest
from flask.testing import FlaskClient

from everruns.ids import BASE_HARNESS
from everruns.records import Organization
from everruns.store.db import Database
from tests.support.client import ids
from tests.support.database import execute, import_records, insert_sessions
from tests.support.records import (
    AGENT_ID,
    ORGANIZATION_ID,
    agent_record,
    daily_sessions,
    harness_record,
    session_record,
)

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
def sessions(database: Database, organization: Organization) -> None:
    """`session_1` to `session_25`, one a day."""
    import_records(database, organization, agent_record(), *daily_sessions(25))


def test_default_page_has_the_20_newest_and_the_total(client: FlaskClient, sessions: None) -> None:
    response = client.get("/v1/sessions")
    assert response.status_code == 200
    body = response.get_json()
    assert list(body) == ["data", "total", "offset", "limit"]
    assert ids(response) == [f"session_{n}" for n in range(25, 5, -1)]
    assert (body["total"], body["offset"], body["limit"]) == (25, 0, 20)


def test_headers(client: FlaskClient, sessions: None) -> None:
    headers = client.get("/v1/sessions").headers
    assert headers["Content-Type"] == "application/json"
    assert headers["Cache-Control"] == "private, no-cache"
    assert headers["Vary"] == "Authorization"


def test_session_has_all_keys_in_order(client: FlaskClient, database: Database, organization: Organization) -> None:
    session = session_record(
        "01234567-89AB",
        harness_id="harness_1",
        title="T \u0001 ' \" \\ 查 🚀",
        tags=["b", "a", "b"],
        model_id="model_1",
        status="idle",
        capabilities=["openui", {"ref": "mcp:1", "config": {"b": 1.50, "a": {}}}, {"ref": "openui", "config": {}}],
        created_at="2027-01-01T01:00:00.1234567+01:00",
        updated_at="2027-01-01T00:00:00Z",
    )
    import_records(database, organization, harness_record("harness_1"), agent_record(), session)
    (served,) = client.get("/v1/sessions").get_json()["data"]
    assert list(served) == KEYS
    assert served == {
        "id": "session_01234567-89AB",
        "organization_id": ORGANIZATION_ID,
        "harness_id": "harness_1",
        "agent_id": AGENT_ID,
        "title": "T \u0001 ' \" \\ 查 🚀",
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


def test_absent_keys_are_null_or_empty(client: FlaskClient, database: Database, organization: Organization) -> None:
    import_records(database, organization, {"id": "session_1", "created_at": "2026-02-25T00:00:00Z"})
    (served,) = client.get("/v1/sessions").get_json()["data"]
    assert served == {
        "id": "session_1",
        "organization_id": ORGANIZATION_ID,
        "harness_id": BASE_HARNESS,
        "agent_id": None,
        "title": None,
        "tags": [],
        "model_id": None,
        "capabilities": [],
        "status": "started",
        "features": [],
        "created_at": "2026-02-25T00:00:00.000000Z",
        "updated_at": "2026-02-25T00:00:00.000000Z",
    }


def test_session_whose_agent_was_deleted_by_sql_is_still_listed(
    client: FlaskClient, database: Database, organization: Organization, sessions: None
) -> None:
    execute(database.path, "DELETE FROM agents", foreign_keys=False)
    response = client.get("/v1/sessions?limit=100")
    assert len(ids(response)) == response.get_json()["total"] == 25
    assert {session["agent_id"] for session in response.get_json()["data"]} == {None}


def test_offset_and_limit_select_the_page(client: FlaskClient, sessions: None) -> None:
    response = client.get("/v1/sessions?offset=20&limit=3")
    assert ids(response) == ["session_5", "session_4", "session_3"]
    body = response.get_json()
    assert (body["total"], body["offset"], body["limit"]) == (25, 20, 3)


@pytest.mark.parametrize("offset", [25, 2147483647])
def test_offset_past_the_end_gives_no_data_and_the_total(client: FlaskClient, sessions: None, offset: int) -> None:
    body = client.get(f"/v1/sessions?offset={offset}").get_json()
    assert body == {"data": [], "total": 25, "offset": offset, "limit": 20}


@pytest.mark.parametrize(
    ("filters", "since"),
    [("", ""), (f"&agent_id={AGENT_ID}", ""), ("&created_after=2024-01-01T00:00:00Z", "2024-01-01")],
)
def test_page_at_any_offset_is_the_slice_of_all_sessions(
    client: FlaskClient, database: Database, organization: Organization, filters: str, since: str
) -> None:
    import_records(database, organization, agent_record())
    insert_sessions(database.path, organization, 3000, AGENT_ID)
    rows = execute(
        database.path,
        "SELECT public_id FROM sessions WHERE created_at >= ? ORDER BY created_at DESC, id DESC",
        since,
    )
    matching = [public_id for (public_id,) in rows]
    for offset in range(0, len(matching) + 60, 59):
        response = client.get(f"/v1/sessions?offset={offset}&limit=59{filters}")
        assert ids(response) == matching[offset : offset + 59]
        assert response.get_json()["total"] == len(matching)


def test_equal_timestamps_are_in_the_order_of_storing_newest_first(
    client: FlaskClient, database: Database, organization: Organization
) -> None:
    import_records(database, organization, agent_record(), *(session_record(name) for name in "cab"))
    assert ids(client.get("/v1/sessions")) == ["session_b", "session_a", "session_c"]
    import_records(database, organization, session_record("c", title="changed"))
    assert ids(client.get("/v1/sessions")) == ["session_b", "session_a", "session_c"]


@pytest.mark.parametrize("requested", ["agent_01234567-89ab", "agent_0123456789AB", "agent_-0-123456789ab-"])
def test_agent_id_ignores_dashes_and_letter_case(
    client: FlaskClient, database: Database, organization: Organization, requested: str
) -> None:
    import_records(
        database,
        organization,
        agent_record(),
        agent_record("agent_01234567-89aB"),
        session_record("older"),
        session_record(1, agent_id="agent_0123456789ab"),
        session_record("newer", created_at="2027-01-01T00:00:00Z"),
    )
    response = client.get(f"/v1/sessions?agent_id={requested}")
    assert (ids(response), response.get_json()["total"]) == (["session_1"], 1)
    assert response.get_json()["data"][0]["agent_id"] == "agent_01234567-89aB"


@pytest.mark.parametrize("agent_id", ["agent_nobody", "agent_" + "a" * 64, "agent_-"])
def test_agent_that_does_not_exist_gives_an_empty_page(client: FlaskClient, sessions: None, agent_id: str) -> None:
    body = client.get(f"/v1/sessions?agent_id={agent_id}").get_json()
    assert body == {"data": [], "total": 0, "offset": 0, "limit": 20}


def test_agent_without_sessions_has_none_in_any_period(
    client: FlaskClient, database: Database, organization: Organization, sessions: None
) -> None:
    import_records(database, organization, agent_record("agent_idle"))
    for period in ("", "&created_after=2020-01-01T00:00:00Z", "&created_before=2030-01-01T00:00:00Z"):
        assert client.get(f"/v1/sessions?agent_id=agent_idle{period}").get_json()["total"] == 0


@pytest.mark.parametrize(
    ("period", "expected"),
    [
        ("created_after=2026-02-23T00:00:00Z", [25, 24, 23]),
        ("created_before=2026-02-03T00:00:00Z", [2, 1]),
        ("created_after=2026-02-23T00:00:00.000001Z", [25, 24]),
        ("created_before=2026-02-03T00:00:00.000001Z", [3, 2, 1]),
        ("created_after=2026-02-23T00:00:00.0000001Z", [25, 24]),
        ("created_before=2026-02-03T00:00:00.0000001Z", [3, 2, 1]),
        ("created_after=2026-02-23T01:00:00%2B01:00", [25, 24, 23]),
        ("created_after=2026-02-03T00:00:00Z&created_before=2026-02-05T00:00:00Z", [4, 3]),
        ("created_after=2026-02-03T00:00:00Z&created_before=2026-02-03T00:00:00Z", []),
        ("created_after=2026-02-03T00:00:00.5Z&created_before=2026-02-03T23:59:59Z", []),
        ("created_after=9999-12-31T23:59:59.999999Z", []),
        ("created_before=0001-01-01T00:00:00Z", []),
    ],
)
def test_created_after_is_inclusive_and_created_before_exclusive(
    client: FlaskClient, sessions: None, period: str, expected: list[int]
) -> None:
    expected_ids = [f"session_{n}" for n in expected]
    for agent in ("", f"&agent_id={AGENT_ID}"):
        response = client.get(f"/v1/sessions?{period}{agent}")
        assert (ids(response), response.get_json()["total"]) == (expected_ids, len(expected))
        response = client.get(f"/v1/sessions?{period}{agent}&offset=1&limit=1")
        assert (ids(response), response.get_json()["total"]) == (expected_ids[1:2], len(expected))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("status=idle", ["c", "a"]),
        ("status=started", ["b"]),
        ("tag=x", ["c", "a"]),
        ("tag=x&tag=y", ["c"]),
        ("tag=y&tag=x&tag=x", ["c"]),
        ("tag=X", []),
        ("tag=%20", ["b"]),
        ("tag=%D1%8B", ["b"]),
        ("search=refund", ["c", "a"]),
        ("search=REFUND%20FOR", ["a"]),
        ("search=%D0%97%D0%90%D0%9A%D0%90%D0%97", ["b"]),
        ("search=%E6%9F%A5", ["b"]),
        ("search=%25", ["c"]),
        ("search=50%25_", ["c"]),
        ("search=%22quoted%22", ["c"]),
        ("search=un", ["c", "a"]),
        ("search=nothing", []),
        ("search=SESSION_a", ["a"]),
        ("search=session_-A-", ["a"]),
        ("search=refund&status=idle&tag=y", ["c"]),
        ("search=refund&created_before=2026-02-02T00:00:00Z", ["a"]),
        (f"search=refund&agent_id={AGENT_ID}", ["a"]),
        ("status=idle&agent_id=agent_nobody", []),
    ],
)
def test_sessions_are_found_by_status_tags_and_text(
    client: FlaskClient, database: Database, organization: Organization, query: str, expected: list[str]
) -> None:
    records: list[dict[str, Any]] = [
        {"id": "session_a", "agent_id": AGENT_ID, "title": "Refund for order 7", "status": "idle", "tags": ["x"]},
        {"id": "session_b", "title": "查询 заказа", "tags": [" ", "ы"]},
        {"id": "session_c", "title": '50%_ "quoted" refund', "status": "idle", "tags": ["y", "x", "y"]},
        {"id": "session_d", "status": "active"},
    ]
    for day, record in enumerate(records, 1):
        record["created_at"] = f"2026-02-0{day}T00:00:00Z"
    import_records(database, organization, agent_record(), *records)
    response = client.get(f"/v1/sessions?{query}")
    assert ids(response) == [f"session_{name}" for name in expected]
    assert response.get_json()["total"] == len(expected)


def test_filters_agree_with_a_model(client: FlaskClient, database: Database, organization: Organization) -> None:
    choice = random.Random(1)
    words = ["Refund", "ORDER", "Grüne", "ÄRZTE", "查询订单", "заказ", "ΟΔΟΣ", "100%", '"x"', "a_b", "🚀🚀🚀"]
    agents = [None, AGENT_ID, "agent_other"]
    tags = ["a", "b", "c"]
    sessions: list[dict[str, Any]] = [
        session_record(
            number,
            agent_id=choice.choice(agents),
            title=" ".join(choice.sample(words, 2)) if number % 5 else None,
            status=choice.choice(["started", "active", "idle"]),
            tags=choice.sample(tags, choice.randint(0, 3)),
            created_at=f"2026-0{choice.randint(1, 3)}-{choice.randint(1, 28):02}T00:00:00.000000Z",
        )
        for number in range(200)
    ]
    import_records(database, organization, agent_record(), agent_record("agent_other"), *sessions)
    newest_first = sorted(sessions, key=lambda session: str(session["created_at"]))[::-1]
    for _ in range(300):
        agent_id, status = choice.choice(agents), choice.choice([None, None, "idle", "active"])
        wanted_tags = choice.sample(tags, choice.choice([0, 0, 1, 2]))
        word = choice.choice(words)
        start = choice.randint(0, len(word) - 1)
        search = choice.choice([None, word, word.upper(), word.lower(), word[start : start + 2], "session_7"])
        since, offset = f"2026-0{choice.randint(1, 3)}-15T00:00:00.000000Z", choice.choice([0, 3])
        matching = [
            session["id"]
            for session in newest_first
            if session["created_at"] >= since
            and (agent_id is None or session["agent_id"] == agent_id)
            and (status is None or session["status"] == status)
            and set(wanted_tags) <= set(session["tags"])
            and (
                search is None
                or search.casefold() in (session["title"] or "").casefold()
                or search.casefold() == session["id"]
            )
        ]
        arguments = {"agent_id": agent_id, "status": status, "tag": wanted_tags, "search": search}
        query = urlencode({key: value for key, value in arguments.items() if value}, doseq=True)
        response = client.get(f"/v1/sessions?{query}&created_after={since}&offset={offset}&limit=7")
        assert ids(response) == matching[offset : offset + 7], query
        assert response.get_json()["total"] == len(matching), query


def test_body_of_a_get_is_ignored(client: FlaskClient, sessions: None) -> None:
    assert len(ids(client.get("/v1/sessions", json={"limit": 1}))) == 20


def test_head_answers_as_get_without_the_body(client: FlaskClient, sessions: None) -> None:
    got, head = (
        client.open("/v1/sessions", method=method, headers={"X-Request-Id": "same"}) for method in ("GET", "HEAD")
    )
    assert (head.status_code, head.data) == (200, b"")
    assert dict(head.headers) == dict(got.headers)
    assert int(head.headers["Content-Length"]) == len(got.data)


def test_bytes_that_are_not_utf8_are_replaced_and_can_be_searched(
    client: FlaskClient, database: Database, sessions: None
) -> None:
    execute(database.path, "UPDATE sessions SET title = CAST(x'41ff22c3' AS TEXT) WHERE public_id = 'session_25'")
    newest: dict[str, Any] = client.get("/v1/sessions?limit=1").get_json()["data"][0]
    assert newest["title"] == 'A\ufffd"\ufffd'
    assert ids(client.get("/v1/sessions?search=%22%EF%BF%BD")) == ["session_25"]
