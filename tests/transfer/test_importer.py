"""Imports: what is kept of records, what is refused and why, and what the summary says."""

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask.testing import FlaskClient

from everruns.ids import BASE_HARNESS
from everruns.records import Organization
from everruns.store.db import Database
from everruns.timestamps import now
from tests.support.client import ids
from tests.support.commands import CommandRunner
from tests.support.database import create_organization, execute, export, import_records
from tests.support.records import AGENT_ID, agent_record, harness_record, session_record

SAMPLE = Path(__file__).parent.parent / "sample-export.ndjson"
REFUSED = "Error: nothing was imported; fix these errors and retry:\n"

Import = Callable[..., Result]


@pytest.fixture
def run_import(run_command: CommandRunner, organization: Organization) -> Import:
    """Import records as NDJSON, or the text given instead, by standard input."""

    def run(*records: dict[str, Any] | str | bytes, merge: bool = False, exit_code: int = 0) -> Result:
        lines = [record if isinstance(record, str | bytes) else json.dumps(record) for record in records]
        content = b"\n".join(line.encode() if isinstance(line, str) else line for line in lines)
        options = ["--merge"] if merge else []
        return run_command("import", organization.public_id, *options, "-", stdin=content, exit_code=exit_code)

    return run


def stored(database: Database, organization: Organization) -> dict[str, Any]:
    """Return all records of the organization by id, in the order of storing."""
    with database.read() as connection:
        records = map(json.loads, export(connection, organization))
        return {record["id"]: record for record in records}


# --- what is kept -------------------------------------------------------------------------------------------------


def test_the_sample_is_served_as_it_was_exported(
    client: FlaskClient, run_command: CommandRunner, organization: Organization
) -> None:
    command = ["import", organization.public_id, str(SAMPLE)]
    first, second = run_command(*command), run_command(*command)
    assert first.stderr.splitlines()[:2] == [
        "agents: 3 new, 0 changed, 0 unchanged",
        "sessions: 40 new, 0 changed, 0 unchanged",
    ]
    assert second.stderr.splitlines()[:2] == [
        "agents: 0 new, 0 changed, 3 unchanged",
        "sessions: 0 new, 0 changed, 40 unchanged",
    ]
    assert first.stdout == second.stdout == ""
    records = [json.loads(line) for line in SAMPLE.read_text("utf-8").splitlines()]
    sessions = [record for record in records if record["id"].startswith("session_")]
    newest_first = sorted(sessions, key=lambda session: session["created_at"], reverse=True)
    response = client.get("/v1/sessions?limit=100")
    assert ids(response) == [session["id"] for session in newest_first]
    for served, session in zip(response.get_json()["data"], newest_first, strict=True):
        for key in ("agent_id", "status", "created_at"):
            assert served[key] == session[key]
        for key, default in (("title", None), ("tags", []), ("model_id", None)):
            assert served[key] == session.get(key, default)


def test_a_record_gets_defaults_for_keys_that_are_absent_or_null(
    database: Database, organization: Organization, run_import: Import
) -> None:
    nulls = dict.fromkeys(("harness_id", "title", "tags", "model_id", "capabilities", "updated_at"))
    run_import(agent_record(), session_record(1), session_record(2, **nulls))
    records = stored(database, organization)
    assert records["session_1"] == {
        "id": "session_1",
        "organization_id": organization.public_id,
        "harness_id": BASE_HARNESS,
        "agent_id": AGENT_ID,
        "title": None,
        "tags": [],
        "model_id": None,
        "capabilities": [],
        "status": "started",
        "features": [],
        "created_at": "2026-02-27T13:13:53.000000Z",
        "updated_at": "2026-02-27T13:13:53.000000Z",
    }
    assert records["session_2"] == {**records["session_1"], "id": "session_2"}


