"""The list of sessions: for any data and query it is what a short Python model returns."""

import json
import random
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everruns.ids import BASE_HARNESS, canonical_id
from everruns.records import Organization, Page
from everruns.schemas.queries import sessions_query
from everruns.store import check
from everruns.store.db import Database
from everruns.store.sessions import list_sessions
from tests.support.database import create_organization, execute, export, import_records
from tests.support.features import expected_features
from tests.support.records import AGENT_ID, agent_record, harness_record, session_record
from tests.support.sql import execute_without_foreign_keys

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
# Small alphabets: many ids are the same, and many titles contain what is searched.
SUFFIXES = st.text("0aA-", min_size=1, max_size=3)
PIECES = st.sampled_from(["ab", "AB", "éж", "ÉЖ", "漢字", ' "', "%_"])
TITLES = st.lists(PIECES, max_size=4).map("".join)
TAGS = st.sampled_from(["a", "A", "b", "é", "a,b", '"'])
# As given, and as stored.
TIMESTAMPS = {
    "2026-01-01T00:00:00Z": "2026-01-01T00:00:00.000000Z",
    "2026-01-01T01:00:00.000001+01:00": "2026-01-01T00:00:00.000001Z",
    "2025-12-31T23:59:59.9999999Z": "2025-12-31T23:59:59.999999Z",
}
BOUNDS = {
    "2025-12-31T23:59:59.999999Z": "2025-12-31T23:59:59.999999Z",
    "2025-12-31T23:59:59.9999991Z": "2026-01-01T00:00:00.000000Z",
    "2026-01-01T02:00:00+02:00": "2026-01-01T00:00:00.000000Z",
    "2026-01-01T00:00:00.000001Z": "2026-01-01T00:00:00.000001Z",
    "2026-01-01T00:00:00.000002Z": "2026-01-01T00:00:00.000002Z",
}
CONFIGS = st.dictionaries(
    TEXT, st.none() | st.booleans() | st.integers() | TEXT | st.lists(TEXT, max_size=2), max_size=2
)
REFS = st.sampled_from(["skills", "browserless", "openui", "research", "platform_management"]) | TEXT.filter(bool)
CAPABILITIES = st.lists(st.fixed_dictionaries({"ref": REFS}, optional={"config": CONFIGS}), max_size=3)
AGENTS = st.fixed_dictionaries({"suffix": SUFFIXES, "capabilities": CAPABILITIES})
SESSIONS = st.fixed_dictionaries(
    {
        "suffix": SUFFIXES,
        "harness": st.integers(0, 99),
        "agent": st.integers(0, 99),
        "title": st.none() | TITLES,
        "tags": st.lists(TAGS | TEXT, max_size=3),
        "model_id": st.none() | TEXT,
        "capabilities": CAPABILITIES,
        "status": st.sampled_from(["started", "active", "idle"]),
        "created_at": st.sampled_from([*TIMESTAMPS]),
        "updated_at": st.sampled_from([*TIMESTAMPS]),
    }
)
ORGANIZATIONS = st.tuples(st.lists(AGENTS, max_size=3), st.lists(AGENTS, max_size=4), st.lists(SESSIONS, max_size=12))


def bounds(query: dict[str, Any]) -> tuple[str, str]:
    return BOUNDS.get(query.get("created_after", ""), ""), BOUNDS.get(query.get("created_before", ""), "~")


QUERIES = st.fixed_dictionaries(
    {},
    optional={
        "agent_id": SUFFIXES.map("agent_{}".format),
        "status": st.sampled_from(["started", "active", "idle"]),
        "tag": st.lists(TAGS, min_size=1, max_size=2, unique=True),
        "search": st.lists(PIECES, min_size=1, max_size=2).map("".join) | SUFFIXES.map("session_{}".format),
        "created_after": st.sampled_from([*BOUNDS]),
        "created_before": st.sampled_from([*BOUNDS]),
        "offset": st.integers(0, 15),
        "limit": st.integers(1, 15),
    },
).filter(lambda query: bounds(query)[0] <= bounds(query)[1])


