"""Writes: inserts by plain SQL, recounting, and imports; all times are CPU time."""

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice

from bench import dataset as data
from bench.dataset import Dataset
from bench.harness import ROOT, MeasurementFailed
from everruns.store import counts, db

INSERTED = 10_000
MEASURED_EVERRUNS = """
import atexit, re, time
from everruns.cli import main

def print_cpu_seconds_and_peak_kibibytes():
    print(time.process_time(), re.search("VmHWM:[^0-9]*([0-9]+)", open("/proc/self/status").read())[1])

atexit.register(print_cpu_seconds_and_peak_kibibytes)
main()
"""


class Insert:
    """Inserts by plain SQL into the sessions of `dataset`, with our triggers or without; rolled back."""

    def __init__(self, dataset: Dataset, triggers: bool) -> None:
        self.dataset = dataset
        self.triggers = triggers
        self.rows = list(data.session_rows(dataset, dataset.sessions, dataset.sessions + INSERTED))

    def measure(self) -> float:
        """Return the rows a second."""
        with _rolled_back(self.dataset) as connection:
            if self.triggers:
                return _insert_rate(connection, self.rows)
            with data.dropped_triggers(connection):
                return _insert_rate(connection, self.rows)


class Import:
    """`everruns import` of the first `sessions` of the first organization of `dataset` into an empty database."""

    def __init__(self, dataset: Dataset, sessions: int) -> None:
        self.dataset = dataset
        self.peak_memory: list[float] = []
        self.file = data.DATA / f"import-{sessions}.ndjson"
        data.export(dataset, data.organization_id(), self.file)
        with self.file.open("rb") as lines:
            head = list(islice(lines, data.HARNESSES + data.AGENTS + sessions))
        self.file.write_bytes(b"".join(head))
        self.sessions = len(head) - data.HARNESSES - data.AGENTS

    def measure(self) -> float:
        """Import, and return the sessions a second, the start of the process included."""
        database = data.create(data.DATA / "import.db")
        with database.write() as connection:
            data.store_organizations(connection)
        run = subprocess.run(  # noqa: S603
            [sys.executable, "-c", MEASURED_EVERRUNS, "import", "--org", data.organization_id(), str(self.file)],
            cwd=ROOT,
            env={**os.environ, "EVERRUNS_DATABASE": str(database.path)},
            capture_output=True,
            text=True,
            check=False,
        )
        if f"sessions: {self.sessions} new" not in run.stderr:
            raise MeasurementFailed(f"everruns import: {run.stderr}")
        seconds, kibibytes = run.stdout.split()
        self.peak_memory.append(int(kibibytes) / 1024)
        return self.sessions / float(seconds)


class BareImport:
    """The rows of the same import, ready to be stored by `executemany` into the same tables without our triggers."""

    def __init__(self, dataset: Dataset, sessions: int) -> None:
        self.dataset = dataset
        all_rows = data.session_rows(dataset, 0, dataset.sessions)
        self.rows = list(islice((row for row in all_rows if row[0] == 1), sessions))

    def measure(self) -> float:
        """Return the rows a second, COMMIT included."""
        database = data.create(data.DATA / "import.db")
        with database.write() as connection:
            data.store_organizations(connection)
            data.store_agents(connection, self.dataset)
        started = time.process_time()
        with database.write() as connection, data.dropped_triggers(connection):
            connection.executemany(data.INSERT_SESSION, self.rows)
        return len(self.rows) / (time.process_time() - started)


def recount_rate(dataset: Dataset) -> float:
    """Recount all sessions of `dataset`, and return how often that can be done in a second."""
    with _rolled_back(dataset) as connection:
        started = time.process_time()
        counts.recount(connection)
        return 1 / (time.process_time() - started)


def _insert_rate(connection: sqlite3.Connection, rows: list[data.Row]) -> float:
    started = time.process_time()
    connection.executemany(data.INSERT_SESSION, rows)
    return len(rows) / (time.process_time() - started)


@contextmanager
def _rolled_back(dataset: Dataset) -> Iterator[sqlite3.Connection]:
    """Yield a connection in a write transaction that changes nothing."""
    with closing(db.connect(dataset.path, 60)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("ROLLBACK")