def test_all_keys_of_agents_and_harnesses_are_kept(
    database: Database, organization: Organization, run_import: Import
) -> None:
    keys = {
        "name": "n",
        "display_name": "N",
        "description": "d",
        "system_prompt": "p",
        "default_model_id": "model_1",
        "tags": ["a", "b"],
        "capabilities": [{"ref": "skills", "config": {"deep": [{"é": None}]}}, {"ref": "not-in-the-catalog"}],
        "status": "archived",
        "archived_at": "2026-01-03T00:00:00.000000Z",
        "created_at": "2026-01-01T00:00:00.000000Z",
        "updated_at": "2026-01-02T00:00:00.000000Z",
    }
    run_import({"id": AGENT_ID, "harness_id": "harness_1", **keys}, {"id": "harness_1", **keys})
    records = stored(database, organization)
    assert {key: records["harness_1"][key] for key in keys} == keys
    assert {key: records[AGENT_ID][key] for key in (*keys, "harness_id")} == {**keys, "harness_id": "harness_1"}


def test_a_capability_may_be_an_id_or_an_object(
    database: Database, organization: Organization, run_import: Import
) -> None:
    given = ["skills", {"ref": "openui"}, {"ref": "a2ui", "config": None}, {"ref": "x", "config": {}, "more": None}]
    result = run_import(agent_record(), session_record(capabilities=given))
    assert "note: " not in result.stderr
    assert stored(database, organization)["session_1"]["capabilities"] == [
        {"ref": "skills"},
        {"ref": "openui"},
        {"ref": "a2ui"},
        {"ref": "x", "config": {}},
    ]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2026-02-01T00:00:00+02:00", "2026-01-31T22:00:00.000000Z"),
        ("2026-02-01T00:00:00+02", "2026-01-31T22:00:00.000000Z"),
        ("2026-02-01T00:00:00.5-0930", "2026-02-01T09:30:00.500000Z"),
        ("2026-02-01 00:00:00.123456789Z", "2026-02-01T00:00:00.123456Z"),
        ("2026-02-01t00:00z", "2026-02-01T00:00:00.000000Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_timestamps_are_kept_in_utc(
    database: Database, organization: Organization, run_import: Import, given: str, kept: str
) -> None:
    run_import(agent_record(), session_record(created_at=given))
    assert stored(database, organization)["session_1"]["created_at"] == kept


def test_a_session_without_created_at_gets_the_current_time(
    database: Database, organization: Organization, run_import: Import
) -> None:
    before = now()
    session = {"id": "session_1", "agent_id": AGENT_ID}
    result = run_import(agent_record(), session, {**session, "id": "session_2", "created_at": None}, session_record(3))
    assert "note: 2 new sessions had no created_at; they got the current time\n" in result.stderr
    records = stored(database, organization)
    assert before <= records["session_1"]["created_at"] == records["session_1"]["updated_at"] <= now()
    again = run_import(session)
    assert "sessions: 0 new, 0 changed, 1 unchanged" in again.stderr
    assert "created_at" not in again.stderr
    assert stored(database, organization) == records


def test_a_session_may_have_no_agent(database: Database, organization: Organization, run_import: Import) -> None:
    run_import(session_record(1, agent_id=None), {"id": "session_2", "created_at": "2026-01-01T00:00:00Z"})
    assert [record["agent_id"] for record in stored(database, organization).values()] == [None, None]


def test_a_missing_name_becomes_the_id(database: Database, organization: Organization, run_import: Import) -> None:
    run_import({"id": "agent_1"}, {"id": "agent_2", "name": None}, {"id": "harness_1", "name": ""})
    assert {record["id"]: record["name"] for record in stored(database, organization).values()} == {
        "harness_1": "harness_1",
        "agent_1": "agent_1",
        "agent_2": "agent_2",
    }


# --- records that are stored already ------------------------------------------------------------------------------


