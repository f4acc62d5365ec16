"""Counts of sessions: exact whichever program writes, and found at the same cost at any size and depth."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everruns.records import Organization
from everruns.schemas.queries import sessions_query
from everruns.store import counts, derived, schema
from everruns.store.db import Database
from everruns.store.filters import ALL_AGENTS, BEGINNING, END, Filters
from everruns.store.organizations import create_organization
from everruns.store.sessions import list_sessions
from tests.support.database import import_records, insert_sessions
from tests.support.records import AGENT_ID, agent_record

TIMESTAMPS = [
    "0001-01-01T00:00:00.000000Z",
    "2024-02-29T12:00:00.000000Z",
    "2025-12-31T23:59:59.999999Z",
    "2026-01-01T00:00:00.000000Z",
    "2026-01-31T23:59:59.999999Z",
    "2026-02-01T00:00:00.000000Z",
    "2026-02-27T13:13:53.000000Z",
    "2026-02-27T13:13:53.000001Z",
    "2026-02-28T00:00:00.000000Z",
    "9999-12-31T23:59:59.999999Z",
]
BOUNDS = [*TIMESTAMPS, "0001-01-01T00:00:00.000001Z", "2026-02-27T13:13:52.999999Z", "2027-01-01T00:00:00.000000Z"]
ALL_FILTERS = [
    Filters(1),
    Filters(1, 1),
    Filters(1, 2),
    Filters(1, status="idle"),
    Filters(1, 1, "active"),
    Filters(2),
    Filters(2, 3),
    Filters(3),
]

INSERT = """
INSERT INTO sessions (organization_id, agent_id, public_id, status, created_at, updated_at)
VALUES (:organization_id, :agent_id, :public_id, :status, :created_at, :created_at)
"""
UPSERT = """
ON CONFLICT DO UPDATE
SET agent_id = excluded.agent_id,
    status = excluded.status,
    created_at = excluded.created_at
"""
SOME_SESSIONS = " WHERE id % :modulus = :modulus / 2"

SESSIONS = st.fixed_dictionaries(
    {
        "organization_id": st.sampled_from([1, 2]),
        "agent_id": st.sampled_from([None, 1, 2, 3]),
        "public_id": st.integers(1, 40).map("session_{}".format),
        "status": st.sampled_from(["started", "active", "idle"]),
        "created_at": st.sampled_from(TIMESTAMPS),
        "modulus": st.integers(1, 5),
    }
)
STATEMENTS = st.sampled_from(
    [
        INSERT + UPSERT,
        INSERT + "ON CONFLICT DO NOTHING",
        "UPDATE sessions SET created_at = :created_at" + SOME_SESSIONS,
        "UPDATE sessions SET status = :status, agent_id = :agent_id" + SOME_SESSIONS,
        "UPDATE OR IGNORE sessions SET organization_id = :organization_id" + SOME_SESSIONS,
        "UPDATE OR IGNORE sessions SET title = 'x', id = id + 1000" + SOME_SESSIONS,
        "DELETE FROM sessions" + SOME_SESSIONS,
        "DELETE FROM sessions WHERE created_at >= :created_at",
    ]
)
INSERTIONS = st.tuples(st.just(INSERT + UPSERT), st.lists(SESSIONS, min_size=1, max_size=20))
WRITES = st.lists(INSERTIONS | st.tuples(STATEMENTS, st.lists(SESSIONS, min_size=1, max_size=1)), max_size=8)


@contextmanager
def database_in_memory() -> Iterator[sqlite3.Connection]:
    """Two organizations; agents 1 and 2 belong to the first, 3 to the second. Foreign keys are off, as by default."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(schema.schema())
        connection.executescript("INSERT INTO organizations (public_id, name) VALUES ('org_1', 'x'), ('org_2', 'x')")
        for agent_id, organization_id in ((1, 1), (2, 1), (3, 2)):
            connection.execute(
                """
                INSERT INTO agents (organization_id, public_id, name, created_at, updated_at)
                VALUES (?, ?, 'x', ?, ?)
                """,
                [organization_id, f"agent_{agent_id}", TIMESTAMPS[0], TIMESTAMPS[0]],
            )
        yield connection


def write(connection: sqlite3.Connection, writes: list[tuple[str, list[dict[str, Any]]]]) -> None:
    for statement, values in writes:
        connection.executemany(statement, values)


