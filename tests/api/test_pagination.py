"""The Link header: the pages around, and a walk that does not shift while sessions are created."""

import sqlite3
import threading
from contextlib import closing

import pytest
from flask.testing import FlaskClient

from everruns.records import Organization
from everruns.store.db import Database
from everruns.timestamps import now
from tests.support.client import ids, links
from tests.support.commands import CommandRunner
from tests.support.database import import_records, insert_sessions
from tests.support.records import AGENT_ID, agent_record, daily_sessions, session_record

# After the newest of 25 daily sessions.
PIN = "created_before=2026-02-25T00:00:00.000001Z"


@pytest.fixture
def sessions(database: Database, organization: Organization) -> None:
    """`session_1` to `session_25`, one a day."""
    import_records(database, organization, agent_record(), *daily_sessions(25))


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
            f"?agent_id={AGENT_ID}&created_after=2026-02-03T01:00:00%2B01:00&created_before=2026-02-09T00:00:00Z&limit=5",
            {
                "first": f"?agent_id={AGENT_ID}&created_after=2026-02-03T00:00:00.000000Z"
                "&created_before=2026-02-09T00:00:00.000000Z&offset=0&limit=5",
                "next": f"?agent_id={AGENT_ID}&created_after=2026-02-03T00:00:00.000000Z"
                "&created_before=2026-02-08T00:00:00.000001Z&offset=5&limit=5",
                "last": f"?agent_id={AGENT_ID}&created_after=2026-02-03T00:00:00.000000Z"
                "&created_before=2026-02-08T00:00:00.000001Z&offset=5&limit=5",
            },
        ),
        (
            "?limit=5&tag=a%26b&tag=c&search=%C3%A4+%2B&status=started",
            {
                "first": "?status=started&tag=a%26b&tag=c&search=%C3%A4+%2B&offset=0&limit=5",
                "last": "?status=started&tag=a%26b&tag=c&search=%C3%A4+%2B&offset=0&limit=5",
            },
        ),
        (
            "?agent_id=agent_nobody",
            {"first": "?agent_id=agent_nobody&offset=0&limit=20", "last": "?agent_id=agent_nobody&offset=0&limit=20"},
        ),
    ],
)
def test_link_has_the_pages_around(client: FlaskClient, sessions: None, query: str, expected: dict[str, str]) -> None:
    assert links(client.get(f"/v1/sessions{query}")) == expected


def test_each_reference_is_a_page_of_the_same_walk(client: FlaskClient, sessions: None) -> None:
    for offset in range(0, 40, 7):
        for reference in links(client.get(f"/v1/sessions?offset={offset}&limit=7")).values():
            response = client.get(f"/v1/sessions{reference}")
            assert response.status_code == 200
            assert response.get_json()["total"] == 25


def test_walk_backward_ends_at_the_first_page(client: FlaskClient, sessions: None) -> None:
    reference = links(client.get("/v1/sessions?limit=4"))["last"]
    seen: list[str] = []
    while reference:
        response = client.get(f"/v1/sessions{reference}")
        seen = ids(response) + seen
        reference = links(response).get("prev", "")
    assert seen == [f"session_{n}" for n in range(25, 0, -1)]


@pytest.mark.parametrize("query", ["?limit=10", "?limit=10&created_before=2027-01-01T00:00:00Z"])
def test_walk_does_not_shift_when_newer_sessions_are_stored(
    client: FlaskClient, database: Database, organization: Organization, sessions: None, query: str
) -> None:
    seen: list[str] = []
    while query:
        response = client.get(f"/v1/sessions{query}")
        assert response.get_json()["total"] == 25
        seen += ids(response)
        query = links(response).get("next", "")
        import_records(database, organization, session_record(100 + len(seen)))
    assert seen == [f"session_{n}" for n in range(25, 0, -1)]


def test_nothing_is_newer_than_the_end_of_year_9999(
    client: FlaskClient, database: Database, organization: Organization
) -> None:
    sessions = [session_record(n, created_at="9999-12-31T23:59:59.999999Z") for n in range(3)]
    import_records(database, organization, agent_record(), *sessions)
    assert links(client.get("/v1/sessions?limit=2"))["next"] == "?offset=2&limit=2"


def test_walk_visits_each_session_once_while_others_are_created(
    client: FlaskClient, database: Database, organization: Organization, run_command: CommandRunner
) -> None:
    stored = 30_000
    import_records(database, organization, agent_record())
    insert_sessions(database.path, organization, stored, AGENT_ID)
    ended = threading.Event()
    created = 0

    def create() -> None:
        nonlocal created
        with closing(sqlite3.connect(database.path, timeout=30, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            while not ended.wait(0.002):
                created += 1
                connection.execute(
                    """
                    INSERT INTO sessions (organization_id, agent_id, public_id, created_at, updated_at)
                    VALUES (1, 1, ?, ?, ?)
                    """,
                    [f"session_new{created}", now(), now()],
                )

    writer = threading.Thread(target=create)
    writer.start()
    try:
        seen: list[str] = []
        totals: set[int] = set()
        reference = "?limit=100"
        while reference:
            response = client.get(f"/v1/sessions{reference}")
            totals.add(response.get_json()["total"])
            seen += ids(response)
            reference = links(response).get("next", "")
    finally:
        ended.set()
        writer.join()
    assert created > 50
    assert totals == {len(seen)}
    assert len(set(seen)) == len(seen)
    assert {f"session_{n}" for n in range(1, stored + 1)} <= set(seen)
    assert client.get("/v1/sessions").get_json()["total"] == stored + created
    run_command("check")