def test_a_record_replaces_what_is_stored_under_its_id(
    database: Database, organization: Organization, run_import: Import
) -> None:
    full = session_record("a-B", title="old", tags=["x"], model_id="m", status="idle", capabilities=["openui"])
    run_import(agent_record(name="old", capabilities=["skills"], tags=["x"]), full)
    result = run_import(agent_record(name="new"), session_record("Ab", title="new"), session_record("Ab", title="new"))
    assert result.stderr == "agents: 0 new, 1 changed, 0 unchanged\nsessions: 0 new, 1 changed, 1 unchanged\n"
    records = stored(database, organization)
    assert list(records) == [AGENT_ID, "session_a-B"], "the id is shown as it was first stored"
    assert (records[AGENT_ID]["name"], records[AGENT_ID]["capabilities"], records[AGENT_ID]["tags"]) == ("new", [], [])
    session = records["session_a-B"]
    assert (session["title"], session["tags"], session["model_id"], session["status"]) == ("new", [], None, "started")


def test_created_at_stays_unless_it_is_given(
    database: Database, organization: Organization, run_import: Import
) -> None:
    created = "2026-01-01T00:00:00.000000Z"
    run_import({"id": "session_1", "created_at": created, "updated_at": created})
    run_import({"id": "session_1", "updated_at": "2026-01-02T00:00:00Z"})
    assert stored(database, organization)["session_1"]["created_at"] == created
    run_import({"id": "session_1", "updated_at": "2026-01-02T00:00:00Z", "created_at": "2025-01-01T00:00:00Z"})
    assert stored(database, organization)["session_1"]["created_at"] == "2025-01-01T00:00:00.000000Z"


def test_with_merge_absent_keys_keep_their_values(
    database: Database, organization: Organization, run_import: Import
) -> None:
    harness = harness_record("harness_1", capabilities=["openui"], description="d")
    agent = agent_record(capabilities=["skills"], system_prompt="p", harness_id="harness_1")
    session = session_record(title="t", tags=["x"], model_id="m", status="idle", capabilities=["a2ui"])
    run_import(harness, agent, {**session, "harness_id": "harness_1", "updated_at": "2026-03-01T00:00:00Z"})
    before = stored(database, organization)
    unchanged = run_import({"id": "harness_1"}, {"id": AGENT_ID}, {"id": "session_1"}, merge=True)
    assert unchanged.stderr == (
        "harnesses: 0 new, 0 changed, 1 unchanged\n"
        "agents: 0 new, 0 changed, 1 unchanged\n"
        "sessions: 0 new, 0 changed, 1 unchanged\n"
    )
    assert stored(database, organization) == before
    changes = {"title": None, "tags": ["y"], "agent_id": None}
    run_import({"id": "session_1", **changes}, {"id": AGENT_ID, "name": "new"}, merge=True)
    after = stored(database, organization)
    assert after["session_1"] == {**before["session_1"], **changes, "features": ["a2ui", "openui"]}
    assert after[AGENT_ID] == {**before[AGENT_ID], "name": "new"}


def test_with_merge_a_new_record_gets_defaults(
    database: Database, organization: Organization, run_import: Import
) -> None:
    run_import({"id": "agent_1"}, {"id": "session_1", "agent_id": "agent_1"}, merge=True)
    records = stored(database, organization)
    assert (records["agent_1"]["name"], records["session_1"]["status"]) == ("agent_1", "started")


@pytest.mark.parametrize("merge", [False, True])
def test_a_record_that_is_older_than_the_stored_one_is_skipped(
    database: Database, organization: Organization, run_import: Import, merge: bool
) -> None:
    stored_at, older, newer = (f"2026-03-0{day}T00:00:00.000000Z" for day in (2, 1, 3))
    run_import(
        harness_record("harness_1", updated_at=stored_at),
        agent_record(updated_at=stored_at),
        session_record(title="stored", updated_at=stored_at),
    )
    before = stored(database, organization)
    result = run_import(
        harness_record("harness_1", name="older", updated_at=older),
        agent_record(name="older", updated_at=older),
        session_record(title="older", updated_at="2026-03-02T01:00:00+02:00"),
        merge=merge,
    )
    assert result.stderr == (
        "harnesses: 0 new, 0 changed, 0 unchanged, 1 skipped, as a newer version is stored\n"
        "agents: 0 new, 0 changed, 0 unchanged, 1 skipped, as a newer version is stored\n"
        "sessions: 0 new, 0 changed, 0 unchanged, 1 skipped, as a newer version is stored\n"
    )
    assert stored(database, organization) == before
    for title, updated_at in (("as old", stored_at), ("newer", newer)):
        run_import(session_record(title=title, updated_at=updated_at), merge=merge)
        assert stored(database, organization)["session_1"]["title"] == title


