"""The other commands: what they print where, their exit status, and that none does harm."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest

import everruns
from everruns import db
from tests.conftest import World, agent, session
from tests.test_import import EVERRUNS, without_override


def test_init_db_creates_the_database_with_the_built_in_catalog_once(world: World) -> None:
    assert world.sql("SELECT COUNT(*) FROM capabilities") == [(91,)]
    org, _ = world.organization()
    before = world.path.read_bytes()
    ran = world.everruns("init-db")
    assert (ran.stdout, "nothing to do" in ran.stderr) == ("", True)
    assert world.path.read_bytes() == before
    assert world.sql("SELECT public_id FROM organizations") == [(org,)]


def test_init_db_makes_the_folder_and_fills_an_empty_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path / "deep" / "er" / "ü #?%.db", monkeypatch)
    assert world.everruns("init-db").stderr == f"{world.path} is created\n"
    world.everruns("check")
    assert world.path.stat().st_mode & 0o077 == 0
    empty = World(tmp_path / "empty.db", monkeypatch)
    empty.path.touch()
    empty.everruns("init-db")
    empty.everruns("check")


def test_many_init_db_at_once_make_one_database(tmp_path: Path) -> None:
    environment = {**os.environ, "EVERRUNS_DATABASE": str(tmp_path / "one.db")}

    def run(_: int) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([*EVERRUNS, "init-db"], env=environment, capture_output=True, check=False)

    with ThreadPoolExecutor(6) as pool:
        ran = list(pool.map(run, range(6)))
    assert [item.returncode for item in ran] == [0] * 6, [item.stderr for item in ran]
    assert sum(b"is created" in item.stderr for item in ran) >= 1
    with closing(sqlite3.connect(tmp_path / "one.db")) as connection:
        assert connection.execute("SELECT COUNT(*) FROM capabilities").fetchone() == (91,)


def redirected(redirection: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command as bash does, with `redirection`; `CLOSED` in it is a pipe whose reader has gone."""
    reads, writes = os.pipe()
    os.close(reads)
    command = ["bash", "-c", f'"$@" {redirection.replace("CLOSED", f"&{writes}")}', "bash", *EVERRUNS, *arguments]
    try:
        return subprocess.run(command, pass_fds=[writes], capture_output=True, text=True, check=False)
    finally:
        os.close(writes)


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-", "2>CLOSED", "<&-"])
def test_an_import_that_is_stored_ends_well_whether_that_can_be_told_or_not(world: World, redirection: str) -> None:
    org, _ = world.organization()
    file = world.folder / "data.json"
    file.write_text(json.dumps(agent()))
    ran = redirected(redirection, "import", "--org", org, str(file))
    assert (ran.returncode, ran.stdout) == (0, "")
    assert world.sql("SELECT COUNT(*) FROM agents") == [(1,)]


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-", ">CLOSED"])
def test_what_is_shown_this_once_is_stored_only_when_it_could_be_shown(world: World, redirection: str) -> None:
    org, _ = world.organization()
    for command in (["create-key", org], ["create-org", "x"], ["demo", "--sessions", "1"]):
        ran = redirected(redirection, *command)
        assert ran.returncode == 1
        said = re.fullmatch(r"Error: standard output: .+; nothing was changed\n", ran.stderr)
        assert ran.stderr == "" if "CLOSED" in redirection else said
    counted = world.sql("SELECT (SELECT COUNT(*) FROM organizations), (SELECT COUNT(*) FROM api_keys)")
    assert counted == [(1, 1)]


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-", ">CLOSED", ">/dev/full 2>&1"])
def test_output_that_cannot_be_written_is_one_clear_line_at_most(world: World, redirection: str) -> None:
    org, _ = world.organization()
    world.load(org, agent())
    for command in (["export", "--org", org], ["list-keys", org], ["--help"], ["check", "--help"]):
        ran = redirected(redirection, *command)
        assert ran.returncode == 1
        assert len(ran.stderr.removeprefix("PREFIX\tNAME\tCREATED\tEXPIRES\tREVOKED\n").splitlines()) <= 1


def test_an_import_from_no_standard_input_is_one_clear_line(world: World) -> None:
    org, _ = world.organization()
    ran = redirected("<&-", "import", "--org", org, "-")
    assert (ran.returncode, "Traceback" in ran.stderr) == (1, False)
    assert "Bad file descriptor" in ran.stderr


