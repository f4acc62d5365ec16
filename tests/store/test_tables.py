"""The statements that a table gets from its name and columns, here fewer columns than agents have."""

import sqlite3
from collections.abc import Iterator

import pytest

from everruns.records import ListQuery, Organization, Page
from everruns.store import agents, tables
from everruns.store.db import Database
from everruns.store.tables import Table

SELECT = """
SELECT json_array(agents.public_id, agents.name, json(agents.tags), agents.description, :organization)
FROM agents
"""
AT = "2026-02-27T13:13:53.000000Z"
LATER = "2026-03-01T00:00:00.000000Z"


@pytest.fixture
def connection(database: Database, organization: Organization) -> Iterator[sqlite3.Connection]:
    with database.write() as connection:
        yield connection


@pytest.fixture
def table() -> Table:
    return Table("agents", SELECT, {"name": "nameless", "description": None})


def test_a_row_is_inserted_with_defaults_and_found(
    connection: sqlite3.Connection, table: Table, organization: Organization
) -> None:
    record = {"public_id": "agent_A-1", "tags": ["é"], "created_at": AT}
    assert tables.save(connection, table, organization.id, record, new_id=7) == "new"
    assert tables.find(connection, table, organization.id, "AGENT_a1") == {
        "id": 7,
        "public_id": "agent_A-1",
        "tags": '["é"]',
        "capabilities": "[]",
        "created_at": AT,
        "updated_at": AT,
        "name": "nameless",
        "description": None,
    }
    assert tables.find(connection, table, organization.id + 1, "agent_a1") is None
    assert tables.find_id(connection, table, organization.id, "agent_a1") == 7
    assert tables.next_id(connection, table) == 8


def test_an_update_changes_only_the_row(
    connection: sqlite3.Connection, table: Table, organization: Organization
) -> None:
    for number in (1, 2):
        tables.save(connection, table, organization.id, {"public_id": f"agent_{number}", "created_at": AT})
    stored = tables.find(connection, table, organization.id, "agent_1")
    record = {"public_id": "agent_1", "name": "one"}
    assert tables.save(connection, table, organization.id, record, stored, merge=True) == "changed"
    names = [tables.find(connection, table, organization.id, f"agent_{number}") for number in (1, 2)]
    assert [row and row["name"] for row in names] == ["one", "nameless"]


def test_rows_are_rendered_in_the_order_of_storing_and_listed_by_name(
    connection: sqlite3.Connection, table: Table, organization: Organization
) -> None:
    for name in ("b", "A", "c"):
        record = {"public_id": f"agent_{name}", "name": name, "tags": [name]}
        tables.save(connection, table, organization.id, record)
    b, a, c = (f'["agent_{name}","{name}",["{name}"],null,"{organization.public_id}"]' for name in ("b", "A", "c"))
    assert list(tables.render_all(connection, table, organization)) == [b, a, c]
    assert tables.render(connection, table, organization, "agent_a") == a
    assert tables.list_by_name(connection, table, organization, ListQuery(None, 1, 2)) == Page(f"{b},{c}", 3)
    assert tables.list_by_name(connection, table, organization, ListQuery("C", 0, 9)) == Page(c, 1)


def test_an_archived_row_keeps_its_values_and_the_time(database: Database, organization: Organization) -> None:
    record = {"public_id": "agent_1", "name": "one", "created_at": AT}
    with database.write() as connection:
        tables.save(connection, agents.TABLE, organization.id, record)
        before = tables.find(connection, agents.TABLE, organization.id, "agent_1")
        archived = {"status": "archived", "updated_at": LATER}
        tables.save(connection, agents.TABLE, organization.id, archived, before, merge=True)
        after = tables.find(connection, agents.TABLE, organization.id, "agent_1")
    assert before
    assert after
    assert (before["updated_at"], after["updated_at"], after["archived_at"]) == (AT, LATER, LATER)
    changed = ("status", "updated_at", "archived_at")
    assert after == {**before, **{key: after[key] for key in changed}, "status": "archived"}
