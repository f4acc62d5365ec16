"""Features: the union over a session's active capabilities, against an independent computation."""

import json
from pathlib import Path

import pytest

from everruns.catalog import BUILT_IN
from tests.conftest import World, agent, session

CATALOG = {entry["id"]: entry for entry in json.loads(BUILT_IN.read_text())}


def expected(refs: list[str], catalog: dict[str, dict[str, object]] = CATALOG) -> list[str]:
    """A depth-first walk in plain Python."""
    features: set[str] = set()
    seen: set[str] = set()

    def visit(ref: str) -> None:
        entry = catalog.get(ref)
        if ref in seen or entry is None or entry["status"] != "available":
            return
        seen.add(ref)
        features.update(entry["features"])  # type: ignore[arg-type]
        for dependency in entry["dependencies"]:  # type: ignore[attr-defined]
            visit(dependency)

    for ref in refs:
        visit(ref)
    return sorted(features)


def features(world: World, key: str) -> dict[str, list[str]]:
    data = world.json(key, "/v1/sessions?limit=100")["data"]
    return {item["id"]: item["features"] for item in data}


def test_every_capability_of_the_catalog_on_a_session_an_agent_and_a_harness(world: World) -> None:
    org, key = world.organization()
    refs = list(CATALOG)
    world.load(org, agent(), *(session(n, capabilities=[ref]) for n, ref in enumerate(refs)))
    found = features(world, key)
    assert len(found) == 91
    assert found == {f"session_{n}": expected([ref]) for n, ref in enumerate(refs)}
    agents = (agent(f"agent_{n}", capabilities=[ref]) for n, ref in enumerate(refs))
    world.load(org, *agents, *(session(n, agent_id=f"agent_{n}") for n in range(91)))
    assert features(world, key) == found
    harnesses = ({"id": f"harness_{n}", "capabilities": [ref]} for n, ref in enumerate(refs))
    world.load(org, *harnesses, *(session(n, harness_id=f"harness_{n}") for n in range(91)))
    assert features(world, key) == found


def test_the_examples_of_the_design(world: World) -> None:
    org, key = world.organization()
    sessions = [session("s", capabilities=["skills"]), session("b", capabilities=["browserless"])]
    world.load(org, agent(), *sessions)
    assert features(world, key) == {
        "session_s": ["file_system"],
        "session_b": ["key_value", "leased_resources", "secrets"],
    }


def test_harness_agent_and_session_together_each_with_its_own_sessions_alone(world: World) -> None:
    org, key = world.organization()
    harnesses = [{"id": "harness_1", "capabilities": ["skills"]}, {"id": "harness_2", "capabilities": ["a2ui"]}]
    agents = [agent("agent_1", capabilities=["browserless"]), agent("agent_2")]
    pairs = [(h, a) for h in ("harness_1", "harness_2", None) for a in ("agent_1", "agent_2")]
    sessions = [
        session(n, harness_id=h, agent_id=a, capabilities=["openui"] if n % 4 == 0 else [])
        for n, (h, a) in enumerate(pairs)
    ]
    world.load(org, *harnesses, *agents, *sessions)
    has = {"harness_1": ["skills"], "harness_2": ["a2ui"], None: [], "agent_1": ["browserless"], "agent_2": []}
    assert features(world, key) == {
        f"session_{n}": expected([*has[h], *has[a], *(["openui"] if n % 4 == 0 else [])])
        for n, (h, a) in enumerate(pairs)
    }


def test_agent_and_session_together_without_duplicates_sorted(world: World) -> None:
    org, key = world.organization()
    own = ["openui", "memory", "mcp:unknown", "research", "platform_management", "openui"]
    world.load(org, agent(capabilities=["skills", "browserless"]), session(1, capabilities=own))
    assert features(world, key)["session_1"] == expected([*own, "skills", "browserless"])
    assert features(world, key)["session_1"] == ["file_system", "key_value", "leased_resources", "openui", "secrets"]


