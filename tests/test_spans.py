"""Counted spans: totals and places are exact whoever writes, and cost the same at any size and depth."""

import itertools
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import pytest

from everruns import auth, db, schemas, sessions, spans
from tests.conftest import AGENT, World, agent, session

UPDATED_AT = "2026-01-01T00:00:00.000000Z"
INSERT = f"""
INSERT INTO sessions (id, organization_id, agent_id, public_id, created_at, updated_at)
VALUES (?, ?, ?, ?, ?, '{UPDATED_AT}')
"""


ROWID = ["rowid", "oid", "_rowid_"]  # other names of id


class Writer:
    """Another program with the file open: two organizations, three agents each, and plain SQL."""

    def __init__(self, connection: sqlite3.Connection, seed: int) -> None:
        self.connection = connection
        self.random = random.Random(seed)
        self.stored = 0
        for organization in (1, 2):
            connection.execute("INSERT INTO organizations (public_id, name) VALUES (?, 'x')", [f"org_{organization}"])
            for number in range(3):
                connection.execute(
                    "INSERT INTO agents (organization_id, public_id) VALUES (?, ?)", [organization, f"agent_{number}"]
                )

    def instant(self) -> str:
        """Often one of ten instants, so that many sessions share one."""
        microsecond = self.random.choice([self.random.randrange(10), self.random.randrange(1_000_000)])
        return f"2026-01-01T00:00:00.{microsecond:06}Z"

    def insert(self, count: int, statement: str = INSERT) -> None:
        agent_id = self.random.randrange(1, 7)
        organization, shared = 1 if agent_id <= 3 else 2, self.random.choice([self.instant(), None])
        rows = []
        for _ in range(count):
            self.stored += 1
            rows.append((None, organization, agent_id, f"session_{self.stored}", shared or self.instant()))
        self.connection.executemany(statement, rows)

    def some(self) -> tuple[int, str]:
        """The id and public id of a session, or of none when there is none."""
        row = self.connection.execute("SELECT id, public_id FROM sessions ORDER BY random() LIMIT 1").fetchone()
        return row or (1, "session_x")

    def step(self) -> None:
        """One thing that a program may do; what the schema refuses is part of the game."""
        (first, first_public), (second, second_public) = self.some(), self.some()
        agent_id = self.random.randrange(1, 7)
        organization = 1 if agent_id <= 3 else 2
        again: list[object] = [
            self.random.choice([None, -1, second]),
            organization,
            agent_id,
            first_public,
            self.instant(),
        ]
        some = f"(SELECT id FROM sessions ORDER BY random() LIMIT {self.random.choice([1, 100, 1000])})"
        steps: list[tuple[str, list[object]]] = [
            (f"DELETE FROM sessions WHERE id IN {some}", []),
            ("DELETE FROM sessions WHERE created_at >= ?", [self.instant()]),
            (f"UPDATE sessions SET created_at = ? WHERE id IN {some}", [self.instant()]),
            ("UPDATE sessions SET created_at = ?, id = id + 100000 WHERE id = ?", [self.instant(), first]),
            (f"UPDATE sessions SET {self.random.choice(ROWID)} = rowid + 100000 WHERE id IN {some}", []),
            (f"UPDATE OR REPLACE sessions SET {self.random.choice(ROWID)} = ? WHERE id = ?", [second, first]),
            ("UPDATE sessions SET agent_id = ?, organization_id = ? WHERE id = ?", [agent_id, organization, first]),
            (
                "UPDATE OR REPLACE sessions SET public_id = ?, id = ?, created_at = ? WHERE id = ?",
                [second_public, self.some()[0], self.instant(), first],
            ),
            (INSERT.replace("INSERT", "INSERT OR REPLACE"), again),
            (INSERT.replace("INSERT", "INSERT OR IGNORE"), again),
            (INSERT + "ON CONFLICT DO NOTHING", again),
            (INSERT + "ON CONFLICT DO UPDATE SET created_at = excluded.created_at, agent_id = agent_id", again),
        ]
        if self.random.random() < 0.4:
            self.insert(self.random.choice([1, 50, 600]))
            return
        with suppress(sqlite3.IntegrityError):
            self.connection.execute(*self.random.choice(steps))

    def compare(self) -> None:
        """Counts and places against a plain list of everything."""
        for scope in (spans.Scope(1, 0), spans.Scope(1, 2), spans.Scope(2, 0)):
            rows = self.connection.execute(
                """
                SELECT created_at, id
                FROM sessions
                WHERE organization_id = ?
                  AND ? IN (0, agent_id)
                ORDER BY created_at DESC, id DESC
                """,
                scope,
            ).fetchall()
            assert spans.count_all(self.connection, scope) == len(rows)
            for offset in self.random.sample(range(len(rows)), min(5, len(rows))):
                place = spans.find(self.connection, scope, offset)
                inside = [row for row in rows if row <= (place.until_created_at, place.until_id)]
                assert inside[place.offset] == rows[offset]
                assert place.offset < 1024
            for instant in (self.instant(), self.instant(), "0001-01-01T00:00:00.000000Z", spans.END_OF_TIME[0]):
                since = sum(created_at >= instant for created_at, _ in rows)
                assert spans.count_since(self.connection, scope, instant) == since