def matching(connection: sqlite3.Connection, filters: Filters) -> list[tuple[str, int]]:
    """Return created_at and id of all sessions that match, newest first, without the use of any count."""
    rows = connection.execute("SELECT organization_id, agent_id, status, created_at, id FROM sessions").fetchall()
    return sorted(
        (
            (created_at, row_id)
            for organization_id, agent_id, status, created_at, row_id in rows
            if organization_id == filters.organization_id
            and filters.agent_id in (ALL_AGENTS, agent_id)
            and filters.status in (None, status)
        ),
        reverse=True,
    )


@settings(max_examples=50)
@given(WRITES)
def test_counts_are_exact_after_any_writes(writes: list[tuple[str, list[dict[str, Any]]]]) -> None:
    with database_in_memory() as connection:
        write(connection, writes)
        assert list(derived.differences(connection)) == []
        for filters in ALL_FILTERS:
            rows = matching(connection, filters)
            assert counts.count(connection, filters) == len(rows)
            for bound in BOUNDS:
                since = sum(created_at >= bound for created_at, _ in rows)
                assert counts.count(connection, replace(filters, created_after=bound)) == since
                assert counts.count(connection, replace(filters, created_before=bound)) == len(rows) - since


@settings(max_examples=25)
@given(WRITES, st.sampled_from(BOUNDS), st.sampled_from(BOUNDS))
def test_a_period_is_counted_from_its_start_up_to_its_end(
    writes: list[tuple[str, list[dict[str, Any]]]], first: str, second: str
) -> None:
    after, before = sorted([first, second])
    with database_in_memory() as connection:
        write(connection, writes)
        for filters in ALL_FILTERS:
            expected = sum(after <= created_at < before for created_at, _ in matching(connection, filters))
            in_period = replace(filters, created_after=after, created_before=before)
            assert counts.count(connection, in_period) == expected
    assert sorted([END, *BOUNDS, BEGINNING])[:: len(BOUNDS) + 1] == [BEGINNING, END]


@settings(max_examples=25)
@given(WRITES)
def test_each_offset_leads_to_its_session(writes: list[tuple[str, list[dict[str, Any]]]]) -> None:
    with database_in_memory() as connection:
        write(connection, writes)
        for filters in ALL_FILTERS:
            rows = matching(connection, filters)
            for offset, row in enumerate(rows):
                before, offset_in_day = counts.find_offset(connection, filters, offset)
                older = [other for other in rows if other[0] < before]
                assert older[offset_in_day] == row
                assert older[0][0][:10] == row[0][:10], "only sessions of the same day are skipped one by one"


@settings(max_examples=25)
@given(WRITES, st.sampled_from([date(2026, 1, 30), date(2026, 2, 27), date(2024, 2, 1)]), st.integers(1, 40))
def test_days_are_counted_and_empty_ones_are_zero(
    writes: list[tuple[str, list[dict[str, Any]]]], first: date, days: int
) -> None:
    with database_in_memory() as connection:
        write(connection, writes)
        for filters in ALL_FILTERS:
            expected = Counter(created_at[:10] for created_at, _ in matching(connection, filters))
            counted = counts.count_by_day(connection, filters, first, days)
            assert [day for day, _ in counted] == [
                date.fromordinal(first.toordinal() + number).isoformat() for number in range(days)
            ]
            assert all(sessions == expected[day] for day, sessions in counted)


@settings(max_examples=20)
@given(WRITES)
def test_a_recount_replaces_wrong_counts(writes: list[tuple[str, list[dict[str, Any]]]]) -> None:
    with database_in_memory() as connection:
        write(connection, writes)
        kept = connection.execute("SELECT * FROM session_counts WHERE sessions > 0").fetchall()
        connection.execute("UPDATE session_counts SET sessions = sessions + 1 WHERE precision <> 4")
        connection.execute("DELETE FROM session_counts WHERE precision = 4")
        connection.execute("INSERT INTO session_counts VALUES (7, 7, 10, '2026-02-27', 'idle', 7)")
        assert list(derived.differences(connection))
        derived.rebuild(connection, "session_counts")
        assert list(derived.differences(connection)) == []
        assert connection.execute("SELECT * FROM session_counts").fetchall() == kept


def test_wrong_counts_are_named() -> None:
    session = {
        "organization_id": 1,
        "agent_id": 2,
        "public_id": "session_1",
        "created_at": "2026-02-27T00:00:00.000000Z",
    }
    with database_in_memory() as connection:
        connection.execute(INSERT, {**session, "status": "idle"})
        connection.execute("UPDATE session_counts SET sessions = 5 WHERE agent_id = 2 AND precision = 7")
        connection.execute("DELETE FROM session_counts WHERE agent_id = 0 AND precision = 0")
        assert sorted(derived.differences(connection)) == [
            "session_counts must have the row 1, 0, 0, '', 'idle', 1",
            "session_counts must have the row 1, 2, 7, '2026-02', 'idle', 1",
            "session_counts must not have the row 1, 2, 7, '2026-02', 'idle', 5",
        ]


