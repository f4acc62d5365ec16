"""Link: from page to page, and a walk that does not shift while sessions are created."""

import re
import sqlite3
import threading
from contextlib import closing
from typing import Any
from urllib.parse import parse_qs

import pytest

from everruns import spans, values
from tests.conftest import AGENT, World, agent, session

MILLION = 1_000_000


def links(response: Any) -> dict[str, str]:
    """The relations of a Link header, each with its query-only reference."""
    parts = [re.fullmatch(r'<(\?[!-;=?-~]+)>; rel="([a-z]+)"', part) for part in response.headers["Link"].split(", ")]
    assert all(parts), response.headers["Link"]
    return {part[2]: part[1] for part in parts if part}


@pytest.fixture
def key(world: World) -> str:
    org, key = world.organization()
    world.load(org, agent(), *(session(n, created_at=f"2026-02-{n:02}T00:00:00Z") for n in range(1, 26)))
    return key


PIN = "created_before=2026-02-25T00:00:00.000001Z"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (
            "",
            {"first": "?offset=0&limit=20", "next": f"?{PIN}&offset=20&limit=20", "last": f"?{PIN}&offset=20&limit=20"},
        ),
        (
            "?offset=20",
            {"first": "?offset=0&limit=20", "prev": f"?{PIN}&offset=0&limit=20", "last": f"?{PIN}&offset=20&limit=20"},
        ),
        (
            "?offset=1",
            {
                "first": "?offset=0&limit=20",
                "prev": f"?{PIN}&offset=0&limit=20",
                "next": f"?{PIN}&offset=21&limit=20",
                "last": f"?{PIN}&offset=21&limit=20",
            },
        ),
        (
            "?limit=10&offset=5",
            {
                "first": "?offset=0&limit=10",
                "prev": f"?{PIN}&offset=0&limit=10",
                "next": f"?{PIN}&offset=15&limit=10",
                "last": f"?{PIN}&offset=15&limit=10",
            },
        ),
        (
            "?offset=1000&limit=10",
            {"first": "?offset=0&limit=10", "prev": f"?{PIN}&offset=20&limit=10", "last": f"?{PIN}&offset=20&limit=10"},
        ),
        ("?limit=25", {"first": "?offset=0&limit=25", "last": f"?{PIN}&offset=0&limit=25"}),
        (
            f"?agent_id={AGENT}&created_after=2026-02-03T01:00:00%2B01:00&created_before=2026-02-09T00:00:00Z&limit=5",
            {
                "first": f"?agent_id={AGENT}&created_after=2026-02-03T00:00:00.000000Z"
                "&created_before=2026-02-09T00:00:00.000000Z&offset=0&limit=5",
                "next": f"?agent_id={AGENT}&created_after=2026-02-03T00:00:00.000000Z"
                "&created_before=2026-02-08T00:00:00.000001Z&offset=5&limit=5",
                "last": f"?agent_id={AGENT}&created_after=2026-02-03T00:00:00.000000Z"
                "&created_before=2026-02-08T00:00:00.000001Z&offset=5&limit=5",
            },
        ),
        (
            "?agent_id=agent_nobody",
            {"first": "?agent_id=agent_nobody&offset=0&limit=20", "last": "?agent_id=agent_nobody&offset=0&limit=20"},
        ),
    ],
)
def test_link_names_the_pages_around(world: World, key: str, query: str, expected: dict[str, str]) -> None:
    assert links(world.get(key, f"/v1/sessions{query}")) == expected


def test_every_reference_leads_to_a_page_of_the_same_walk(world: World, key: str) -> None:
    for offset in range(0, 40, 7):
        for reference in links(world.get(key, f"/v1/sessions?offset={offset}&limit=7")).values():
            response = world.get(key, f"/v1/sessions{reference}")
            assert response.status_code == 200
            assert response.json["total"] == 25  # type: ignore[index]