@pytest.fixture
def connection(world: World) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(world.path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        yield connection


@pytest.mark.parametrize("recursive_triggers", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_counts_stay_exact_whatever_another_program_does(
    world: World, connection: sqlite3.Connection, seed: int, recursive_triggers: bool
) -> None:
    connection.execute(f"PRAGMA recursive_triggers = {recursive_triggers}")
    writer = Writer(connection, seed)
    for number in range(200):
        writer.step()
        assert list(spans.faults(connection)) == [], number
        if number % 20 == 0:
            writer.compare()
    writer.compare()
    world.everruns("check")


def test_counts_stay_exact_on_every_level(world: World, connection: sqlite3.Connection) -> None:
    writer = Writer(connection, 7)
    connection.execute("BEGIN")
    for _ in range(140):
        writer.insert(500)
    connection.execute("COMMIT")
    levels = "SELECT COUNT(*) FROM session_spans WHERE organization_id = 1 AND agent_id = 0 GROUP BY level"
    bottom, middle, top = (count for (count,) in connection.execute(f"{levels} ORDER BY level"))
    assert bottom > 50 * middle / 2 > top == 1
    assert list(spans.faults(connection)) == []
    for kept in (30000, 3000, 30, 0):
        connection.execute(
            "DELETE FROM sessions WHERE id NOT IN (SELECT id FROM sessions ORDER BY random() LIMIT ?)", [kept]
        )
        assert list(spans.faults(connection)) == []
        writer.compare()
    assert connection.execute(levels).fetchone()[0] < bottom / 4, "small spans join"


def test_nothing_is_left_of_a_deleted_organization(world: World, connection: sqlite3.Connection) -> None:
    Writer(connection, 1).insert(2000)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("DELETE FROM organizations")
    assert connection.execute("SELECT COUNT(*) FROM session_spans").fetchone() == (0,)


@pytest.mark.parametrize("before", [0, 20, 30_000])
def test_an_import_that_counts_once_at_its_end_counts_right(world: World, before: int) -> None:
    org, key = world.organization()
    world.load(org, agent(), agent("agent_2"), *(session(n) for n in range(before)))
    more = [session(n, agent_id=["agent_2", AGENT][n % 2], created_at="2026-03-01T00:00:00Z") for n in range(5000)]
    world.load(org, *more)
    world.everruns("check")
    assert world.json(key)["total"] == max(before, 5000)
    assert world.json(key, "/v1/sessions?agent_id=agent_2")["total"] == 2500
    world.sql("DELETE FROM sessions WHERE public_id = 'session_1'")  # the triggers are there again
    assert world.json(key)["total"] == max(before, 5000) - 1
    world.everruns("check")


def test_check_tells_every_wrong_count(world: World) -> None:
    org, _ = world.organization()
    world.load(org, agent(), *(session(n) for n in range(600)))
    world.sql("UPDATE session_spans SET sessions = sessions + 1 WHERE agent_id = 0 AND level = 2")
    world.sql("DELETE FROM session_spans WHERE agent_id = 1 AND level = 2")
    world.sql("UPDATE session_spans SET sessions = sessions - 1 WHERE agent_id = 1 AND level = 0")
    lines = world.everruns("check", status=1).stdout.splitlines()
    assert "session_spans: organization row 1 has 600 sessions, not 601" in lines
    assert "session_spans: organization row 1, agent row 1 has 600 sessions, not 0" in lines
    assert any("agent row 1, level 0, until" in line for line in lines)


def test_check_reads_each_session_only_a_few_times(world: World, connection: sqlite3.Connection) -> None:
    steps = []
    for size in (2_000, 40_000):
        org, _ = world.organization()
        world.load(
            org, agent(), *(session(n, created_at=f"{2000 + n // 40}-01-01T00:00:{n % 40:02}Z") for n in range(size))
        )
        count = itertools.count()
        connection.set_progress_handler(lambda count=count: next(count) * 0, 100)  # type: ignore[misc]
        assert list(spans.faults(connection)) == []
        steps.append(next(count) / size)
    assert steps[1] < 2 * steps[0]


# --- the shape of the cost ----------------------------------------------------------------------------------------

QUERIES = [
    "",
    "offset=5",
    "agent_id=" + AGENT,
    "created_after=2026-02-01T00:00:00Z",
    "created_before=2026-02-03T00:00:00Z",
    "created_after=2026-02-01T00:00:00Z&created_before=2026-02-03T00:00:00Z&offset=3",
    f"agent_id={AGENT}&created_after=2026-02-01T00:00:00Z&created_before=2026-02-03T00:00:00Z&offset=3",
]


def ask(world: World, key: str, query: str, watch: Any) -> sessions.Page:
    with world.app.app_context(), db.snapshot() as connection:
        watch(connection)
        organization = auth.authenticate(connection, {"Authorization": key})  # type: ignore[arg-type]
        page = sessions.list_sessions(connection, organization, schemas.sessions_query(query.encode()))
        connection.set_trace_callback(None)
        connection.set_progress_handler(None, 0)
        return page


@pytest.mark.parametrize("query", QUERIES)
def test_every_statement_searches_an_index_and_sorts_nothing(world: World, query: str) -> None:
    org, key = world.organization()
    world.load(org, agent(), *(session(n, created_at=f"2026-02-0{1 + n % 4}T00:00:00Z") for n in range(2000)))
    statements: list[str] = []
    ask(world, key, query, lambda connection: connection.set_trace_callback(statements.append))
    selects = [statement for statement in statements if "SELECT" in statement]
    assert len(selects) > 4
    tables = {name for (name,) in world.sql("SELECT name FROM sqlite_schema WHERE type = 'table'")} - {"catalog"}
    aliases = {"span", "newer"}
    for statement in selects:
        plan = [row[3] for row in world.sql(f"EXPLAIN QUERY PLAN {statement}")]
        assert plan
        for step in plan:
            assert "TEMP B-TREE FOR ORDER BY" not in step, (statement, plan)
            assert "AUTOMATIC" not in step, (statement, plan)
            if step.startswith("SCAN"):
                assert step.split()[1] not in tables | aliases, (statement, plan)


@pytest.fixture
def sized(world: World) -> dict[int, str]:
    """Organizations by how many sessions they have, with a key each."""
    keys = {}
    for size in (1_000, 100_000):
        org, keys[size] = world.organization()
        lines = [session(n, created_at=f"2026-{1 + n * 9 // size:02}-01T00:00:00Z") for n in range(size)]
        world.load(org, agent(capabilities=["skills", "browserless"]), *lines)
    return keys


def steps(world: World, key: str, query: str) -> int:
    """How many steps of SQLite's virtual machine the answer takes."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    page = ask(world, key, query, lambda connection: connection.set_progress_handler(step, 1))
    assert page.sessions != "[]"
    return count


def test_a_page_costs_the_same_at_any_size_and_depth(world: World, sized: dict[int, str]) -> None:
    small, large = steps(world, sized[1_000], ""), steps(world, sized[100_000], "")
    assert large <= 1.2 * small
    for agent_id in ("", f"agent_id={AGENT}&"):
        for offset in (1_000, 33_333, 50_000, 77_777, 99_980):
            assert steps(world, sized[100_000], f"{agent_id}offset={offset}") <= 3 * small, offset
        for bounds in ("created_before=2026-05-01T00:00:00Z", "created_after=2026-05-01T00:00:00Z"):
            assert steps(world, sized[100_000], f"{agent_id}{bounds}&offset=20000") <= 3 * small, bounds


def test_a_page_among_sessions_of_one_instant_costs_no_more(world: World) -> None:
    org, key = world.organization()
    world.load(org, agent(capabilities=["skills"]), *(session(n) for n in range(50_000)))
    first = steps(world, key, "")
    for offset in (10_000, 25_000, 49_980):
        assert steps(world, key, f"offset={offset}") <= 3 * first
