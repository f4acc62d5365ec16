"""A key is found by its whole hash, whatever other keys there are."""

import pytest

from tests.conftest import World

ANOTHER = "evr_" + "A" * 43


def lookups(world: World, key: str) -> int:
    return world.get(key).status_code


def test_no_key_is_good_where_there_is_none(world: World) -> None:
    assert lookups(world, ANOTHER) == 401


@pytest.mark.parametrize("stored", [bytes(32), b"\xff" * 32], ids=["before all", "after all"])
def test_a_key_beside_the_hash_of_a_good_one_is_refused(world: World, stored: bytes) -> None:
    _, key = world.organization()
    world.sql("UPDATE api_keys SET sha256 = ?", stored)
    assert (lookups(world, ANOTHER), lookups(world, key)) == (401, 401)


def test_of_many_keys_each_is_its_own(world: World) -> None:
    organizations = [world.organization() for _ in range(20)]
    for org, key in organizations:
        world.load(org, {"id": "agent_1"}, {"id": "session_1", "agent_id": "agent_1"})
        assert [item["organization_id"] for item in world.json(key)["data"]] == [org]
    org, key = organizations[7]
    world.everruns("revoke-key", org, key)
    assert [lookups(world, each) for _, each in organizations] == [200] * 7 + [401] + [200] * 12
