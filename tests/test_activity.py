"""GET /v1/sessions/activity: sessions per day."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.conftest import AGENT, World, agent, session

URL = "/v1/sessions/activity"


@pytest.fixture
def key(world: World) -> str:
    org, key = world.organization()
    times = [
        "2026-02-25T23:59:59.999999Z",
        "2026-02-26T00:00:00Z",
        "2026-02-26T23:59:59.999999Z",
        "2026-02-28T02:00:00Z",
    ]
    sessions = [session(n, created_at=at) for n, at in enumerate(times)]
    sessions.append(session("night", created_at="2026-02-28T01:00:00+02:00"))  # the 27th in UTC
    other = session("other", agent_id="agent_other", created_at="2026-02-26T12:00:00Z")
    world.load(org, agent(), agent("agent_other"), *sessions, other)
    return key


def counted(answer: dict[str, list[dict[str, object]]]) -> dict[object, object]:
    return {item["day"]: item["sessions"] for item in answer["data"]}


def test_each_day_is_counted_in_utc_oldest_first(world: World, key: str) -> None:
    assert world.json(key, f"{URL}?until=2026-02-28&days=4") == {
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
    assert counted(world.json(key, f"{URL}?until=2026-02-25&days=1")) == {"2026-02-25": 1}
    assert list(world.json(key, f"{URL}?days=1")) == ["data", "total", "days", "until"]


def test_it_agrees_with_the_list_for_each_day_and_agent(world: World, key: str) -> None:
    for whose in ("", f"&agent_id={AGENT}", "&agent_id=agent_OTHER", "&agent_id=agent_nobody"):
        for day, sessions in counted(world.json(key, f"{URL}?until=2026-03-01&days=30{whose}")).items():
            bounds = f"created_after={day}T00:00:00Z&created_before={day}T23:59:59.9999999Z"
            assert world.json(key, f"/v1/sessions?{bounds}{whose}")["total"] == sessions


def test_without_arguments_it_tells_of_the_last_28_days(world: World, key: str) -> None:
    before = datetime.now(UTC).date()
    answer = world.json(key, URL)
    assert answer["until"] in (before.isoformat(), (before + timedelta(days=1)).isoformat())
    assert (answer["days"], len(answer["data"]), answer["data"][-1]["day"]) == (28, 28, answer["until"])


@pytest.mark.parametrize(("until", "first"), [("0002-01-01", "0001-01-01"), ("9999-12-31", "9998-12-31")])
def test_it_reaches_from_the_beginning_to_the_end_of_time(world: World, until: str, first: str) -> None:
    org, key = world.organization()
    ends = ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"]
    world.load(org, agent(), *(session(n, created_at=at) for n, at in enumerate(ends)))
    answer = world.json(key, f"{URL}?days=366&until={until}")
    assert (answer["data"][0]["day"], answer["total"]) == (first, 1)


@pytest.mark.parametrize(
    ("query", "name", "message"),
    [
        ("days=0", "days", "must be a whole number from 1 to 366, not '0'"),
        ("days=367", "days", "must be a whole number from 1 to 366, not '367'"),
        (
            "until=2026-02-30",
            "until",
            "must be a day from 0002-01-01 to 9999-12-31, for example 2026-02-27, not '2026-02-30'",
        ),
        ("until=20260227", "until", "must be a day"),
        ("until=2026-W01-1", "until", "must be a day"),
        ("until=0001-12-31", "until", "must be a day"),
        ("until=", "until", "must be a day"),
        ("until=2026-02-27&until=2026-02-27", "until", "was given 2 times; give it once"),
        ("agent_id=x", "agent_id", "must be agent_"),
        ("limit=5", "limit", "is not an argument here; there are agent_id, days and until"),
    ],
)
def test_what_is_refused_is_named(world: World, key: str, query: str, name: str, message: str) -> None:
    response = world.get(key, f"{URL}?{query}")
    assert response.status_code == 400
    (fault,) = response.get_json()["error"]["fields"][name]
    assert fault.startswith(message)


def test_it_needs_a_key_and_tells_of_its_organization_alone(world: World, key: str) -> None:
    assert world.get(None, URL).status_code == 401
    _, other = world.organization()
    assert world.json(other, f"{URL}?until=2026-02-28")["total"] == 0


def test_unchanged_is_304_and_a_change_shows(world: World, key: str) -> None:
    first = world.get(key, URL)
    assert first.headers["Content-Type"] == "application/json"
    assert first.headers["Cache-Control"] == "private, no-cache"
    assert world.get(key, URL, If_None_Match=first.headers["ETag"]).status_code == 304
    assert world.get(key, "/v1/sessions", If_None_Match=first.headers["ETag"]).status_code == 200
    assert world.get(key, f"{URL}?days=7", If_None_Match=first.headers["ETag"]).status_code == 200
    world.sql("DELETE FROM sessions WHERE public_id = 'session_0'")
    assert world.get(key, URL, If_None_Match=first.headers["ETag"]).status_code == 200
    assert world.client.post(URL).headers["Allow"] == "GET, HEAD"