def test_names_are_printed_as_utf8_in_any_locale(world: World) -> None:
    org, _ = world.organization()
    world.everruns("create-key", org, "--name", "密钥 €")
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    ran = subprocess.run([*EVERRUNS, "list-keys", org], env=environment, capture_output=True, check=True)
    assert "\t密钥 €\t" in ran.stdout.decode()


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")


def of_version(version: int, path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            f"PRAGMA application_id = {db.APPLICATION_ID}; PRAGMA user_version = {version}; CREATE TABLE t (x)"
        )


UNUSABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a text file": (lambda path: path.write_text("hello, I am a letter\n" * 99), "file is not a database"),
    "a database of another program": (foreign, "is not a database of Everruns Sessions"),
    "a newer schema": (
        partial(of_version, 99),
        f"has schema version 99, not {db.SCHEMA_VERSION}: upgrade Everruns Sessions\n",
    ),
    "an older schema": (
        partial(of_version, 4),
        f"version 4, not {db.SCHEMA_VERSION}: it was made by an older release; export with that one, import here\n",
    ),
    "a folder": (lambda path: path.mkdir(), "is a folder; name a file"),
}


@pytest.mark.parametrize("what", UNUSABLE)
@pytest.mark.parametrize("command", [["init-db"], ["create-org", "x"], ["check"], ["backup", "copy.db"], ["demo"]])
def test_an_unusable_database_is_one_clear_line_and_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, command: list[str]
) -> None:
    make, message = UNUSABLE[what]
    world = World(tmp_path / "some.db", monkeypatch)
    monkeypatch.chdir(tmp_path)
    make(world.path)
    before = world.path.read_bytes() if world.path.is_file() else None
    ran = world.everruns(*command, status=1)
    assert message in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    assert (world.path.read_bytes() if world.path.is_file() else None) == before


def test_a_missing_database_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path / "none.db", monkeypatch)
    for command in (["create-org", "x"], ["list-keys", "org_1"], ["export", "--org", "org_1"], ["check"]):
        assert "does not exist; run 'everruns init-db' first" in world.everruns(*command, status=1).stderr
    assert not world.path.exists()


def test_a_database_that_the_user_may_not_read_or_write(world: World) -> None:
    org, _ = world.organization()
    for path, mode, *command in ((world.folder, 0o500, "list-keys", org), (world.path, 0o400, "create-org", "x")):
        path.chmod(mode)
        ran = subprocess.run([*without_override(), *EVERRUNS, *command], capture_output=True, text=True, check=False)
        assert (ran.returncode, "this user may not write the database, or not its folder" in ran.stderr) == (1, True)
        path.chmod(0o700)


