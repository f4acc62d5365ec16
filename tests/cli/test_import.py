"""`everruns import` and `export` as a process: files, pipes, memory, interruption."""

import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from everruns.records import Organization
from everruns.store.db import Database
from tests.support.commands import CommandRunner
from tests.support.database import execute, import_records
from tests.support.processes import EVERRUNS, environment, obeying_permissions, run_process
from tests.support.records import ORGANIZATION_ID, agent_record, session_record
from tests.support.server import wait_until

WITH_PEAK_MEMORY = [
    sys.executable,
    "-c",
    "from everruns.cli import main\n"
    "try: main()\n"
    "finally: print(next(int(line.split()[1]) // 1024 for line in open('/proc/self/status') if 'VmHWM' in line))",
]


@pytest.fixture(autouse=True)
def agent(database: Database, organization: Organization) -> None:
    import_records(database, organization, agent_record())


def session_ids(path: Path) -> list[str]:
    return [public_id for (public_id,) in execute(path, "SELECT public_id FROM sessions ORDER BY id")]


def write_lines(path: Path, *records: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


def test_a_missing_file_or_a_directory_is_named(tmp_path: Path, run_command: CommandRunner) -> None:
    for path, reason in ((tmp_path / "none", "No such file or directory"), (tmp_path, "Is a directory")):
        result = run_command("import", ORGANIZATION_ID, str(path), exit_code=1)
        assert (result.stdout, result.stderr) == ("", f"Error: {path}: {reason}; nothing was changed\n")


def test_a_file_without_permission_is_named_with_advice(database_path: Path, tmp_path: Path) -> None:
    file = tmp_path / "records"
    write_lines(file, session_record())
    file.chmod(0)
    result = run_process(database_path, "import", ORGANIZATION_ID, str(file), prefix=obeying_permissions())
    advice = "permission denied for this user; use 'everruns import ORG - < FILE'"
    assert (result.returncode, result.stderr) == (1, f"Error: {file}: {advice}\n")


def test_all_files_are_imported_or_none(database_path: Path, tmp_path: Path, run_command: CommandRunner) -> None:
    valid = write_lines(tmp_path / "valid", session_record())
    invalid = write_lines(tmp_path / "invalid", session_record(2, title=5))
    run_command("import", ORGANIZATION_ID, valid, invalid, exit_code=1)
    assert session_ids(database_path) == []
    run_command("import", ORGANIZATION_ID, valid, valid)
    assert session_ids(database_path) == ["session_1"]


def test_a_name_that_is_not_utf8_is_escaped(database_path: Path, tmp_path: Path) -> None:
    directory = os.fsencode(tmp_path)
    Path(os.fsdecode(directory + b"/\xff\x1b[2J\n")).write_text(json.dumps(session_record(title=5)))
    command = [*map(os.fsencode, EVERRUNS), b"import", ORGANIZATION_ID.encode(), directory + b"/\xff\x1b[2J\n"]
    result = subprocess.run(command, env=environment(database_path), capture_output=True, check=False)
    assert result.returncode == 1
    assert result.stderr.decode().endswith(
        "/\\udcff\\u001b[2J\\u000a:1: title must be a string or null; got a number\n"
    )


def test_an_import_that_waits_for_its_input_locks_nobody_out(database_path: Path) -> None:
    command = [*EVERRUNS, "import", ORGANIZATION_ID, "-"]
    with subprocess.Popen(command, env=environment(database_path), stdin=subprocess.PIPE) as process:
        assert process.stdin
        process.stdin.write(b"\n" * 1024 * 1024)  # more than a pipe holds: it is being read
        execute(database_path, "UPDATE organizations SET name = 'Other'")
        process.stdin.write(json.dumps(session_record()).encode())
        process.stdin.close()
        assert process.wait(60) == 0
    assert session_ids(database_path) == ["session_1"]


def test_an_interrupted_import_stores_nothing(database: Database, organization: Organization, tmp_path: Path) -> None:
    import_records(database, organization, session_record("before"))
    file = write_lines(tmp_path / "many", *(session_record(n, title="x" * 100) for n in range(10_000)))
    command = [*EVERRUNS, "import", ORGANIZATION_ID, file]
    # A background process of a shell ignores SIGINT from its start.
    process = subprocess.Popen(
        command,
        env=environment(database.path),
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with process, closing(sqlite3.connect(database.path, 0, isolation_level=None)) as other:

        def is_locked() -> bool:
            try:
                other.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return True
            other.execute("ROLLBACK")
            return False

        wait_until(lambda: is_locked() or process.poll() is not None, "the import has begun")
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (1, b"\nAborted!\n")
    assert session_ids(database.path) == ["session_before"]


def peak_mebibytes(database_path: Path, *arguments: str) -> int:
    """Run a command and return how much memory it used at most."""
    command = [*WITH_PEAK_MEMORY, *arguments]
    result = subprocess.run(command, env=environment(database_path), capture_output=True, text=True, check=True)
    return int(result.stdout.splitlines()[-1])


def test_memory_does_not_grow_with_the_size_of_an_import(database_path: Path, tmp_path: Path) -> None:
    capabilities = [{"ref": "x", "config": {"x": "x" * 20_000}}]
    small = write_lines(tmp_path / "small", session_record(0, capabilities=capabilities))
    large = write_lines(tmp_path / "large", *(session_record(n, capabilities=capabilities) for n in range(2000)))
    peaks = [peak_mebibytes(database_path, "import", ORGANIZATION_ID, file) for file in (small, large)]
    assert os.path.getsize(large) > 38 * 1024 * 1024
    assert peaks[1] - peaks[0] < 24
    assert len(session_ids(database_path)) == 2000


def test_progress_is_shown_on_a_terminal_only(database_path: Path, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "records", *(agent_record(f"agent_{n}") for n in range(200)))
    controller, terminal = pty.openpty()
    command = [*EVERRUNS, "import", ORGANIZATION_ID, file]
    subprocess.run(command, env={**environment(database_path), "TERM": "xterm"}, stderr=terminal, check=True)
    os.close(terminal)
    shown = os.read(controller, 65536)
    os.close(controller)
    assert b"Importing" in shown
    assert b"agents: 200 new" in shown
    assert "Importing" not in run_process(database_path, "import", ORGANIZATION_ID, file).stderr


def test_an_export_whose_reader_stops_ends_quietly(database: Database, organization: Organization) -> None:
    sessions = (session_record(n, title="x" * 1000) for n in range(500))
    import_records(database, organization, *sessions)
    result = run_process(
        database.path, "export", ORGANIZATION_ID, prefix=["bash", "-o", "pipefail", "-c", '"$@" | head -n 1', "bash"]
    )
    assert (result.returncode, result.stdout.count("\n"), result.stderr) == (1, 1, "")