def test_archived_at_is_set_if_and_only_if_the_status_is_archived(
    database: Database, organization: Organization, run_import: Import
) -> None:
    at, later = "2026-01-01T00:00:00.000000Z", "2026-02-01T00:00:00.000000Z"
    run_import({"id": "agent_1", "status": "archived", "updated_at": at}, {"id": "agent_2", "archived_at": at})
    assert [agent["archived_at"] for agent in stored(database, organization).values()] == [at, None]
    run_import({"id": "agent_1", "status": "active", "updated_at": later}, merge=True)
    assert stored(database, organization)["agent_1"]["archived_at"] is None


def test_updated_at_stays_unless_given(database: Database, organization: Organization, run_import: Import) -> None:
    """It went back to `created_at`, so that an older record was taken for a newer one."""
    stored_at = "2026-02-01T00:00:00.000000Z"
    run_import(session_record(1, agent_id=None, created_at="2026-01-01T00:00:00Z", updated_at=stored_at))
    run_import({"id": "session_1", "title": "changed"})
    run_import(session_record(1, agent_id=None, title="older", updated_at="2026-01-15T00:00:00Z"))
    session = stored(database, organization)["session_1"]
    assert (session["title"], session["updated_at"]) == ("changed", stored_at)


# --- the order of equal timestamps --------------------------------------------------------------------------------


@pytest.mark.parametrize("indent", [None, 1])
def test_the_last_record_of_a_page_or_array_is_stored_first(
    client: FlaskClient, run_import: Import, indent: int | None
) -> None:
    page = {"data": [session_record("d"), session_record("c")], "total": 4}
    array = [session_record("b"), session_record("a"), agent_record()]
    run_import(json.dumps(array, indent=indent))
    run_import(json.dumps(page, indent=indent))
    assert ids(client.get("/v1/sessions")) == ["session_d", "session_c", "session_b", "session_a"]


def test_agents_of_a_page_are_stored_in_its_order(client: FlaskClient, run_import: Import) -> None:
    agents = [{"id": f"agent_{number}", "name": "same"} for number in (1, 2, 3)]
    run_import(json.dumps({"data": agents, "total": 3}))
    assert ids(client.get("/v1/agents")) == ["agent_1", "agent_2", "agent_3"]


def test_lines_are_stored_in_their_order(client: FlaskClient, run_import: Import) -> None:
    run_import(agent_record(), session_record("a"), session_record("b"), session_record("c"))
    assert ids(client.get("/v1/sessions")) == ["session_c", "session_b", "session_a"]


def test_a_record_that_is_imported_again_keeps_its_position(client: FlaskClient, run_import: Import) -> None:
    run_import(agent_record(), session_record("a"), session_record("b"))
    run_import(session_record("a", title="changed"))
    assert ids(client.get("/v1/sessions")) == ["session_b", "session_a"]


def test_importing_a_page_that_is_served_serves_the_same(
    database: Database, organization: Organization, client: FlaskClient, run_command: CommandRunner
) -> None:
    times = [f"2026-02-0{random.Random(n).randint(1, 3)}T00:00:00Z" for n in range(30)]
    import_records(
        database, organization, agent_record(), *(session_record(n, created_at=t) for n, t in enumerate(times))
    )
    page = client.get("/v1/sessions?limit=100").get_json()
    copy, _ = create_organization(database)
    import_records(database, copy, agent_record())
    run_command("import", copy.public_id, "-", stdin=json.dumps(page))
    copied = run_command("export", copy.public_id).stdout.splitlines()
    served = [session["id"] for session in page["data"]]
    newest_first = sorted(
        enumerate(json.loads(line) for line in copied if '"session_' in line),
        key=lambda pair: (pair[1]["created_at"], pair[0]),
        reverse=True,
    )
    assert [session["id"] for _, session in newest_first] == served