def catalog_file(folder: Path, *entries: tuple[str, str, list[str]]) -> str:
    """A catalog of (id, status, dependencies); each capability has one feature, named after it."""
    rows = [
        {"id": name, "name": name, "category": None, "status": status, "dependencies": needs, "features": [f"f-{name}"]}
        for name, status, needs in entries
    ]
    (folder / "catalog.json").write_text(json.dumps(rows))
    return str(folder / "catalog.json")


def test_dependencies_to_any_depth_but_not_through_what_is_not_available(world: World) -> None:
    org, key = world.organization()
    world.load(org, agent(), session(1, capabilities=["c0", "dead"]))
    chain = [(f"c{n}", "available", [f"c{n + 1}"]) for n in range(200)]
    rest = [("c200", "retired", ["after"]), ("dead", "coming_soon", ["after"]), ("after", "available", ["missing"])]
    ran = world.everruns("load-catalog", catalog_file(world.folder, *chain, *rest))
    assert "after needs missing" in ran.stderr
    assert features(world, key)["session_1"] == sorted(f"f-c{n}" for n in range(200))


def test_a_cycle_stored_by_plain_sql_ends_the_walk(world: World) -> None:
    org, key = world.organization()
    world.everruns("load-catalog", catalog_file(world.folder, ("a", "available", ["b"]), ("b", "available", [])))
    world.sql("INSERT INTO capability_dependencies VALUES ('b', 'a')")
    world.load(org, agent(), session(1, capabilities=["b"]))
    assert features(world, key)["session_1"] == ["f-a", "f-b"]


def test_a_change_of_agent_or_catalog_shows_in_the_next_answer(world: World) -> None:
    org, key = world.organization()
    world.load(org, agent(capabilities=["openui"]), session(1))
    assert features(world, key)["session_1"] == ["openui"]
    world.load(org, agent(capabilities=["a2ui"]))
    assert features(world, key)["session_1"] == ["a2ui"]
    world.everruns("load-catalog", catalog_file(world.folder, ("a2ui", "available", [])))
    assert features(world, key)["session_1"] == ["f-a2ui"]
    world.everruns("load-catalog", str(BUILT_IN))
    assert features(world, key)["session_1"] == ["a2ui"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JSON"),
        ("{}", "must hold an array of capabilities, not an object"),
        ("[{}, 1]", "[1]: must be an object, not a number"),
        ('[{"id": "\\ud800", "name": "A", "status": "available"}]', "is no JSON"),
        ('[{"id": "a"}]', "[0].name: is missing"),
        ('[{"id": "", "name": "A", "status": "retired"}]', "[0].id: must not be empty\n"),
        ('[{"id": "a", "name": "A", "status": "gone"}]', "[0].status: must be available, coming_soon or retired"),
        (
            '[{"id": "a", "name": "A", "status": "gone"}, {"name": 1, "id": "b", "status": "retired"}]',
            "[0].status: must be available, coming_soon or retired, not 'gone'\n{file}: [1].name: must be a string",
        ),
        (
            json.dumps([{"id": name, "name": "A", "status": "available"} for name in "abab"]),
            "each id must come once; more than once: a, b\n",
        ),
        (
            '[{"id": "a", "name": "A", "status": "available", "dependencies": ["b"]},'
            ' {"id": "b", "name": "B", "status": "available", "dependencies": ["a"]}]',
            "dependencies must not form a cycle: a needs b needs a\n",
        ),
    ],
)
def test_a_wrong_catalog_is_refused_and_the_old_one_stays(world: World, text: str, message: str) -> None:
    file = world.folder / "catalog.json"
    file.write_text(text)
    before = world.sql("SELECT * FROM capability_features")
    ran = world.everruns("load-catalog", str(file), status=1)
    assert f"the catalog stays as it is:\n{file}: {message.format(file=file)}" in ran.stderr
    assert world.sql("SELECT * FROM capability_features") == before
    assert "cannot be read" in world.everruns("load-catalog", str(world.folder / "none"), status=1).stderr
