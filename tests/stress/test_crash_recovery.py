"""`kill -9` at any moment: what was acknowledged is stored, any other import is stored whole or not at all.

An import counts as acknowledged when it ended with exit status 0. It is killed after a random time, or before, within
or after a random call that it makes on the database's files.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from functools import partial
from http.client import HTTPException
from itertools import count
from pathlib import Path
from random import Random
from time import monotonic

import pytest

from everruns.records import Organization
from everruns.store import check
from everruns.store.db import Database
from tests.stress.imports import Failure, Importer, Reader, stop_counting
from tests.stress.scale import scaled
from tests.support.database import execute
from tests.support.servers import connection, service, wait_until

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
    kills = scaled(2)
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


def test_acknowledged_writes_survive_killed_workers(
    database: Database,
    organization: Organization,
    key: str,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """Clients create sessions while workers of gunicorn are killed."""
    kills, acknowledged, stopped = scaled(5), list[str](), threading.Event()

    def write(client: int) -> None:
        numbers = count()
        while not stopped.is_set():
            with closing(connection(running.path)) as opened, suppress(OSError, HTTPException):
                while not stopped.is_set():
                    session_id = f"session_{client}x{next(numbers)}"
                    headers = {"Authorization": key, "Content-Type": "application/json"}
                    opened.request("POST", "/v1/sessions", json.dumps({"id": session_id}), headers)
                    response = opened.getresponse()
                    response.read()
                    assert response.status == 201
                    acknowledged.append(session_id)

    def has_written(enough: int) -> bool:
        return len(acknowledged) > enough and bool(running.workers())

    with service(tmp_path / "service", database.path) as running, ThreadPoolExecutor() as pool:
        clients = [pool.submit(write, client) for client in range(3)]
        for _ in range(kills):
            enough = len(acknowledged) + 10
            wait_until(partial(has_written, enough), "more writes")
            os.kill(running.workers()[0], signal.SIGKILL)
        stopped.set()
        for client in clients:
            client.result()
    stored = {public_id for (public_id,) in execute(database.path, "SELECT public_id FROM sessions")}
    assert {*acknowledged} <= stored
    assert len(stored) <= len(acknowledged) + 3 * kills
    with database.read() as reading:
        assert not list(check.errors(reading))
    record_property("kills", kills)
    record_property("acknowledged", len(acknowledged))
    record_property("stored, but not acknowledged", len(stored) - len(acknowledged))


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
