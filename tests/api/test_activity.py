"""Numbers of sessions: per day and by status."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from everruns.records import Organization
from everruns.store.db import Database
from tests.support.database import import_records
from tests.support.records import AGENT_ID, agent_record, session_record

URL = "/v1/sessions/activity"


@pytest.fixture
def sessions(database: Database, organization: Organization) -> None:
    """Sessions from the last microsecond of 2026-02-25 to 2026-02-28, of two agents."""
    times = [
        "2026-02-25T23:59:59.999999Z",
        "2026-02-26T00:00:00Z",
        "2026-02-26T23:59:59.999999Z",
        "2026-02-28T01:00:00+02:00",  # the 27th in UTC
        "2026-02-28T02:00:00Z",
    ]
    records = [session_record(n, created_at=created_at) for n, created_at in enumerate(times)]
    other = session_record("other", agent_id="agent_other", created_at="2026-02-26T12:00:00Z")
    import_records(database, organization, agent_record(), agent_record("agent_other"), *records, other)


def by_day(response: TestResponse) -> dict[str, int]:
    return {item["day"]: item["sessions"] for item in response.get_json()["data"]}


def test_each_utc_day_is_counted_oldest_first(client: FlaskClient, sessions: None) -> None:
    assert client.get(f"{URL}?until=2026-02-28&days=4").get_json() == {
        "data": [
            {"day": "2026-02-25", "sessions": 1},
            {"day": "2026-02-26", "sessions": 3},
            {"day": "2026-02-27", "sessions": 1},
            {"day": "2026-02-28", "sessions": 1},
        ],
        "total": 6,
        "days": 4,
        "until": "2026-02-28",
    }
    assert by_day(client.get(f"{URL}?until=2026-02-25&days=1")) == {"2026-02-25": 1}


@pytest.mark.parametrize("agent_id", ["", f"&agent_id={AGENT_ID}", "&agent_id=agent_OTHER", "&agent_id=agent_nobody"])
def test_each_day_agrees_with_the_list(client: FlaskClient, sessions: None, agent_id: str) -> None:
    days = by_day(client.get(f"{URL}?until=2026-03-01&days=5{agent_id}"))
    assert len(days) == 5
    for day, count in days.items():
        period = f"created_after={day}T00:00:00Z&created_before={day}T23:59:59.9999999Z"
        assert client.get(f"/v1/sessions?{period}{agent_id}").get_json()["total"] == count


def test_default_is_the_last_28_days(client: FlaskClient, sessions: None) -> None:
    today = datetime.now(UTC).date()
    response = client.get(URL)
    body: dict[str, Any] = response.get_json()
    assert list(body) == ["data", "total", "days", "until"]
    assert body["until"] in (today.isoformat(), (today + timedelta(days=1)).isoformat())
    assert (body["days"], len(body["data"]), body["data"][-1]["day"]) == (28, 28, body["until"])
    assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(("until", "first"), [("0002-01-01", "0001-01-01"), ("9999-12-31", "9998-12-31")])
def test_first_and_last_year(
    client: FlaskClient, database: Database, organization: Organization, until: str, first: str
) -> None:
    times = ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"]
    sessions = [session_record(n, created_at=created_at) for n, created_at in enumerate(times)]
    import_records(database, organization, agent_record(), *sessions)
    body = client.get(f"{URL}?days=366&until={until}").get_json()
    assert (body["data"][0]["day"], body["total"]) == (first, 1)


def test_invalid_arguments_are_refused_by_name(client: FlaskClient) -> None:
    response = client.get(f"{URL}?days=0&limit=5")
    assert response.status_code == 400
    assert list(response.get_json()["error"]["fields"]) == ["days", "limit"]


def test_stats_count_sessions_by_status(client: FlaskClient, database: Database, organization: Organization) -> None:
    statuses = ["started", "active", "active", "idle", "idle", "idle"]
    records = [
        session_record(n, status=status, created_at=f"2026-02-0{n + 1}T00:00:00Z") for n, status in enumerate(statuses)
    ]
    import_records(database, organization, agent_record(), *records, {"id": "session_other", "status": "idle"})
    stats = {
        "": {"total": 7, "started": 1, "active": 2, "idle": 4},
        f"?agent_id={AGENT_ID}": {"total": 6, "started": 1, "active": 2, "idle": 3},
        f"?agent_id={AGENT_ID}&created_after=2026-02-03T00:00:00Z": {"total": 4, "started": 0, "active": 1, "idle": 3},
        "?created_before=2026-02-03T00:00:00.000001Z": {"total": 3, "started": 1, "active": 2, "idle": 0},
        "?agent_id=agent_nobody": {"total": 0, "started": 0, "active": 0, "idle": 0},
    }
    for query, expected in stats.items():
        response = client.get(f"/v1/sessions/stats{query}")
        assert list(response.get_json().items()) == list(expected.items())
        assert client.get(f"/v1/sessions{query}").get_json()["total"] == expected["total"]
    client.patch("/v1/sessions/session_0", json={"status": "idle"})
    assert client.get("/v1/sessions/stats").get_json() == {"total": 7, "started": 0, "active": 2, "idle": 5}


@pytest.mark.parametrize("url", [URL, "/v1/sessions/stats"])
def test_key_is_required(app: Flask, url: str) -> None:
    assert app.test_client().get(url).status_code == 401