# --- references ---------------------------------------------------------------------------------------------------


def test_a_reference_may_come_before_its_agent_and_harness(
    database: Database, organization: Organization, run_import: Import
) -> None:
    result = run_import(
        session_record(1, harness_id="harness_01-A"),
        agent_record("agent_2", harness_id="harness_01a"),
        session_record(2, agent_id="agent_2"),
        agent_record(),
        agent_record("agent_3"),
        harness_record("harness_01A"),
        session_record(3, agent_id="agent_3", harness_id="harness_01A"),
    )
    assert result.stderr == (
        "harnesses: 1 new, 0 changed, 0 unchanged\n"
        "agents: 3 new, 0 changed, 0 unchanged\n"
        "sessions: 3 new, 0 changed, 0 unchanged\n"
    )
    records = stored(database, organization)
    assert [(records[f"session_{n}"]["agent_id"], records[f"session_{n}"]["harness_id"]) for n in (1, 2, 3)] == [
        (AGENT_ID, "harness_01A"),
        ("agent_2", BASE_HARNESS),
        ("agent_3", "harness_01A"),
    ]
    assert records["agent_2"]["harness_id"] == "harness_01A"


def test_an_agent_or_harness_that_is_found_nowhere_is_an_error(run_import: Import) -> None:
    records = [
        session_record(1),
        session_record(2),
        agent_record("agent_2", harness_id="harness_none"),
        session_record(3, agent_id="agent_2", harness_id="harness_NONE"),
    ]
    rule = "must exist in the organization or be part of the import"
    assert run_import(*records, exit_code=1).stderr == REFUSED + (
        f"<stdin>:1: agent_id {rule}; got '{AGENT_ID}'\n<stdin>:3: harness_id {rule}; got 'harness_none'\n"
    )


def test_an_agent_of_another_organization_is_found_nowhere(
    database: Database, organization: Organization, run_import: Import
) -> None:
    other, _ = create_organization(database)
    import_records(database, other, agent_record(), harness_record("harness_1"))
    assert "<stdin>:1: agent_id must exist in the organization" in run_import(session_record(), exit_code=1).stderr
    run_import(agent_record(name="ours"), session_record())
    assert stored(database, other)[AGENT_ID]["name"] == "helper"


def test_an_invalid_agent_is_not_reported_as_missing_too(run_import: Import) -> None:
    invalid = agent_record(name=5)
    for records in ([invalid, session_record()], [session_record(), invalid]):
        result = run_import(*records, exit_code=1)
        assert "name must be a string; got a number" in result.stderr
        assert "agent_id" not in result.stderr


@pytest.mark.parametrize("harness_id", [BASE_HARNESS, "harness_01933B5A-0000-7000-8000-000000000601", None])
def test_the_base_harness_need_not_be_imported(
    database: Database, organization: Organization, run_import: Import, harness_id: str | None
) -> None:
    run_import(agent_record(harness_id=harness_id), session_record(harness_id=harness_id))
    assert {record["harness_id"] for record in stored(database, organization).values()} == {BASE_HARNESS}
    result = run_import({"id": BASE_HARNESS, "name": "Base", "capabilities": []})
    assert result.stderr.startswith("harnesses: 0 new, 0 changed, 1 unchanged\n")
    assert execute(database.path, "SELECT COUNT(*) FROM harnesses") == [(0,)]


# --- other releases of Everruns -----------------------------------------------------------------------------------