def records(organization: tuple[list[Any], list[Any], list[Any]]) -> tuple[list[Any], list[Any]]:
    """Return the records of harnesses and agents, and those of sessions; some refer to none of them."""
    harnesses, agents = (
        [{"id": f"{prefix}_{item['suffix']}", "name": "x", "capabilities": item["capabilities"]} for item in items]
        for prefix, items in zip(("harness", "agent"), organization[:2], strict=True)
    )
    harness_ids = [BASE_HARNESS, None, *(item["id"] for item in harnesses)]
    agent_ids = [None, *(item["id"] for item in agents)]
    sessions = [
        {
            "id": f"session_{item['suffix']}",
            "harness_id": harness_ids[item["harness"] % len(harness_ids)],
            "agent_id": agent_ids[item["agent"] % len(agent_ids)],
            **{key: value for key, value in item.items() if key not in ("suffix", "harness", "agent")},
        }
        for item in organization[2]
    ]
    return harnesses + agents, sessions


def is_found(session: dict[str, Any], search: str | None) -> bool:
    if search is None:
        return True
    return (
        canonical_id(search) == canonical_id(session["id"]) or search.casefold() in (session["title"] or "").casefold()
    )


def expected_page(
    organization: Organization, owners: list[Any], sessions: list[Any], query: dict[str, Any]
) -> tuple[list[Any], int, str | None]:
    """Return rows, total and newest timestamp. `owners` are the harnesses and agents."""
    known: dict[str, Any] = {BASE_HARNESS: {"id": BASE_HARNESS, "capabilities": []}}
    for item in owners:
        key = canonical_id(item["id"])
        known[key] = {**item, "id": known.get(key, item)["id"]}  # the id is shown as it was first stored
    stored: dict[str, Any] = {}
    for item in sessions:
        key = canonical_id(item["id"])
        if key not in stored or TIMESTAMPS[item["updated_at"]] >= TIMESTAMPS[stored[key]["updated_at"]]:
            # A dict keeps the position of a key that is replaced.
            stored[key] = {**item, "id": stored.get(key, item)["id"]}
    in_order = enumerate(stored.values())
    newest_first = sorted(in_order, key=lambda pair: (TIMESTAMPS[pair[1]["created_at"]], pair[0]), reverse=True)
    after, before = bounds(query)
    matching = [
        item
        for _, item in newest_first
        if after <= TIMESTAMPS[item["created_at"]] < before
        and ("agent_id" not in query or canonical_id(query["agent_id"]) == canonical_id(item["agent_id"] or ""))
        and item["status"] == query.get("status", item["status"])
        and set(query.get("tag", [])) <= set(item["tags"])
        and is_found(item, query.get("search"))
    ]
    rows = []
    for item in matching[query.get("offset", 0) :][: query.get("limit", 20)]:
        harness = known[canonical_id(item["harness_id"] or BASE_HARNESS)]
        agent = known[canonical_id(item["agent_id"])] if item["agent_id"] else {"id": None, "capabilities": []}
        capabilities = item["capabilities"] + agent["capabilities"] + harness["capabilities"]
        rows.append(
            {
                "id": item["id"],
                "organization_id": organization.public_id,
                "harness_id": harness["id"],
                "agent_id": agent["id"],
                "title": item["title"],
                "tags": item["tags"],
                "model_id": item["model_id"],
                "capabilities": item["capabilities"],
                "status": item["status"],
                "features": expected_features(capability["ref"] for capability in capabilities),
                "created_at": TIMESTAMPS[item["created_at"]],
                "updated_at": TIMESTAMPS[item["updated_at"]],
            }
        )
    return rows, len(matching), TIMESTAMPS[matching[0]["created_at"]] if matching else None


def list_page(connection: sqlite3.Connection, organization: Organization, query: dict[str, Any]) -> Page:
    return list_sessions(connection, organization, sessions_query(urlencode(query, doseq=True).encode()))


@contextmanager
def copy_of(path: Path) -> Iterator[Database]:
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory, "everruns.db")
        copy.write_bytes(path.read_bytes())
        database = Database(copy)
        yield database
        database.close()