def test_a_walk_back_ends_on_the_first_page(world: World, key: str) -> None:
    reference = links(world.get(key, "/v1/sessions?limit=4"))["last"]
    seen: list[str] = []
    while reference:
        response = world.get(key, f"/v1/sessions{reference}")
        seen = [item["id"] for item in response.json["data"]] + seen  # type: ignore[index]
        reference = links(response).get("prev", "")
    assert seen == [f"session_{n}" for n in range(25, 0, -1)]


def test_a_walk_below_a_bound_in_the_future_does_not_shift_either(world: World, key: str) -> None:
    seen: list[str] = []
    reference = "?limit=10&created_before=2027-01-01T00:00:00Z"
    while reference:
        response = world.get(key, f"/v1/sessions{reference}")
        seen += [item["id"] for item in response.json["data"]]  # type: ignore[index]
        assert response.json["total"] == 25  # type: ignore[index]
        reference = links(response).get("next", "")
        world.load(str(world.sql("SELECT public_id FROM organizations")[0][0]), session(100 + len(seen)))
    assert seen == [f"session_{n}" for n in range(25, 0, -1)]


def test_at_the_end_of_time_nothing_can_be_newer(world: World) -> None:
    org, key = world.organization()
    world.load(org, agent(), *(session(n, created_at="9999-12-31T23:59:59.999999Z") for n in range(3)))
    assert links(world.get(key, "/v1/sessions?limit=2"))["next"] == "?offset=2&limit=2"


