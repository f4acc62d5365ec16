"""What another program deletes with foreign keys off, as SQLite's own shell has them, leaves nothing behind."""

import sqlite3
from contextlib import closing

from tests.conftest import AGENT, World, agent, session


def delete(world: World, table: str) -> None:
    with closing(sqlite3.connect(world.path)) as connection, connection:
        connection.execute(f"DELETE FROM {table}")


def test_the_keys_of_a_deleted_organization_do_not_open_the_next_one(world: World) -> None:
    old_org, old_key = world.organization()
    world.load(old_org, agent(), session(1))
    delete(world, "organizations")
    org, key = world.organization()
    world.load(org, agent(), session(2))
    assert world.get(old_key).status_code == 401
    assert [item["id"] for item in world.json(key)["data"]] == ["session_2"]
    world.everruns("check")


def test_a_new_session_has_nothing_of_a_deleted_one(world: World) -> None:
    org, key = world.organization()
    world.load(org, agent(), session(1, capabilities=["openui"]))
    delete(world, "sessions")
    world.load(org, session(2), session(3, capabilities=["skills"]))
    capabilities = [item["capabilities"] for item in world.json(key)["data"]]
    assert capabilities == [[{"ref": "skills"}], []]
    world.everruns("check")


def test_a_new_agent_or_harness_can_do_nothing_that_a_deleted_one_could(world: World) -> None:
    org, key = world.organization()
    world.load(org, agent(capabilities=["openui"]), {"id": "harness_1", "capabilities": ["openui"]})
    delete(world, "agents")
    delete(world, "harnesses")
    world.load(org, agent(), {"id": "harness_1"}, session(1, harness_id="harness_1", agent_id=AGENT))
    assert world.json(key)["data"][0]["features"] == []
    world.everruns("check")


def test_a_deleted_capability_contributes_nothing_when_it_comes_back(world: World) -> None:
    org, key = world.organization()
    world.load(org, agent(capabilities=["openui"]), session(1))
    delete(world, "capabilities")
    world.sql("INSERT INTO capabilities (id, name, status) VALUES ('openui', 'x', 'available')")
    assert world.json(key)["data"][0]["features"] == []
    world.everruns("check")