def test_statuses_of_newer_releases_become_active(
    database: Database, organization: Organization, run_import: Import
) -> None:
    statuses = ["waiting_for_tool_results", "waitingfortoolresults", "paused", "paused", "idle"]
    result = run_import(agent_record(), *(session_record(n, status=status) for n, status in enumerate(statuses)))
    assert result.stderr.splitlines()[2:] == [
        "note: status waiting_for_tool_results was read as active in 1 sessions",
        "note: status waitingfortoolresults was read as active in 1 sessions",
        "note: status paused was read as active in 2 sessions",
    ]
    assert [stored(database, organization)[f"session_{n}"]["status"] for n in range(5)] == ["active"] * 4 + ["idle"]
    assert "status must be active or archived" in run_import(agent_record(status="paused"), exit_code=1).stderr


def test_unknown_keys_are_named_with_a_hint(run_import: Import) -> None:
    result = run_import(
        agent_record(model="m", Capabilities=["skills"]),
        session_record(1, createdAt="2026-01-01T00:00:00Z", usage={"input_tokens": 5}),
        session_record(2, usage={"input_tokens": 5}, titel="x", **{"\x1b[2J": 1}),
    )
    assert result.stderr.splitlines()[2:] == [  # the most frequent first, then in the order of the input
        "note: 'usage' of 2 session records was not kept",
        "note: 'model' of 1 agent records was not kept",
        "note: 'Capabilities' of 1 agent records was not kept; did you mean capabilities?",
        "note: 'createdAt' of 1 session records was not kept; did you mean created_at?",
        "note: 'titel' of 1 session records was not kept; did you mean title?",
        "note: '\\u001b[2J' of 1 session records was not kept",
    ]


def test_unknown_keys_of_a_capability_are_named_once_per_record(run_import: Import) -> None:
    references = [{"ref": "a", "more": 1, "confg": {}}, {"ref": "b", "more": 2, "confg": {"x": 1}, "ref ": None}, "c"]
    records = (session_record(n, agent_id=None, capabilities=references) for n in (1, 2))
    result = run_import(harness_record("harness_1", capabilities=references[:1]), *records)
    assert result.stderr.splitlines()[3:] == [
        "note: 'capabilities[].more' of 2 session records was not kept",
        "note: 'capabilities[].confg' of 2 session records was not kept; did you mean config?",
        "note: 'capabilities[].more' of 1 harness records was not kept",
    ]


def test_empty_and_computed_keys_are_not_named(run_import: Import) -> None:
    computed: dict[str, Any] = {
        "organization_id": "org_1",
        "features": ["a"],
        "is_built_in": True,
        "session_counts": {"total": 1},
    }
    empty: dict[str, Any] = {"a": None, "b": False, "c": [], "d": {}}
    result = run_import(*({**record, **computed, **empty} for record in (agent_record(), session_record())))
    assert "note: " not in result.stderr


def test_at_most_twenty_unknown_keys_are_named(run_import: Import) -> None:
    result = run_import({"id": AGENT_ID, **{f"unknown{n}": 1 for n in range(50)}})
    assert result.stderr.count("was not kept") == 20


# --- inputs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["", "\n\n", "[]", '{"data": [], "total": 0}'])
def test_an_input_without_any_record_is_noted(run_import: Import, content: str) -> None:
    assert run_import(content).stderr == (
        "agents: 0 new, 0 changed, 0 unchanged\n"
        "sessions: 0 new, 0 changed, 0 unchanged\n"
        "note: there was no record in the input\n"
    )


