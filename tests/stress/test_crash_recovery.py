"""`kill -9` of an import at any moment: acknowledged, it is stored; otherwise it is stored whole or not at all.

An import counts as acknowledged when it ended with exit status 0. It is killed after a random time, or before, within
or after a random call that it makes on the database's files.
"""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from random import Random
from time import monotonic

import pytest

from tests.stress.imports import Failure, Importer, Reader, stop_counting
from tests.stress.scale import scaled
from tests.support.servers import wait_until

pytestmark = pytest.mark.needs("gcc")

SIZES = (5, 1000)


def kill_imports(importer: Importer, kills: int) -> Counter[str]:
    """Start imports and kill them until so many were killed; raise `AssertionError` for what they must not leave."""
    random, outcomes = Random(1), Counter[str]()
    calls, seconds = {}, {}
    for size in SIZES:
        started = monotonic()
        calls[size] = len(importer.record_calls(size))
        seconds[size] = monotonic() - started
    while outcomes["killed"] < kills:
        size = random.choice(SIZES)
        after = importer.write_file(size)
        action = random.choice(["time", "kill", "torn", "after"])
        if action == "time":
            delay = random.uniform(0, seconds[size])
            what = f"import of {size} sessions killed after {delay:.4f} s"
            process = importer.start()
            try:
                process.wait(delay)
            except subprocess.TimeoutExpired:
                process.kill()
        else:
            at = random.randint(1, calls[size])
            what = f"import of {size} sessions killed at call {at} of about {calls[size]} ({action})"
            process = importer.start(Failure(action, at))
        _, stderr = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), f"{what}: {stderr.decode()}"
        stored = importer.verify(after, process.returncode, what)
        outcomes["acknowledged" if process.returncode == 0 else "killed"] += 1
        outcomes["killed, but stored"] += stored and process.returncode != 0
    return outcomes


@pytest.mark.parametrize("is_read", [True, False], ids=["read_meanwhile", "opened_by_nobody"])
def test_an_import_that_is_killed_is_stored_whole_or_not_at_all(
    database_path: Path, failing_calls: Path, record_property: Callable[[str, object], None], is_read: bool
) -> None:
    """A reader keeps the write-ahead log in use; without one, the next program recovers from what the kill left."""
    importer = Importer(database_path, failing_calls)
    reader = Reader(importer)
    context: AbstractContextManager[object] = reader if is_read else nullcontext()
    kills = scaled(5)
    with context:
        outcomes = kill_imports(importer, kills)
    assert outcomes["killed"] == kills
    for outcome, number in outcomes.items():
        record_property(outcome, number)
    if is_read:
        assert reader.responses > kills
        record_property("responses", reader.responses)


def test_a_stopped_import_keeps_writers_waiting_but_not_readers(database_path: Path, failing_calls: Path) -> None:
    importer = Importer(database_path, failing_calls)
    importer.record_calls(40)
    with Reader(importer) as reader:
        for end in (signal.SIGCONT, signal.SIGKILL):
            after = importer.write_file(1100)
            process = importer.start(Failure("stop", at=20))
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
            result = importer.run_command("create-org", "Other", exit_code=1, env={"EVERRUNS_DATABASE_TIMEOUT": "0.1"})
            assert "the database is locked by another program" in result.stderr
            wait_until(partial(reader.has_responses, reader.responses + 3), "responses")
            process.send_signal(end)
            process.communicate()
            assert importer.verify(after, process.returncode, f"stopped, then {end.name}") == (end == signal.SIGCONT)


# --- the checks find what a wrong importer leaves -------------------------------------------------------------------

TWO_TRANSACTIONS = """
import pathlib, sys
from everruns.cli import main
file = pathlib.Path(sys.argv[-1])
lines = file.read_text().splitlines(True)
for part in (lines[:len(lines) // 2], lines[len(lines) // 2:]):
    file.write_text("".join(part))
    main(standalone_mode=False)
"""


def test_an_import_that_is_acknowledged_but_not_stored_is_found(database_path: Path, failing_calls: Path) -> None:
    importer = Importer(database_path, failing_calls, command=[sys.executable, "-c", ""])
    with pytest.raises(AssertionError, match="acknowledged, but not stored"):
        importer.record_calls(5)


def test_an_import_in_two_transactions_is_found(database_path: Path, failing_calls: Path) -> None:
    importer = Importer(database_path, failing_calls, command=[sys.executable, "-c", TWO_TRANSACTIONS])
    importer.record_calls(40)
    calls = importer.record_calls(40)
    in_the_second = calls.index("St") + 5
    after = importer.write_file(40)
    process = importer.start(Failure("kill", in_the_second))
    process.communicate()
    with pytest.raises(AssertionError, match="stored in part"):
        importer.verify(after, process.returncode, "two transactions")


def test_wrong_counts_are_found(database_path: Path, failing_calls: Path) -> None:
    importer = Importer(database_path, failing_calls)
    stop_counting(database_path)
    with pytest.raises(AssertionError, match="everruns check finds"):
        importer.record_calls(5)
