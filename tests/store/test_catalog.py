"""The features that the capabilities of a catalog provide, including those of what they depend on."""

import sqlite3
from contextlib import closing
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from everruns.store import catalog, derived, schema
from everruns.store.db import Database
from tests.support.database import execute
from tests.support.features import BUILT_IN_CATALOG, expected_features


def provided(connection: sqlite3.Connection) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for capability_id, feature in connection.execute("SELECT * FROM provided_features ORDER BY 1, 2"):
        found.setdefault(capability_id, []).append(feature)
    return found


def expected(entries: dict[str, Any]) -> dict[str, list[str]]:
    return {ref: features for ref in entries if (features := expected_features([ref], entries))}


def capability(
    capability_id: str, *dependencies: str, features: list[str] | None = None, status: str = "available"
) -> dict[str, Any]:
    """Return a capability; its feature has the name of its id unless others are given."""
    return {
        "id": capability_id,
        "name": capability_id,
        "status": status,
        "dependencies": list(dependencies),
        "features": [capability_id] if features is None else features,
    }


def load(*capabilities: dict[str, Any]) -> dict[str, list[str]]:
    """Return what the capabilities provide in a database in memory."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(schema.schema())
        catalog.replace(connection, list(capabilities))
        assert list(derived.differences(connection)) == []
        return provided(connection)


def test_the_built_in_catalog_provides_what_its_graph_says(database: Database) -> None:
    with database.read() as connection:
        assert provided(connection) == expected(BUILT_IN_CATALOG)
    assert execute(database.path, "SELECT COUNT(*) FROM capabilities") == [(len(BUILT_IN_CATALOG),)]


def test_dependencies_count_to_any_depth() -> None:
    chain = [capability(f"c{n:02}", f"c{n + 1:02}") for n in range(50)]
    assert load(*chain)["c00"] == [f"c{n:02}" for n in range(50)]


def test_a_feature_that_several_provide_is_there_once() -> None:
    tip = capability("tip", features=["files"])
    assert load(capability("a", "b", "c"), capability("b", "tip"), capability("c", "tip", features=["files"]), tip) == {
        "a": ["a", "b", "files"],
        "b": ["b", "files"],
        "c": ["files"],
        "tip": ["files"],
    }


def test_a_cycle_provides_everything_in_it() -> None:
    loop = capability("loop", "loop")
    found = load(capability("a", "b"), capability("b", "c"), capability("c", "a", "loop"), loop)
    assert found == {"a": [*"abc", "loop"], "b": [*"abc", "loop"], "c": [*"abc", "loop"], "loop": ["loop"]}


def test_an_unavailable_capability_provides_nothing_and_leads_no_further() -> None:
    for status in ("coming_soon", "retired"):
        middle = capability("middle", "last", status=status)
        assert load(capability("first", "middle"), middle, capability("last")) == {"first": ["first"], "last": ["last"]}


def test_a_dependency_that_is_not_in_the_catalog_contributes_nothing() -> None:
    assert load(capability("a", "elsewhere")) == {"a": ["a"]}


def test_a_new_catalog_replaces_the_old_one_entirely(database: Database) -> None:
    with database.write() as connection:
        catalog.replace(connection, [{**capability("only"), "description": "d", "category": "c"}])
        assert provided(connection) == {"only": ["only"]}
    assert execute(database.path, "SELECT * FROM capabilities") == [("only", "only", "d", "c", "available")]
    assert execute(database.path, "SELECT * FROM capability_dependencies") == []


def test_repeated_dependencies_and_features_are_kept_once() -> None:
    assert load(capability("a", "b", "b", features=["x", "x"]), capability("b")) == {"a": ["b", "x"], "b": ["b"]}


NAMES = st.sampled_from("abcdef")


@given(
    st.dictionaries(
        NAMES,
        st.tuples(
            st.lists(NAMES | st.just("elsewhere"), max_size=3),
            st.lists(st.sampled_from("xyz"), max_size=2),
            st.sampled_from(["available", "available", "available", "coming_soon", "retired"]),
        ),
    )
)
def test_any_graph_provides_what_a_walk_of_it_finds(graph: dict[str, tuple[list[str], list[str], str]]) -> None:
    entries = {
        name: capability(name, *dependencies, features=features, status=status)
        for name, (dependencies, features, status) in graph.items()
    }
    assert load(*entries.values()) == expected(entries)