def test_files_of_any_kind_are_imported_together(
    database: Database, organization: Organization, run_command: CommandRunner
) -> None:
    contents = {
        "page.json": json.dumps({"data": [session_record(1)], "total": 1}, indent=2).encode(),
        "array.json": json.dumps([session_record(2)]).encode(),
        "object.json": json.dumps(session_record(3), indent=2).encode(),
        "lines.ndjson": f"{json.dumps(session_record(4))}\n{json.dumps(session_record(5))}\n".encode(),
        "packed.json.gz": gzip.compress(json.dumps({"data": [session_record(6)]}).encode()),
        "mark.json": b"\xef\xbb\xbf" + json.dumps([session_record(7)]).encode(),
        "ü\x1b#?.json": json.dumps(session_record(8)).encode(),
    }
    files = [database.path.with_name(name) for name in contents]
    for file, content in zip(files, contents.values(), strict=True):
        file.write_bytes(content)
    paths = [str(file) for file in files]
    result = run_command(
        "import", organization.public_id, *paths[:3], "-", *paths[3:], stdin=json.dumps(agent_record())
    )
    assert result.stderr == "agents: 1 new, 0 changed, 0 unchanged\nsessions: 8 new, 0 changed, 0 unchanged\n"
    assert list(stored(database, organization)) == [AGENT_ID, *(f"session_{n}" for n in range(1, 9))]


def test_utf16_is_refused_by_name(run_import: Import) -> None:
    result = run_import(json.dumps(agent_record()).encode("utf-16"), exit_code=1)
    assert result.stderr == REFUSED + "<stdin> must be UTF-8; got UTF-16\n"


# --- errors -------------------------------------------------------------------------------------------------------

OF_SESSIONS: list[tuple[dict[str, Any], str]] = [
    ({"id": "session_a b"}, "id must be session_ and 1 to 64 of 0-9 A-Z a-z -; got 'session_a b'"),
    ({"harness_id": 5}, "harness_id must be harness_ and 1 to 64 of 0-9 A-Z a-z - or null; got a number"),
    ({"agent_id": "01234567"}, "agent_id must be agent_ and 1 to 64 of 0-9 A-Z a-z - or null; got '01234567'"),
    ({"agent_id": ""}, "agent_id must be agent_ and 1 to 64 of 0-9 A-Z a-z - or null; got ''"),
    ({"title": 5}, "title must be a string or null; got a number"),
    ({"tags": "x"}, "tags must be an array; got a string"),
    ({"tags": ["x", 1]}, "tags[1] must be a string; got a number"),
    ({"tags": [None]}, "tags[0] must be a string; got null"),
    ({"model_id": []}, "model_id must be a string or null; got an array"),
    ({"capabilities": {}}, "capabilities must be an array; got an object"),
    ({"capabilities": [1]}, "capabilities[0] must be a capability id or an object with ref; got a number"),
    ({"capabilities": ["a", {}]}, "capabilities[1].ref is missing"),
    ({"capabilities": [{"ref": ""}]}, "capabilities[0].ref must be a capability id; got ''"),
    ({"capabilities": [""]}, "capabilities[0].ref must be a capability id; got ''"),
    ({"capabilities": [{"ref": "a", "config": []}]}, "capabilities[0].config must be an object; got an array"),
    ({"status": "Idle"}, "status must be started, active or idle; got 'Idle'"),
    ({"created_at": "2026-02-27T13:13:53"}, "created_at must have a zone: Z for UTC or an offset, such as"),
    ({"created_at": "yesterday"}, "created_at must be an ISO 8601 time with a zone, such as"),
    ({"created_at": 1772198033}, "created_at must be a string or null; got a number"),
    ({"created_at": "2026-02-30T00:00:00Z"}, "created_at must be a valid time (years 1 to 9999, UTC); got"),
    ({"created_at": "2026-12-31T23:59:60Z"}, "created_at must be a valid time (years 1 to 9999, UTC); got"),
    ({"created_at": "0001-01-01T00:00:00+01:00"}, "created_at must be a valid time (years 1 to 9999, UTC); got"),
    ({"updated_at": "x"}, "updated_at must be an ISO 8601 time with a zone, such as"),
]
OF_OTHER_RECORDS: list[tuple[Any, str]] = [
    ({}, "id is missing"),
    ({"id": 5}, "id must be a string; got a number"),
    ({"id": "model_1"}, "id must start with session_, agent_ or harness_; got 'model_1'"),
    ({"id": "agent_"}, "id must be agent_ and 1 to 64 of 0-9 A-Z a-z -; got 'agent_'"),
    ({"id": "agent_1", "name": 5}, "name must be a string; got a number"),
    ({"id": "agent_1", "name": "x" * 201}, "name must have at most 200 characters; got 201"),
    ({"id": "agent_1", "status": "idle"}, "status must be active or archived; got 'idle'"),
    ({"id": "harness_1", "system_prompt": 5}, "system_prompt must be a string or null; got a number"),
    ({"id": BASE_HARNESS, "capabilities": ["a"]}, "capabilities must be empty for the base harness, which is built in"),
]


