"""A writer of the attack of concurrency: changes its own sessions in every way, and notes each change."""

import fcntl
import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from datetime import timedelta
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, NamedTuple

from everruns import auth, create_app, db
from everruns.importer import Import
from everruns.reader import Found
from everruns.values import instant
from tests.attack import planted
from tests.attack.batches import BEGIN
from tests.attack.history import AGENTS, Note, Notebook, Session
from tests.attack.readers import PATIENCE
from tests.conftest import ROOT

MOST_SESSIONS = 300  # of one writer in one organization
MOST_AT_ONCE = 120
PIPE_BYTES = 4096  # the least that Linux makes
TIMEOUT_SECONDS = 60
CATALOG = [{"id": "attack", "name": "Attack", "status": "available", "features": ["feature0"], "dependencies": []}]
UNCOPIED = """
from contextlib import nullcontext
from everruns import cli, reader
reader.source = lambda name, standard_input: nullcontext(standard_input)
cli.main()
"""

UPDATE = """
UPDATE sessions
SET title = :title,
    created_at = :created_at,
    agent_id = (SELECT id FROM agents WHERE public_id = :agent AND organization_id = sessions.organization_id)
WHERE public_id = :id
"""


class Written(NamedTuple):
    """What is written to: the database, the ids of its organizations, and the file in which changes are noted."""

    database: Path
    organizations: list[str]
    notes: Path
    fault: str | None = None


def write(target: Written, number: int, start: Barrier, seconds: float, seed: str) -> None:
    """Change something, again and again, for so many seconds from `start`; with `target.fault` planted."""
    with planted.FAULTS[target.fault]() if target.fault else nullcontext():
        writer = _Writer(target, number, seed)
        ways = [writer.imports, writer.changes, writer.deletes, writer.renames_the_feature, writer.imports_by_command]
        with closing(writer.connection):
            start.wait(PATIENCE)
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                writer.choice.choices(ways, weights=[45, 25, 20, 6, 4])[0]()
                time.sleep(writer.choice.uniform(0, 0.03))


class _Writer:
    def __init__(self, target: Written, number: int, seed: str) -> None:
        self.target, self.number = target, number
        self.choice = random.Random(seed)
        self.notebook = Notebook(target.notes, number)
        self.app = create_app({"DATABASE": target.database, "DATABASE_TIMEOUT": TIMEOUT_SECONDS})
        self.connection = sqlite3.connect(target.database, timeout=TIMEOUT_SECONDS, isolation_level=None)
        self.connection.execute("PRAGMA foreign_keys = ON")
        self.sessions: list[dict[str, Session]] = [{} for _ in target.organizations]
        self.named = 0

    def imports(self) -> None:
        """An import by the package: new sessions, and some again with other content."""
        organization, records = self._records()
        with self.app.app_context(), db.transaction() as connection:
            found = auth.find_organization(connection, self.target.organizations[organization])
            assert found is not None
            Import(connection, found).run(Found("attack", record) for record in self._as_records(records))
            self._begins(Note(organization, records))
        self.notebook.ends()

    def imports_by_command(self) -> None:
        """The same by the command, made to read its standard input itself, no copy: when it does, it holds the lock."""
        organization, records = self._records()
        command = [*self._command(), "import", "--org", self.target.organizations[organization], "-"]
        environment = {
            **os.environ,
            "EVERRUNS_DATABASE": str(self.target.database),
            "EVERRUNS_DATABASE_TIMEOUT": str(TIMEOUT_SECONDS),
            "PYTHONPATH": str(ROOT),
        }
        lines = "".join(f"{json.dumps(record)}\n" for record in self._as_records(records))
        with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdin is not None
            fcntl.fcntl(process.stdin, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            # More than the pipe takes: when it is written, some of it was read.
            process.stdin.write(lines.encode() + b"\n" * 3 * PIPE_BYTES)
            process.stdin.flush()
            self._begins(Note(organization, records))
            process.stdin.close()
            assert process.wait() == 0
        self.notebook.ends()

    def changes(self) -> None:
        """Other titles, agents and times of creation, by plain SQL."""
        organization, sessions = self._some()
        changed = [self._session(organization, session.id) for session in sessions]
        with self._transaction():
            self.connection.executemany(UPDATE, [session._asdict() for session in changed])
            self._begins(Note(organization, changed))
        self.notebook.ends()

    def deletes(self) -> None:
        """Sessions are deleted by plain SQL, many where there are many."""
        organization, sessions = self._some()
        with self._transaction():
            self.connection.executemany("DELETE FROM sessions WHERE public_id = ?", [[each.id] for each in sessions])
            self._begins(Note(organization, deleted=[session.id for session in sessions]))
        self.notebook.ends()

    def renames_the_feature(self) -> None:
        """The one feature of the catalog's one capability, which all agents have, gets another name."""
        feature = f"feature{self.number}x{self.choice.randrange(1 << 30)}"
        with self._transaction():
            self.connection.execute("UPDATE capability_features SET feature = ?", [feature])
            self._begins(Note(None, feature=feature))
        self.notebook.ends()

    def _command(self) -> list[str]:
        return planted.command(self.target.fault) if self.target.fault else [sys.executable, "-c", UNCOPIED]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.connection.execute("BEGIN IMMEDIATE")
        yield
        self.connection.execute("COMMIT")

    def _begins(self, note: Note) -> None:
        self.notebook.begins(note)
        if note.organization is not None:
            known = self.sessions[note.organization]
            known.update((session.id, session) for session in note.stored)
            for session_id in note.deleted:
                del known[session_id]

    def _session(self, organization: int, session_id: str) -> Session:
        created_at = BEGIN + timedelta(seconds=self.choice.randrange(60), microseconds=self.choice.randrange(3))
        title = f"{self.number}: {self.choice.randrange(1 << 30)}"
        return Session(session_id, self.choice.choice(AGENTS), title, instant(created_at))

    def _records(self) -> tuple[int, list[Session]]:
        organization, again = self._some()
        count = self.choice.randint(1, MOST_AT_ONCE)
        names = [f"session_{organization}o{self.number}w{self.named + each}" for each in range(count)]
        self.named += count
        changed = [session.id for session in again[: count // 4]]
        records = [self._session(organization, session_id) for session_id in changed + names]
        self.choice.shuffle(records)
        return organization, records

    def _as_records(self, sessions: list[Session]) -> Iterator[dict[str, Any]]:
        for session in sessions:
            yield {
                "id": session.id,
                "agent_id": session.agent,
                "title": session.title,
                "created_at": session.created_at,
            }

    def _some(self) -> tuple[int, list[Session]]:
        organization = self.choice.randrange(len(self.sessions))
        sessions = [*self.sessions[organization].values()]
        most = min(len(sessions), MOST_AT_ONCE)
        count = max(self.choice.randint(0, most), len(sessions) - MOST_SESSIONS)
        return organization, self.choice.sample(sessions, count)