def test_replacing_by_sql_without_recursive_triggers_makes_counts_wrong() -> None:
    session = {"organization_id": 1, "agent_id": 1, "public_id": "session_1", "created_at": TIMESTAMPS[0]}
    for recursive_triggers in (False, True):
        with database_in_memory() as connection:
            connection.execute(f"PRAGMA recursive_triggers = {recursive_triggers}")
            for _ in range(2):
                connection.execute(INSERT.replace("INSERT", "INSERT OR REPLACE"), {**session, "status": "idle"})
            assert bool(list(derived.differences(connection))) is not recursive_triggers


# --- the cost, in steps of SQLite's virtual machine ---------------------------------------------------------------

SMALL, LARGE = 1_000, 30_000


@pytest.fixture(scope="module")
def organizations(
    tmp_path_factory: pytest.TempPathFactory, new_database: Path
) -> Iterator[tuple[Database, dict[int, Organization]]]:
    """Organizations by number of sessions, which are spread over two years."""
    path = tmp_path_factory.mktemp("cost") / "everruns.db"
    path.write_bytes(new_database.read_bytes())
    database = Database(path)
    organizations = {}
    for size in (SMALL, LARGE):
        with database.write() as connection:
            organizations[size] = create_organization(connection, "x")
        agent_id = f"{AGENT_ID}{size}"
        import_records(database, organizations[size], agent_record(agent_id, capabilities=["skills", "browserless"]))
        insert_sessions(path, organizations[size], size, agent_id)
    yield database, organizations
    database.close()


@contextmanager
def counted_steps(connection: sqlite3.Connection, resolution: int = 10) -> Iterator[list[int]]:
    """Count the steps of the statements in the block, into the first item of the list."""
    steps = [0]

    def step() -> int:
        steps[0] += resolution
        return 0

    connection.set_progress_handler(step, resolution)
    try:
        yield steps
    finally:
        connection.set_progress_handler(None, 0)


def page_steps(database: Database, organization: Organization, query: str) -> int:
    with database.read() as connection, counted_steps(connection) as steps:
        page = list_sessions(connection, organization, sessions_query(query.encode()))
    assert len(json.loads(f"[{page.data}]")) == 20
    return steps[0]


def test_the_first_page_costs_the_same_at_any_size(
    organizations: tuple[Database, dict[int, Organization]],
) -> None:
    database, by_size = organizations
    for arguments in ("", f"agent_id={AGENT_ID}%s", "created_before=2025-06-01T00:00:00Z"):
        small, large = (
            page_steps(database, by_size[size], arguments.replace("%s", str(size))) for size in (SMALL, LARGE)
        )
        assert large <= 1.5 * small, arguments


@pytest.mark.parametrize("arguments", ["", f"agent_id={AGENT_ID}{LARGE}&", "created_after=2023-12-24T18:00:00Z&"])
def test_a_page_costs_the_same_at_any_depth(
    organizations: tuple[Database, dict[int, Organization]], arguments: str
) -> None:
    database, by_size = organizations
    first = page_steps(database, by_size[LARGE], arguments.rstrip("&"))
    for offset in (500, 9_999, 15_000, 23_333, 27_000):
        assert page_steps(database, by_size[LARGE], f"{arguments}offset={offset}") <= 2 * first, offset


def test_a_session_is_inserted_and_deleted_at_the_same_cost_at_any_size(
    organizations: tuple[Database, dict[int, Organization]],
) -> None:
    database, by_size = organizations
    steps: dict[int, int] = {}
    for size, organization in by_size.items():
        with database.write() as connection, counted_steps(connection, 1) as counted:
            connection.execute("SELECT id FROM sessions LIMIT 1")  # loads the schema, which another program changed
            session = {"organization_id": organization.id, "agent_id": None, "public_id": "session_new"}
            connection.execute(INSERT, {**session, "status": "idle", "created_at": "2024-05-05T00:00:00.000000Z"})
            connection.execute("DELETE FROM sessions WHERE id = last_insert_rowid()")
        steps[size] = counted[0]
    assert steps[LARGE] <= 1.1 * steps[SMALL]
