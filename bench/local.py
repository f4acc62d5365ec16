"""Measurements that need no server: plain SQL and imports. All times are CPU time."""

import os
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from itertools import islice

from bench import dataset as data
from bench.dataset import Dataset
from bench.harness import ROOT
from everruns.store import db, derived

INSERTED = 1_000
OTHER_RECORDS = 1 + data.AGENTS  # before the sessions of an export: the harness and the agents
LIKE_SCAN = """
SELECT COUNT(*)
FROM sessions
WHERE organization_id = 1
  AND title LIKE ?
"""
MEASURED_EVERRUNS = """
import atexit, re, time
from everruns.cli import main

def print_cpu_seconds_and_peak_kibibytes():
    print(time.process_time(), re.search("VmHWM:[^0-9]*([0-9]+)", open("/proc/self/status").read())[1])

atexit.register(print_cpu_seconds_and_peak_kibibytes)
main()
"""


class Insert:
    """Inserts by plain SQL into `dataset`, a copy, each in a transaction of its own; with our triggers or without."""

    def __init__(self, dataset: Dataset, triggers: bool) -> None:
        self.dataset = dataset
        self.triggers = triggers
        self.start = dataset.sessions * (1 if triggers else 2)  # no row may come twice

    def measure(self) -> float:
        """Return the rows a second. The disk is not waited for."""
        rows = list(data.session_rows(self.dataset, self.start, self.start + INSERTED))
        self.start += INSERTED
        with closing(db.connect(self.dataset.path, 60)) as connection, ExitStack() as stack:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = OFF")
            if not self.triggers:
                stack.enter_context(data.dropped_triggers(connection))
            started = time.process_time()
            for row in rows:
                connection.execute(data.INSERT_SESSION, row)
            return INSERTED / (time.process_time() - started)


class Imports:
    """Imports of the first `sessions` of the first organization of `dataset` into an empty database."""

    def __init__(self, dataset: Dataset, sessions: int) -> None:
        self.dataset = dataset
        self.file = data.DATA / "import.ndjson"
        self.peak_memory = 0.0  # of the last import, in MiB
        data.export(dataset, data.organization_id(), self.file)
        with self.file.open("rb") as lines:
            self.lines = list(islice(lines, OTHER_RECORDS + sessions))
        all_rows = data.session_rows(dataset, 0, dataset.sessions)
        self.rows = list(islice((row for row in all_rows if row[0] == 1), sessions))

    def rate(self, sessions: int) -> float:
        """Import the first `sessions`, and return the sessions a second, the start of the process included."""
        self.file.write_bytes(b"".join(self.lines[: OTHER_RECORDS + sessions]))
        database = data.create(data.DATA / "import.db")
        database.close()
        command = [sys.executable, "-c", MEASURED_EVERRUNS, "import", "--org", data.organization_id(), str(self.file)]
        environment = {**os.environ, "EVERRUNS_DATABASE": str(database.path)}
        output = subprocess.check_output(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)  # noqa: S603
        seconds, kibibytes = map(float, output.split())
        self.peak_memory = kibibytes / 1024
        return sessions / seconds

    def memory(self, sessions: int) -> float:
        """Import the first `sessions`, and return the peak of the memory in MiB."""
        self.rate(sessions)
        return self.peak_memory

    def bare_rate(self) -> float:
        """Store the same rows by `executemany` without our triggers, and return the rows a second."""
        database = data.create(data.DATA / "import.db")
        with database.write() as connection:
            data.store_agents(connection, self.dataset)
        started = time.process_time()
        with database.write() as connection, data.dropped_triggers(connection):
            connection.executemany(data.INSERT_SESSION, self.rows)
        seconds = time.process_time() - started
        database.close()
        return len(self.rows) / seconds


def recount_seconds(dataset: Dataset) -> float:
    """Count all sessions again, as `everruns check --repair` does, and return the seconds."""
    with closing(db.connect(dataset.path, 60)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        started = time.process_time()
        derived.rebuild(connection, "session_counts")
        seconds = time.process_time() - started
        connection.execute("ROLLBACK")
        return seconds


def like_scan_rate(dataset: Dataset, text: str) -> float:
    """Search the titles of the first organization by LIKE, and return how often that can be done in a second."""
    with closing(db.connect(dataset.path, 60)) as connection:
        started = time.process_time()
        connection.execute(LIKE_SCAN, [f"%{text}%"]).fetchone()
        return 1 / (time.process_time() - started)
