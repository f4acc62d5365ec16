"""everruns import and export: what is taken, what is refused and with which words, what is kept."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from everruns import reader
from everruns.values import BASE_HARNESS
from tests.conftest import AGENT, World, agent, session

EVERRUNS = [sys.executable, "-c", "from everruns.cli import main; main()"]
EVERRUNS_WITH_PEAK_MEMORY = [
    sys.executable,
    "-c",
    "from everruns.cli import main\n"
    "try: main()\n"
    "finally: print(next(int(line.split()[1]) // 1024 for line in open('/proc/self/status') if 'VmHWM' in line))",
]
SAMPLE = Path(__file__).with_name("sample-export.ndjson")


@pytest.fixture
def org(world: World) -> str:
    return world.organization()[0]


def stored(world: World) -> list[Any]:
    return world.sql("SELECT public_id, title FROM sessions ORDER BY id")


def write(world: World, content: bytes | str, name: str = "data.json") -> str:
    file = world.folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(file)


def test_the_sample_imports_lists_filters_and_exports(world: World) -> None:
    org, key = world.organization()
    ran = world.everruns("import", "--org", org, str(SAMPLE))
    assert ran.stderr == ("agents: 3 new, 0 changed, 0 unchanged; sessions: 40 new, 0 changed, 0 unchanged\n")
    assert ran.stdout == ""
    ran = world.everruns("import", "--org", org, str(SAMPLE))
    assert ran.stderr == "agents: 0 new, 0 changed, 3 unchanged; sessions: 0 new, 0 changed, 40 unchanged\n"
    raw = [json.loads(line) for line in SAMPLE.read_text().splitlines()]
    newest = sorted((r for r in raw if r["id"].startswith("session_")), key=lambda r: r["created_at"], reverse=True)
    answer = world.json(key, "/v1/sessions?limit=100")
    assert [item["id"] for item in answer["data"]] == [item["id"] for item in newest]
    assert answer["total"] == 40
    for item, source in zip(answer["data"], newest, strict=True):
        assert (item["title"], item["tags"]) == (source.get("title"), source.get("tags", []))
        assert (item["status"], item["agent_id"]) == (source["status"], source["agent_id"])
    of_agent = [r["id"] for r in newest if r["agent_id"] == "agent_01234567-89ab-cdef-0123-456789abcdef"]
    answer = world.json(key, "/v1/sessions?limit=100&agent_id=agent_0123456789ABCDEF0123456789abcdef")
    assert [item["id"] for item in answer["data"]] == of_agent


@pytest.mark.parametrize("target", ["same database", "other organization"])
def test_export_import_export_is_the_identity(world: World, org: str, target: str) -> None:
    world.everruns("import", "--org", org, str(SAMPLE))
    of_harness = {"agent_id": "agent_019c60b1e40c7000b1f7c2a86de0394f", "harness_id": "harness_h"}
    world.load(org, session("twin-b", title="", **of_harness), agent("agent_x", name=None), {"id": "harness_h"})
    exported = world.everruns("export", "--org", org).stdout
    kinds = [json.loads(line)["id"].split("_")[0] for line in exported.splitlines()]
    assert kinds == ["harness"] + ["agent"] * 4 + ["session"] * 41
    copy = org if target == "same database" else world.organization()[0]
    ran = world.everruns("import", "--org", copy, "-", stdin=exported)
    assert ("4 unchanged" if copy == org else "4 new") in ran.stderr
    assert world.everruns("export", "--org", copy).stdout == exported


SHAPES: dict[str, Callable[[Any], str]] = {
    "a page": lambda records: json.dumps({"data": records, "total": 9, "offset": 0, "limit": 20}),
    "a pretty page": lambda records: json.dumps({"data": records}, indent=2),
    "an array": json.dumps,
    "a pretty array": lambda records: json.dumps(records, indent=1),
    "ndjson": lambda records: "\n".join(map(json.dumps, records)),
    "ndjson with blank lines and CRLF": lambda records: "\r\n\r\n".join(map(json.dumps, records)) + "\r\n",
    "pages, one a line": lambda records: "\n".join(json.dumps({"data": [record]}) for record in records),
    "with a byte order mark": lambda records: "\ufeff" + json.dumps(records),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_that_the_api_serves_is_taken(world: World, org: str, shape: str) -> None:
    file = write(world, SHAPES[shape]([agent(), session(1), session(2)]))
    assert "1 new" in world.everruns("import", "--org", org, file).stderr
    assert stored(world) == [("session_1", None), ("session_2", None)]


def test_a_single_object_and_any_mix_of_files(world: World, org: str) -> None:
    one = write(world, json.dumps(session(1), indent=4), "one.json")
    more = write(world, json.dumps([session(2)]), "more.json")
    ran = world.everruns("import", "--org", org, one, "-", more, stdin=json.dumps(agent()))
    assert "agents: 1 new, 0 changed, 0 unchanged; sessions: 2 new" in ran.stderr


def test_all_are_counted_in_any_number_of_batches(world: World, org: str) -> None:
    harnesses = ({"id": f"harness_{n}"} for n in range(3))
    ran = world.load(org, *harnesses, agent(), *(session(n) for n in range(1100)), session(7, title="other"))
    assert "harnesses: 3 new, 0 changed, 0 unchanged; agents: 1 new" in ran.stderr
    assert "sessions: 1100 new, 1 changed, 0 unchanged" in ran.stderr


def test_a_session_keeps_its_time_of_creation_when_none_is_given(world: World) -> None:
    org, key = world.organization()
    times = {"created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-02T00:00:00Z"}
    world.load(org, agent(), {"id": "session_1", "agent_id": AGENT, **times})
    world.load(org, {"id": "session_1", "agent_id": AGENT})
    (found,) = world.json(key)["data"]
    assert found["created_at"] == found["updated_at"] == "2026-01-01T00:00:00.000000Z"


def test_an_empty_file_has_nothing_to_import(world: World, org: str) -> None:
    for content in ("", "\n\n", "[]", '{"data": []}'):
        ran = world.everruns("import", "--org", org, write(world, content))
        assert "sessions: 0 new, 0 changed, 0 unchanged" in ran.stderr


def test_importing_an_id_again_updates_it_whatever_its_dashes_and_case(world: World) -> None:
    org, key = world.organization()
    world.load(org, agent(name="old"), session("a-B", title="old", tags=["x"], capabilities=["openui"]))
    ran = world.load(org, agent(name="new"), session("Ab", title="new"), session("Ab", title="new"))
    assert "agents: 0 new, 1 changed, 0 unchanged; sessions: 0 new, 1 changed, 1 unchanged" in ran.stderr
    (found,) = world.json(key)["data"]
    assert (found["id"], found["title"], found["tags"], found["capabilities"]) == ("session_Ab", "new", [], [])


def test_defaults_and_that_they_keep_an_import_idempotent(world: World) -> None:
    org, key = world.organization()
    bare = {"id": "session_1", "agent_id": AGENT}
    world.load(org, {"id": AGENT}, bare)
    (found,) = world.json(key)["data"]
    assert found["status"] == "started"
    assert found["created_at"] == found["updated_at"]
    age = time.time() - time.mktime(time.strptime(found["created_at"][:19], "%Y-%m-%dT%H:%M:%S")) + time.timezone
    assert -2 < age < 60
    assert "sessions: 0 new, 0 changed, 1 unchanged" in world.load(org, bare).stderr
    assert world.json(key)["data"] == [found]


def test_null_is_as_absent(world: World) -> None:
    org, key = world.organization()
    nulls = dict.fromkeys(("title", "tags", "model_id", "capabilities", "updated_at"))
    world.load(
        org, agent(capabilities=None), session(1, **nulls), session(2, capabilities=[{"ref": "x", "config": None}])
    )
    data = world.json(key)["data"]
    assert data[1]["tags"] == data[1]["capabilities"] == []
    assert data[0]["capabilities"] == [{"ref": "x"}]


@pytest.mark.parametrize(
    ("given", "stored_as"),
    [
        ("2026-02-01T00:00:00+02:00", "2026-01-31T22:00:00.000000Z"),
        ("2026-02-01T00:00:00.5-0930", "2026-02-01T09:30:00.500000Z"),
        ("2026-02-01T00:00:00.123456789Z", "2026-02-01T00:00:00.123456Z"),
        ("2026-02-01t00:00:00z", "2026-02-01T00:00:00.000000Z"),
        ("2026-02-01T00:00Z", "2026-02-01T00:00:00.000000Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_times_of_any_zone_and_precision_are_stored_as_utc(world: World, given: str, stored_as: str) -> None:
    org, key = world.organization()
    world.load(org, agent(), session(1, created_at=given))
    assert world.json(key)["data"][0]["created_at"] == stored_as


LINE = "nothing was imported; mend this and import again:\n{}:1: "
BAD: list[tuple[Any, str]] = [
    ('{"id": "session_1", ', "is not valid JSON: Expecting property name enclosed in double quotes"),
    ('{"id": "sess', "is not valid JSON: Unterminated string starting at (line 1, column 8)"),
    ('{"id": "session_1"} x', "is not valid JSON: Extra data (line 1, column 21)"),
    ("nonsense", "is not valid JSON: Expecting value (line 1, column 1)"),
    ("1", "must be an object, an agent or a session, not a number"),
    ('"x"', "must be an object, an agent or a session, not a string"),
    ("null", "must be an object, an agent or a session, not null"),
    ("[true]", "[0]: must be an object, an agent or a session, not a boolean"),
    ('{"id": "agent_1", "id": "agent_2"}', "'id' comes twice in the same object; give it once"),
    ('{"id": "agent_1", "usage": {"b": 0, "a": 1, "a": 2}}', "'a' comes twice in the same object; give it once"),
    ('{"id": "agent_1", "x": NaN}', "is not valid JSON: NaN is no JSON number"),
    ('{"id": "agent_1", "x": 1e999}', "holds a number that is out of range: 1e999"),
    ('{"id": "agent_1", "name": "\\ud800"}', "holds half of a surrogate pair"),
    ("[" * 100_000, "is nested too deeply"),
    ("{}", "id: is missing"),
    ('{"id": 5}', "id: must be a string, not a number"),
    (
        '{"id": "model_1"}',
        "id: must begin with harness_, agent_ or session_, which tells what the object is, not 'model_1'",
    ),
    ({"id": "agent_"}, "id: must be agent_ and then 1 to 64 of 0-9 A-Z a-z -, not 'agent_'"),
    ({"id": "agent_1", "name": 5}, "name: must be a string or null, not a number"),
    ({"id": "harness_"}, "id: must be harness_ and then 1 to 64 of 0-9 A-Z a-z -, not 'harness_'"),
    ({"id": "harness_1", "name": 5}, "name: must be a string or null, not a number"),
    (
        {"id": BASE_HARNESS, "capabilities": ["a"]},
        "capabilities: must be empty: the base harness is built in and has none",
    ),
    ({"id": BASE_HARNESS, "name": 5}, "name: must be a string or null, not a number"),
    (session(1, harness_id=5), "harness_id: must be a string or null, not a number"),
    (session(1, harness_id="generic"), "harness_id: must be harness_ and then 1 to 64 of 0-9 A-Z a-z -, not 'generic'"),
    (session("a b"), "id: must be session_ and then 1 to 64 of 0-9 A-Z a-z -, not 'session_a b'"),
    ({"id": "session_1"}, "agent_id: is missing"),
    (session(1, agent_id=None), "agent_id: must be a string, not null"),
    (session(1, agent_id="01234567"), "agent_id: must be agent_ and then 1 to 64 of 0-9 A-Z a-z -, not '01234567'"),
    (session(1, title=5), "title: must be a string or null, not a number"),
    (session(1, tags="x"), "tags: must be an array, not a string"),
    (session(1, tags=["x", 1]), "tags[1]: must be a string, not a number"),
    (session(1, tags=[None]), "tags[0]: must be a string, not null"),
    (session(1, model_id=[]), "model_id: must be a string or null, not an array"),
    (session(1, capabilities={}), "capabilities: must be an array, not an object"),
    (session(1, capabilities=[1]), "capabilities[0]: must be a capability id or an object with ref, not a number"),
    (session(1, capabilities=["a", {}]), "capabilities[1].ref: is missing"),
    (session(1, capabilities=[{"ref": ""}]), "capabilities[0].ref: must be a capability id"),
    (session(1, capabilities=[{"ref": "a", "config": []}]), "capabilities[0].config: must be an object, not an array"),
    (session(1, status="Idle"), "status: must be started, active or idle, not 'Idle'"),
    (session(1, created_at="2026-02-27T13:13:53"), "created_at: has no zone; add Z for UTC, or an offset"),
    (session(1, created_at="yesterday"), "created_at: must be an ISO 8601 time with a zone"),
    (session(1, created_at=1772198033), "created_at: must be a string or null, not a number"),
    (session(1, created_at="2026-02-30T00:00:00Z"), "created_at: is no time that exists"),
    (session(1, created_at="2026-12-31T23:59:60Z"), "created_at: is no time that exists"),
    (session(1, created_at="0001-01-01T00:00:00+01:00"), "created_at: is no time that exists"),
    (session(1, updated_at="x"), "updated_at: must be an ISO 8601 time with a zone"),
    (session(1), f"agent_id: {AGENT} is neither in this import nor in the organization; import it too"),
]


@pytest.mark.parametrize(
    "line",
    [
        session("x\x1b]0;owned\x07\nfile:1: all is well"),
        session(1, status="\x1b[2J" + "x" * 2_000_000),
        session(1, agent_id="\x9b2J\u202e\r\n"),
        session(1, created_at="\x1b[2J"),
        {"id": "\x1b[2J\n"},
        '{"id": "session_1", "\\u001b[2J": 1, "\\u001b[2J": 1}',
        f'{{"id": "session_1", "{"x" * 5000}": 1, "{"x" * 5000}": 1}}',
    ],
)
def test_what_a_fault_shows_of_the_input_is_escaped_and_cut(world: World, org: str, line: Any) -> None:
    text = line if isinstance(line, str) else json.dumps(line)
    file = write(world, json.dumps(agent()) + "\n" + text)
    ran = world.everruns("import", "--org", org, file, status=1)
    told = ran.stderr.removesuffix("\n").removeprefix("Error: nothing was imported; mend this and import again:\n")
    assert told.startswith(f"{file}:2: ")
    assert told.isprintable()
    assert len(told) < len(file) + 200


def test_a_file_may_have_any_name(world: World, org: str) -> None:
    file = os.fsencode(world.folder) + b"/\xff\x1b[2J\n.ndjson"
    for records, status in (([session(1), agent()], 0), ([session(2, title=5)], 1)):
        Path(os.fsdecode(file)).write_text("".join(json.dumps(record) + "\n" for record in records))
        command = [*map(str.encode, EVERRUNS), b"import", b"--org", org.encode(), file]
        ran = subprocess.run(command, capture_output=True, check=False)
        assert ran.returncode == status
        assert ran.stderr.decode().splitlines()[-1].isprintable()
    assert b"/\\udcff\\u001b[2J\\u000a.ndjson:1: title: must be" in ran.stderr
    assert stored(world) == [("session_1", None)]


def nested(levels: int) -> Any:
    return {"a": nested(levels - 1)} if levels else 1


@pytest.mark.parametrize(("record", "message"), BAD)
def test_a_fault_names_file_line_and_key_and_nothing_is_stored(
    world: World, org: str, record: Any, message: str
) -> None:
    text = record if isinstance(record, str) else json.dumps(record)
    file = write(world, f'{{"id": "agent_good"}}\n{text}\n')
    ran = world.everruns("import", "--org", org, file, status=1)
    place = f"{file}:2" + ("" if message.startswith("[0]") else ": ")
    line = message.replace("(line 1,", "(line 2,")
    assert f"nothing was imported; mend this and import again:\n{place}{line}" in ran.stderr
    assert ran.stdout == ""
    assert world.sql("SELECT COUNT(*) FROM agents") == [(0,)]


def test_a_config_may_be_nested_but_not_without_end(world: World, org: str) -> None:
    world.load(org, agent(capabilities=[{"ref": "a", "config": nested(99)}]))
    ran = world.load(org, agent(capabilities=[{"ref": "a", "config": nested(101)}]), status=1)
    assert "capabilities[0].config: must not be nested deeper than 100 levels" in ran.stderr
    ran = world.load(org, agent(capabilities=[{"ref": "a", "config": {"a": [nested(99)]}}]), status=1)
    assert "capabilities[0].config: must not be nested deeper than 100 levels" in ran.stderr


def test_bytes_that_are_no_utf8_are_refused(world: World, org: str) -> None:
    file = write(world, b'{"id": "agent_1"}\n{"id": "agent_2", "name": "\xff"}\n')
    ran = world.everruns("import", "--org", org, file, status=1)
    assert f"{file}:2: is not valid UTF-8 (byte 28)" in ran.stderr


def test_a_fault_in_an_array_is_told_by_its_index(world: World, org: str) -> None:
    pretty = write(world, json.dumps({"data": [agent(), session(1, title=5)]}, indent=1))
    ran = world.everruns("import", "--org", org, pretty, status=1)
    assert f"{pretty}: data[1]: title: must be a string or null, not a number" in ran.stderr


def test_twenty_faults_are_told_at_once(world: World, org: str) -> None:
    ran = world.load(org, agent(), *(session(n, title=n) for n in range(50)), status=1)
    assert ran.stderr.count("title: must be") == 20
    assert "-:21: " in ran.stderr


def test_a_fault_of_an_agent_is_not_told_again_as_a_missing_agent(world: World, org: str) -> None:
    harness, of_harness = {"id": "harness_1", "name": 5}, session(1, harness_id="harness_1")
    for records in ([agent(name=5), session(1)], [session(1), agent(name=5)], [agent(), of_harness, harness]):
        ran = world.load(org, *records, status=1)
        assert "name: must be a string or null" in ran.stderr
        assert "_id" not in ran.stderr


def test_a_harness_is_imported_like_an_agent_in_any_order(world: World) -> None:
    org, key = world.organization()
    harness = {"id": "harness_01-A", "name": "generic", "capabilities": ["skills"]}
    ran = world.load(org, session(1, harness_id="harness_01a"), session(2), agent(), harness)
    assert ran.stderr.startswith("harnesses: 1 new, 0 changed, 0 unchanged; agents: 1 new")
    data = world.json(key)["data"]
    assert [item["harness_id"] for item in data] == [BASE_HARNESS, "harness_01-A"]
    assert [item["features"] for item in data] == [[], ["file_system"]]
    ran = world.load(org, {**harness, "capabilities": ["openui"]}, session(1, harness_id="harness_01A"))
    assert ran.stderr.startswith("harnesses: 0 new, 1 changed, 0 unchanged; agents: 0 new, 0 changed, 0 unchanged; ")
    assert ran.stderr.endswith("sessions: 0 new, 0 changed, 1 unchanged\n")
    assert world.json(key)["data"][1]["features"] == ["openui"]
    world.load(org, session(1))
    assert world.json(key)["data"][1]["harness_id"] == BASE_HARNESS


@pytest.mark.parametrize("named", [BASE_HARNESS, "harness_01933B5A-0000-7000-8000-000000000601", None])
def test_the_base_harness_is_there_without_being_imported(world: World, org: str, named: str | None) -> None:
    assert "1 new" in world.load(org, agent(), session(1, harness_id=named)).stderr
    assert "sessions: 0 new, 0 changed, 1 unchanged" in world.load(org, session(1)).stderr
    ran = world.load(org, {"id": BASE_HARNESS, "name": "Base", "capabilities": []})
    assert ran.stderr.startswith("harnesses: 0 new, 0 changed, 1 unchanged; ")


def test_a_harness_that_is_found_nowhere_is_a_fault(world: World, org: str) -> None:
    other, _ = world.organization()
    world.load(other, {"id": "harness_1"})
    ran = world.load(org, agent(), session(1, harness_id="harness_1"), status=1)
    fault = "-:2: harness_id: harness_1 is neither in this import nor in the organization; import it too"
    assert fault in ran.stderr


def test_an_agent_of_another_organization_is_as_unknown_as_any(world: World, org: str) -> None:
    other, _ = world.organization()
    world.load(other, agent())
    assert "is neither in this import nor in the organization" in world.load(org, session(1), status=1).stderr


def test_a_line_of_50_mb_is_refused_in_constant_memory(world: World, org: str) -> None:
    good, huge = json.dumps(agent()), json.dumps(session(1, title="x" * 50_000_000))
    file = write(world, f"{good}\n{huge}\n{json.dumps(session(2, title=5))}\n")
    command = [*EVERRUNS_WITH_PEAK_MEMORY, "import", "--org", org, file]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert f"{file}:2: this line is longer than 16 MiB" in ran.stderr
    assert f"{file}:3: title: must be a string or null" in ran.stderr
    assert int(ran.stdout) < 130


def test_one_json_value_over_many_lines_has_the_same_limit(
    world: World, org: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "MAX_VALUE_BYTES", 1024 * 1024)
    file = write(world, json.dumps([agent(name="x" * 1_100_000)], indent=1))
    file2 = write(world, json.dumps([agent(name="x" * 900_000), agent(name="x" * 900_000)], indent=1))
    assert "longer than 1 MiB" in world.everruns("import", "--org", org, file, status=1).stderr
    assert "longer than 1 MiB; give one object a line" in world.everruns("import", "--org", org, file2, status=1).stderr


def test_what_cannot_be_read_is_told_by_name(world: World, org: str) -> None:
    ran = world.everruns("import", "--org", org, str(world.folder), str(world.folder / "none"), status=1)
    assert f"{world.folder}: is a folder; name the files in it" in ran.stderr
    assert "none: cannot be read: No such file or directory" in ran.stderr


def without_override() -> list[str]:
    """What makes even root obey file permissions."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv (util-linux) when run as root")
    return ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]