@settings(max_examples=30)
@given(st.lists(ORGANIZATIONS, min_size=1, max_size=2), st.lists(QUERIES, min_size=1, max_size=6))
def test_a_page_is_that_of_the_model(
    new_database: Path, contents: list[tuple[list[Any], list[Any], list[Any]]], queries: list[dict[str, Any]]
) -> None:
    with copy_of(new_database) as database:
        imported = []
        for content in contents:
            organization, _ = create_organization(database)
            owners, sessions = records(content)
            # Sessions first: their harnesses and agents come later in the same import.
            import_records(database, organization, *sessions, *owners)
            imported.append((organization, owners, sessions))
        with database.read() as connection:
            for organization, owners, sessions in imported:
                for query in [{}, *queries]:
                    page = list_page(connection, organization, query)
                    rows, total, newest = expected_page(organization, owners, sessions, query)
                    assert json.loads(f"[{page.data}]") == rows
                    assert (page.total, page.newest) == (total, newest)
                    assert [list(row) for row in json.loads(f"[{page.data}]")] == [list(row) for row in rows], (
                        "order of keys"
                    )
            exports = [list(export(connection, organization)) for organization, _, _ in imported]
            assert list(check.errors(connection)) == []
        for lines in exports:
            organization, _ = create_organization(database)
            import_records(database, organization, *map(json.loads, lines))
            with database.read() as connection:
                copied = [json.loads(line) for line in export(connection, organization)]
            assert copied == [{**json.loads(line), "organization_id": organization.public_id} for line in lines]


@pytest.mark.parametrize("query", [{}, {"agent_id": AGENT_ID}, {"created_after": "2025-02-01T00:00:00Z"}])
def test_pages_at_any_offset_follow_each_other(
    database: Database, organization: Organization, query: dict[str, str]
) -> None:
    choice = random.Random(1)
    sessions = [
        session_record(
            n,
            agent_id=choice.choice([AGENT_ID, None]),
            created_at=f"202{choice.randint(4, 6)}-0{choice.randint(1, 3)}-{choice.randint(10, 28)}T00:00:00Z",
        )
        for n in range(400)
    ]
    import_records(database, organization, agent_record(), *sessions)
    newest_first = sessions[::-1]
    newest_first.sort(key=lambda session: str(session["created_at"]), reverse=True)
    expected = [
        session["id"]
        for session in newest_first
        if session["agent_id"] == query.get("agent_id", session["agent_id"])
        and str(session["created_at"]) >= query.get("created_after", "")
    ]
    assert len(expected) > 150
    with database.read() as connection:
        for offset in range(0, len(expected) + 14, 7):
            page = list_page(connection, organization, {**query, "offset": offset, "limit": 7})
            assert [row["id"] for row in json.loads(f"[{page.data}]")] == expected[offset : offset + 7]
            assert page.total == len(expected)


def test_sessions_dated_in_the_future_are_listed_in_their_order(database: Database, organization: Organization) -> None:
    future = session_record(2, created_at="2199-01-01T00:00:00Z")
    import_records(database, organization, agent_record(), session_record(1), future, session_record(3))
    with database.read() as connection:
        page = list_page(connection, organization, {})
    assert [row["id"] for row in json.loads(f"[{page.data}]")] == ["session_2", "session_3", "session_1"]


QUERY_STRINGS = [
    "",
    "offset=5",
    f"agent_id={AGENT_ID}",
    "created_after=2026-02-01T00:00:00Z",
    "created_before=2026-02-03T00:00:00Z",
    "created_after=2026-02-01T00:00:00Z&created_before=2026-02-03T00:00:00Z&offset=3",
    f"agent_id={AGENT_ID}&created_after=2026-02-01T00:00:00Z&created_before=2026-02-03T00:00:00Z&offset=3",
    "status=started&offset=5",
    "tag=even",
    f"tag=even&tag=all&agent_id={AGENT_ID}&offset=2",
    "search=title+1",
    "search=ti&created_after=2026-02-01T00:00:00Z",
    "search=title&tag=even&status=started",
]