def test_a_walk_of_a_million_sees_each_session_once_while_others_are_created(world: World) -> None:
    org, key = world.organization()
    world.load(org, agent())
    with closing(sqlite3.connect(world.path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        suspended = spans.suspend(connection)
        connection.execute(
            """
            WITH numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :count)
            INSERT INTO sessions (organization_id, agent_id, public_id, created_at, updated_at)
            SELECT 1, 1, 'session_' || n, created_at, created_at
            FROM (
              SELECT
                n,
                strftime('%Y-%m-%dT%H:%M:%S.000000Z', 1700000000 + n * 7919 % 60000000, 'unixepoch') AS created_at
              FROM numbers
            )
            """,
            {"count": MILLION},
        )
        spans.resume(connection, suspended, 1)
        connection.execute("COMMIT")
    ended = threading.Event()
    created = 0

    def create() -> None:
        nonlocal created
        with closing(sqlite3.connect(world.path, timeout=30, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            while not ended.wait(0.005):
                created += 1
                connection.execute(
                    """
                    INSERT INTO sessions (organization_id, agent_id, public_id, created_at, updated_at)
                    VALUES (1, 1, ?, ?, ?)
                    """,
                    [f"session_new{created}", values.now(), values.now()],
                )

    writer = threading.Thread(target=create)
    writer.start()
    try:
        seen: set[str] = set()
        count, total, reference = 0, 0, "?limit=100"
        while reference:
            response = world.get(key, f"/v1/sessions{reference}")
            page = response.json
            assert page is not None
            total = total or page["total"]
            assert page["total"] == total
            count += len(page["data"])
            seen.update(item["id"] for item in page["data"])
            reference = links(response).get("next", "")
    finally:
        ended.set()
        writer.join()
    assert created > 100
    assert total >= MILLION
    assert count == len(seen) == total
    assert {f"session_{n}" for n in range(1, MILLION + 1)} <= seen
    assert world.json(key)["total"] == MILLION + created
    world.everruns("check")


# --- created_after and created_before -----------------------------------------------------------------------------


def ids(answer: Any) -> list[int]:
    return [int(item["id"].removeprefix("session_")) for item in answer["data"]]


def test_an_agent_without_sessions_has_none_since_whenever(world: World, key: str) -> None:
    world.load(str(world.sql("SELECT public_id FROM organizations")[0][0]), agent("agent_idle"))
    assert world.json(key, "/v1/sessions?agent_id=agent_idle&created_after=2020-01-01T00:00:00Z")["total"] == 0


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ("created_after=2026-02-23T00:00:00Z", [25, 24, 23]),
        ("created_before=2026-02-03T00:00:00Z", [2, 1]),
        ("created_after=2026-02-23T00:00:00.000001Z", [25, 24]),
        ("created_before=2026-02-03T00:00:00.000001Z", [3, 2, 1]),
        ("created_after=2026-02-23T00:00:00.0000001Z", [25, 24]),
        ("created_before=2026-02-03T00:00:00.0000001Z", [3, 2, 1]),
        ("created_after=2026-02-23T00:00:00.0000000Z", [25, 24, 23]),
        ("created_after=2026-02-23T01:00:00%2B01:00", [25, 24, 23]),
        ("created_after=2026-02-22T19:30:00-0430", [25, 24, 23]),
        ("created_after=2026-02-24t00:00z", [25, 24]),
        ("created_after=2026-02-03T00:00:00Z&created_before=2026-02-05T00:00:00Z", [4, 3]),
        ("created_after=2026-02-03T00:00:00Z&created_before=2026-02-03T00:00:00Z", []),
        ("created_after=2026-02-03T00:00:00.5Z&created_before=2026-02-03T23:59:59Z", []),
        ("created_after=9999-12-31T23:59:59.999999Z", []),
        ("created_before=0001-01-01T00:00:00Z", []),
    ],
)
def test_created_after_is_inclusive_and_created_before_exclusive(
    world: World, key: str, bounds: str, expected: list[int]
) -> None:
    for more in ("", f"&agent_id={AGENT}"):
        answer = world.json(key, f"/v1/sessions?{bounds}{more}")
        assert (ids(answer), answer["total"]) == (expected, len(expected))
        answer = world.json(key, f"/v1/sessions?{bounds}{more}&offset=1&limit=1")
        assert (ids(answer), answer["total"]) == (expected[1:2], len(expected))


@pytest.mark.parametrize(
    ("query", "field", "fault"),
    [
        ("created_before=2026-02-03T00:00:00", "created_before", "has no zone; add Z for UTC"),
        ("created_after=2026-02-03", "created_after", "must be an ISO 8601 time with a zone"),
        ("created_after=", "created_after", "must be an ISO 8601 time with a zone"),
        ("created_after=2026-02-03T00:00:00%2B05:60", "created_after", "must be an ISO 8601 time with a zone"),
        ("created_after=now", "created_after", "must be an ISO 8601 time with a zone"),
        ("created_after=1772198033", "created_after", "must be an ISO 8601 time with a zone"),
        ("created_before=0000-01-01T00:00:00Z", "created_before", "from year 1 to year 9999"),
        ("created_before=0001-01-01T00:00:00%2B01:00", "created_before", "from year 1 to year 9999"),
        ("created_before=9999-12-31T23:59:59.9999999Z", "created_before", "from year 1 to year 9999"),
        ("created_before=2016-12-31T23:59:60Z", "created_before", "seconds from 00 to 59"),
        ("created_before=2026-02-30T00:00:00Z", "created_before", "is no time that exists"),
        ("created_before=2026-02-03T00:00:00+01:00", "created_before", "in a URL a + is written %2B"),
        ("created_after=2026-02-03T00:00:00Z&created_after=2026-02-03T00:00:00Z", "created_after", "give it once"),
        (
            "created_after=2026-02-03T00:00:00Z&created_before=2026-02-02T00:00:00Z",
            "created_before",
            "must not be before created_after, which is 2026-02-03T00:00:00.000000Z",
        ),
        ("created_before=" + "2" * 4000, "created_before", "(4000 characters)"),
    ],
)
def test_a_bad_bound_is_refused_with_what_would_be_right(
    world: World, key: str, query: str, field: str, fault: str
) -> None:
    response = world.get(key, f"/v1/sessions?{query}")
    assert response.status_code == 400
    (told,) = response.json["error"]["fields"][field]  # type: ignore[index]
    assert fault in told
    assert told.endswith("; in a URL a + is written %2B") == ("00+01:00" in query)
    assert set(parse_qs(query, keep_blank_values=True)) >= set(response.json["error"]["fields"])  # type: ignore[index]