def test_a_file_without_read_permission_is_told_by_name(world: World, org: str) -> None:
    file = Path(write(world, "{}"))
    file.chmod(0)
    command = [*without_override(), *EVERRUNS, "import", "--org", org, str(file)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, f"{file}: cannot be read: Permission denied" in ran.stderr) == (1, True)


def test_a_full_disk_leaves_the_database_as_it_was(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(small_disk / "everruns.db", monkeypatch)
    world.everruns("init-db")
    org, _ = world.organization()
    world.load(org, agent(), session("before"))
    before = world.everruns("export", "--org", org).stdout
    ran = world.load(org, *(session(n, title="x" * 1000) for n in range(5000)), status=1)
    assert "the disk is full; make room and try again; nothing was changed" in ran.stderr
    assert world.everruns("export", "--org", org).stdout == before
    world.everruns("check")


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_an_import_that_is_stopped_leaves_the_database_as_it_was(world: World, org: str, stop: signal.Signals) -> None:
    world.load(org, agent(), session("before"))
    file = write(world, "".join(json.dumps(session(n, title="x" * 100)) + "\n" for n in range(100_000)))
    handler = signal.signal(signal.SIGINT, signal.SIG_DFL)  # a job in the background is born deaf to it
    try:
        ran = subprocess.Popen([*EVERRUNS, "import", "--org", org, file], stderr=subprocess.PIPE)
    finally:
        signal.signal(signal.SIGINT, handler)
    with ran, closing(sqlite3.connect(world.path, 0)) as other:
        assert ran.stderr is not None
        with suppress(sqlite3.OperationalError):
            while True:  # until it is locked
                other.execute("BEGIN IMMEDIATE")
                other.execute("ROLLBACK")
                time.sleep(0.01)
        time.sleep(0.2)
        ran.send_signal(stop)
        assert ran.wait(20) != 0
        assert b"Traceback" not in ran.stderr.read()
    assert stored(world) == [("session_before", None)]
    world.everruns("check")


def test_ndjson_is_imported_in_constant_memory(world: World, org: str) -> None:
    with subprocess.Popen(
        [*EVERRUNS_WITH_PEAK_MEMORY, "import", "--org", org, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as ran:
        assert ran.stdin is not None
        ran.stdin.write(json.dumps(agent()).encode() + b"\n")
        for n in range(15_000):  # 120 MB
            ran.stdin.write(json.dumps(session(n, title="x" * 8000)).encode() + b"\n")
        output, _ = ran.communicate()
    assert int(output) < 100
    assert world.sql("SELECT COUNT(*) FROM sessions") == [(15_000,)]


@pytest.mark.parametrize(
    "large",
    [{"title": "x" * 8_000_000}, {"capabilities": [{"ref": "a", "config": {"x": "x" * 8_000_000}}]}],
)
def test_large_sessions_are_imported_in_constant_memory(world: World, org: str, large: dict[str, Any]) -> None:
    with (world.folder / "large.json").open("w") as file:
        for record in (agent(), *(session(n, **large) for n in range(20))):
            print(json.dumps(record), file=file)
    command = [*EVERRUNS_WITH_PEAK_MEMORY, "import", "--org", org, file.name]
    assert int(subprocess.run(command, capture_output=True, check=True).stdout) < 200
    assert world.sql("SELECT COUNT(*) FROM sessions") == [(20,)]


def test_an_import_that_waits_for_its_input_locks_nobody_out(world: World, org: str) -> None:
    pipe = world.folder / "pipe"
    os.mkfifo(pipe)
    for name in ("-", str(pipe)):
        stdin = subprocess.PIPE if name == "-" else None
        with subprocess.Popen([*EVERRUNS, "import", "--org", org, name], stdin=stdin, stderr=subprocess.PIPE) as ran:
            with ran.stdin or pipe.open("wb") as writer:
                writer.write(b"\n" * 1024 * 1024)  # more than a pipe holds: it is being read
                writer.write(json.dumps(agent()).encode())
                world.everruns("create-key", org)
            assert ran.wait(20) == 0
            assert ran.stderr
            assert b"0 changed" in ran.stderr.read()
    assert world.sql("SELECT COUNT(*) FROM agents") == [(1,)]


def test_progress_is_shown_on_a_terminal(world: World, org: str) -> None:
    file = write(world, "".join(json.dumps(agent(f"agent_{n}")) + "\n" for n in range(3000)))
    command = f"{sys.executable} -c 'from everruns.cli import main; main()' import --org {org} {file}"
    ran = subprocess.run(["script", "-qec", command, "/dev/null"], capture_output=True, text=True, check=False)
    assert "Importing" in ran.stdout
    assert "100%" in ran.stdout
    assert "agents: 3000 new" in ran.stdout