@pytest.mark.parametrize(
    ("record", "error"), [*((session_record(**keys) | keys, error) for keys, error in OF_SESSIONS), *OF_OTHER_RECORDS]
)
def test_an_error_names_file_line_and_key_and_nothing_is_stored(
    database: Database, organization: Organization, run_command: CommandRunner, record: dict[str, Any], error: str
) -> None:
    file = database.path.with_name("records.ndjson")
    file.write_text(f"{json.dumps(agent_record())}\n{json.dumps(record)}\n")
    result = run_command("import", organization.public_id, str(file), exit_code=1)
    assert result.stderr.startswith(f"{REFUSED}{file}:2: {error}")
    assert len(result.stderr.splitlines()) == 2
    assert result.stdout == ""
    assert stored(database, organization) == {}


def test_an_error_in_a_page_is_named_by_its_index(run_import: Import) -> None:
    page = {"data": [agent_record(), session_record(title=5)]}
    error = "data[1]: title must be a string or null; got a number\n"
    assert run_import(json.dumps(page), exit_code=1).stderr == f"{REFUSED}<stdin>:1: {error}"
    assert run_import(json.dumps(page, indent=1), exit_code=1).stderr == f"{REFUSED}<stdin>: {error}"


def test_the_first_twenty_errors_are_named(run_import: Import) -> None:
    result = run_import(agent_record(), *(session_record(n, title=n) for n in range(50)), exit_code=1)
    lines = result.stderr.splitlines()[1:]
    assert [line.split(": ")[0] for line in lines] == [f"<stdin>:{number}" for number in range(2, 22)]
    one_record = run_import(session_record(tags=list(range(50))), exit_code=1)
    assert one_record.stderr.count("must be a string") == 20


def test_all_errors_of_a_record_are_named(run_import: Import) -> None:
    result = run_import(session_record(title=5, status="gone", tags=[1]), exit_code=1)
    assert [line.split()[1] for line in result.stderr.splitlines()[1:]] == ["tags[0]", "title", "status"]


def nested(levels: int) -> Any:
    return {"a": nested(levels - 1)} if levels else 1


def test_a_config_has_at_most_100_levels(run_import: Import) -> None:
    run_import(session_record(agent_id=None, capabilities=[{"ref": "a", "config": nested(99)}]))
    for config in (nested(101), {"a": [nested(99)]}):
        result = run_import(session_record(agent_id=None, capabilities=[{"ref": "a", "config": config}]), exit_code=1)
        assert "capabilities[0].config must have at most 100 levels" in result.stderr


@pytest.mark.parametrize(
    "record",
    [
        session_record("x\x1b]0;owned\x07\nfile:1: all is well"),
        session_record(status="\x1b[2J" + "x" * 2_000_000),
        session_record(agent_id="\x9b2J\u202e\r\n"),
        session_record(created_at="\x1b[2J"),
        {"id": "\x1b[2J\n"},
        '{"id": "session_1", "\\u001b[2J": 1, "\\u001b[2J": 1}',
        f'{{"id": "session_1", "{"x" * 5000}": 1, "{"x" * 5000}": 1}}',
    ],
)
def test_what_a_message_shows_of_the_input_is_escaped_and_shortened(run_import: Import, record: Any) -> None:
    message = run_import(record, exit_code=1).stderr.removeprefix(REFUSED).removesuffix("\n")
    assert message.startswith("<stdin>:1")
    assert message.isprintable()
    assert len(message) < 200