@pytest.mark.parametrize("query_string", QUERY_STRINGS)
def test_every_statement_searches_an_index(database: Database, organization: Organization, query_string: str) -> None:
    sessions = (
        session_record(
            n,
            title=f"Title {n}",
            tags=["all", ("even", "odd")[n % 2]],
            created_at=f"2026-02-0{1 + n % 4}T00:00:00Z",
        )
        for n in range(200)
    )
    import_records(database, organization, agent_record(), *sessions)
    statements: list[str] = []
    with database.read() as connection:
        connection.set_trace_callback(statements.append)
        assert list_sessions(connection, organization, sessions_query(query_string.encode())).data
        connection.set_trace_callback(None)
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        assert len(statements) >= 2
        for statement in (statement for statement in statements if not statement.startswith("--")):
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
            scanned = {step.split()[1] for step in plan if step.startswith("SCAN") and "VIRTUAL TABLE" not in step}
            assert not scanned & tables, (statement, plan)
            assert not any("AUTOMATIC" in step for step in plan), (statement, plan)
            if "tag=" in query_string and "search=" not in query_string and "session_tags" in statement:
                assert any(
                    step.startswith("SEARCH session_tags USING PRIMARY KEY (organization_id=? AND tag=?)")
                    for step in plan
                )


# --- rows that another program changed with foreign keys off, which is SQLite's default ---------------------------


def test_sessions_of_a_deleted_agent_and_harness_are_listed_without_them(
    database: Database, organization: Organization
) -> None:
    import_records(
        database,
        organization,
        harness_record("harness_1", capabilities=["openui"]),
        agent_record(capabilities=["skills"]),
        session_record(1, harness_id="harness_1", capabilities=["a2ui"]),
    )
    execute_without_foreign_keys(database.path, "DELETE FROM agents")
    execute_without_foreign_keys(database.path, "DELETE FROM harnesses")
    with database.read() as connection:
        page = list_page(connection, organization, {})
    (row,) = json.loads(f"[{page.data}]")
    assert (row["agent_id"], row["harness_id"]) == (None, BASE_HARNESS)
    assert (row["features"], page.total) == (["a2ui"], 1)


def test_an_agent_or_harness_of_another_organization_is_never_shown(
    database: Database, organization: Organization
) -> None:
    other, _ = create_organization(database)
    secret = [harness_record("harness_2", capabilities=["openui"]), agent_record("agent_2", capabilities=["skills"])]
    import_records(database, other, *secret)
    import_records(database, organization, agent_record(), session_record())
    execute_without_foreign_keys(database.path, "UPDATE sessions SET agent_id = (SELECT MIN(id) FROM agents)")
    execute_without_foreign_keys(database.path, "UPDATE sessions SET harness_id = (SELECT MIN(id) FROM harnesses)")
    with database.read() as connection:
        (row,) = json.loads(f"[{list_page(connection, organization, {}).data}]")
    assert (row["agent_id"], row["harness_id"], row["features"]) == (None, BASE_HARNESS, [])


def test_a_capability_that_is_not_an_object_is_shown_and_provides_no_features(
    database: Database, organization: Organization
) -> None:
    import_records(database, organization, agent_record(), session_record(capabilities=["skills"]))
    odd = '["skills", 1, null, ["skills"], {"ref": "openui"}, {"ref": null}, {}]'
    execute(database.path, "UPDATE sessions SET capabilities = ?", odd)
    execute(database.path, "UPDATE agents SET capabilities = ?", odd)
    with database.read() as connection:
        (row,) = json.loads(f"[{list_page(connection, organization, {}).data}]")
    assert row["capabilities"] == json.loads(odd)
    assert row["features"] == expected_features(["openui"])


def test_text_that_is_not_utf8_is_shown_with_replacement_characters(
    database: Database, organization: Organization
) -> None:
    import_records(database, organization, agent_record(), session_record())
    execute(database.path, "UPDATE sessions SET title = CAST(x'61ff62' AS TEXT)")
    with database.read() as connection:
        (row,) = json.loads(f"[{list_page(connection, organization, {}).data}]")
    assert row["title"] == "a\ufffdb"