def test_a_full_disk_is_told_as_such_where_not_even_reading_finds_room(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(small_disk / "everruns.db", monkeypatch)
    world.everruns("init-db")
    with suppress(OSError):
        (small_disk / "rest").write_bytes(bytes(2 * 1024 * 1024))
    for command in (["list-keys", "org_1"], ["create-org", "x"], ["check"], ["init-db"]):
        assert "the disk is full; make room and try again" in world.everruns(*command, status=1).stderr


def test_a_locked_database_is_told_after_the_timeout(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERRUNS_DATABASE_TIMEOUT", "0.2")
    with closing(sqlite3.connect(world.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        ran = world.everruns("create-org", "x", status=1)
    assert "locked by another program; wait, or raise EVERRUNS_DATABASE_TIMEOUT; nothing was changed" in ran.stderr


def test_create_org_prints_the_id_alone(world: World) -> None:
    assert re.fullmatch(r"org_[0-9a-f]{32}\n", world.everruns("create-org", "Acme").stdout)
    assert world.everruns("create-org", "Acme", "--id", "org_A-1").stdout == "org_A-1\n"
    assert "already" in world.everruns("create-org", "Other", "--id", "org_a1", status=1).stderr
    refused = world.everruns("create-org", "Acme", "--id", "acme", status=2).stderr
    assert ": must be org_ and then 1 to 64 of 0-9 A-Z a-z -\n" in refused
    assert "must not be empty" in world.everruns("create-org", " ", status=2).stderr


def test_create_key_prints_the_key_alone_and_stores_only_its_hash(world: World) -> None:
    org, key = world.organization()
    assert re.fullmatch(r"evr_[A-Za-z0-9_-]{43}", key)
    for file in world.folder.iterdir():
        assert key.encode() not in file.read_bytes()
    ran = world.everruns("create-key", "org_none", status=1)
    assert "make one with 'everruns create-org NAME'" in ran.stderr
    for days in ("0", "-1", "nan", "1.5", "9999999", "x"):
        world.everruns("create-key", org, "--expires-in-days", days, status=2)


def test_list_keys_and_revoke_key(world: World) -> None:
    org, first = world.organization()
    second = world.everruns("create-key", org, "--name", "a\tb", "--expires-in-days", "2").stdout.strip()
    other, other_key = world.organization()
    rows = [line.split("\t") for line in world.everruns("list-keys", org).stdout.splitlines()]
    assert [(row[0], row[1], row[4]) for row in rows] == [(first[:12], "-", "-"), (second[:12], "a b", "-")]
    assert (rows[0][3], rows[1][3] > rows[1][2]) == ("-", True)
    assert "no key of" in world.everruns("revoke-key", org, other_key[:12], status=1).stderr
    world.everruns("revoke-key", org, first[:12])
    revoked = world.everruns("list-keys", org).stdout
    world.everruns("revoke-key", org, first)
    assert world.everruns("list-keys", org).stdout == revoked
    assert [world.get(key).status_code for key in (first, second, other_key)] == [401, 200, 200]
    assert world.everruns("list-keys", other).stdout.count("\n") == 1


def test_check_tells_each_fault(world: World) -> None:
    org, _ = world.organization()
    world.load(org, agent(), session(1), session(2))
    assert world.everruns("check").stdout == ""
    with closing(sqlite3.connect(world.path)) as connection, connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("UPDATE sessions SET status = 'gone' WHERE public_id = 'session_1'")
        connection.execute("DELETE FROM agents")
    ran = world.everruns("check", status=1)
    assert "CHECK constraint failed in sessions" in ran.stdout
    assert ran.stdout.count("refers to a row of agents that is not there") == 2
    assert "faults found: 3; restore a backup" in ran.stderr


def test_check_tells_what_is_missing_of_the_schema_and_bears_what_others_add(world: World) -> None:
    for statement in ("DROP TRIGGER sessions_insert_count", "DROP INDEX sessions_by_agent", "CREATE TABLE more (x)"):
        world.sql(statement)
    ran = world.everruns("check", status=1)
    missing = {"the trigger sessions_insert_count is missing", "the index sessions_by_agent is missing"}
    assert set(ran.stdout.splitlines()) == missing


def test_backup_is_a_whole_copy_of_the_moment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    org, _ = world.organization()
    world.load(org, agent(), session(1))
    exported = world.everruns("export", "--org", org).stdout
    copy = world.folder / "copy.db"
    world.everruns("backup", str(copy))
    world.load(org, session(2))
    assert "exists; give another name" in world.everruns("backup", str(copy), status=1).stderr
    assert copy.stat().st_mode & 0o077 == 0
    assert not list(world.folder.glob("*.backup-*"))
    monkeypatch.setenv("EVERRUNS_DATABASE", str(copy))
    assert world.everruns("export", "--org", org).stdout == exported
    world.everruns("check")


def test_a_backup_that_cannot_be_written_is_one_clear_line_and_leaves_nothing(world: World) -> None:
    (world.folder / "file").touch()
    there = set(world.folder.iterdir())
    for name, why in (("file/x", "Not a directory"), ("no/x", "No such file"), ("x" * 300, "File name too long")):
        ran = world.everruns("backup", str(world.folder / name), status=1)
        assert why in ran.stderr
        assert len(ran.stderr.splitlines()) == 1
    assert {path for path in world.folder.iterdir() if not path.name.startswith("everruns.db-")} == there
    world.everruns("backup", str(world.folder / ("x" * 255)))


def test_a_backup_onto_a_full_disk_leaves_nothing(world: World, small_disk: Path) -> None:
    org, _ = world.organization()
    world.load(org, agent(), *(session(n, title="x" * 10_000) for n in range(700)))
    ran = world.everruns("backup", str(small_disk / "copy.db"), status=1)
    assert "the disk is full" in ran.stderr
    assert list(small_disk.iterdir()) == []


def test_of_two_backups_at_once_one_is_told_that_the_other_exists(world: World) -> None:
    org, _ = world.organization()
    world.load(org, agent(), *(session(n, title="x" * 20_000) for n in range(2000)))
    command = [*EVERRUNS, "backup", str(world.folder / "copy.db")]

    def run(_: int) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=False).stderr

    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(run, range(4)))
    assert sum("is written" in text for text in told) == 1
    assert sum("exists; give another name" in text for text in told) == 3
    assert not list(world.folder.glob("*.backup-*"))


def test_demo_makes_an_organization_to_try_and_touches_no_other(world: World) -> None:
    ran = world.everruns("demo", "--if-empty")
    key = ran.stdout.strip()
    assert ran.stderr == ""
    assert world.everruns("demo", "--if-empty").stdout == ""
    answer = world.json(key, "/v1/sessions?limit=100")
    assert answer["total"] == 1000
    assert {item["status"] for item in answer["data"]} >= {"active", "idle"}
    assert any(item["features"] for item in answer["data"])
    ran = world.everruns("demo", "--sessions", "3")
    assert f"curl -H 'Authorization: Bearer {ran.stdout.strip()}'" in ran.stderr
    assert world.json(ran.stdout.strip())["total"] == 3
    assert world.json(key)["total"] == 1000


def test_help_shows_every_command(world: World) -> None:
    text = world.everruns("--help").stdout
    commands = "init-db create-org create-key list-keys revoke-key import export load-catalog check backup demo run"
    for command in commands.split():
        assert re.search(rf"^  {command} +[A-Z]", text, re.MULTILINE), command
        assert "Usage: " in world.everruns(command, "--help").stdout
    assert world.everruns("--version").stdout == f"everruns, version {everruns.__version__}\n"


@pytest.mark.parametrize("arguments", [["nonsense"], ["create-org"], ["import", "x"], ["demo", "--sessions", "-1"]])
def test_wrong_usage_is_exit_status_2(world: World, arguments: list[str]) -> None:
    assert "Usage: " in world.everruns(*arguments, status=2).stderr


def test_arguments_that_are_no_utf8_are_one_clear_line(world: World) -> None:
    org, _ = world.organization()
    for command in (
        [b"create-key", org.encode(), b"--name", b"\xff"],
        [b"list-keys", b"\xff"],
        [b"create-org", b"\xff"],
    ):
        ran = subprocess.run([*map(str.encode, EVERRUNS), *command], capture_output=True, check=False)
        assert ran.returncode in (1, 2)
        assert b"must be valid UTF-8" in ran.stderr
        assert b"Traceback" not in ran.stderr


@pytest.mark.parametrize("value", ["soon", "-1", "nan", "1e9", "9" * 400, ""])
def test_a_timeout_that_is_no_number_of_seconds_is_one_clear_line(world: World, value: str) -> None:
    environment = {**os.environ, "EVERRUNS_DATABASE_TIMEOUT": value}
    ran = subprocess.run([*EVERRUNS, "check"], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "EVERRUNS_DATABASE_TIMEOUT must be a number of seconds from 0 to 3600" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("name", ["1e5", "1.50", "true", "007", "null"])
def test_the_database_may_have_any_name(tmp_path: Path, name: str) -> None:
    environment = {**os.environ, "EVERRUNS_DATABASE": name, "EVERRUNS_DATABASE__x": "1"}
    subprocess.run([*EVERRUNS, "init-db"], cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert (tmp_path / name).exists()


def test_a_folder_that_is_no_longer_there_is_one_clear_line(world: World) -> None:
    gone = world.folder / "gone"
    gone.mkdir()
    for path, status in (("everruns.db", 1), (world.path, 0)):
        command = f'cd "{gone}" && {{ rmdir "{gone}"; "$@"; }}; code=$?; mkdir -p "{gone}"; exit $code'
        environment = {**os.environ, "EVERRUNS_DATABASE": str(path)}
        ran = subprocess.run(
            ["sh", "-c", command, "sh", *EVERRUNS, "check"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ran.returncode, len(ran.stderr.splitlines())) == (status, 1), ran.stderr


def test_the_default_database_is_in_the_folder_instance(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EVERRUNS_")}
    subprocess.run([*EVERRUNS, "init-db"], cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert (tmp_path / "instance" / "everruns.db").exists()


def test_a_reader_that_closes_the_pipe_ends_an_export_quietly(world: World) -> None:
    org, _ = world.organization()
    world.load(org, agent(), *(session(n, title="x" * 1000) for n in range(500)))
    command = f"{sys.executable} -c 'from everruns.cli import main; main()' export --org {org} | head -n 1"
    ran = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert ran.stdout.count("\n") == 1
    assert "Traceback" not in ran.stderr
