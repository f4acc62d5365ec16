"""Imports in processes of their own, which are killed or meet failing calls; and what they may leave behind."""

import json
import os
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from everruns import create_app
from everruns.store import check
from everruns.store.db import Database
from tests.support.client import client_with_key
from tests.support.commands import CommandRunner
from tests.support.database import create_organization
from tests.support.processes import EVERRUNS

START = datetime(2026, 1, 1, tzinfo=UTC)

Titles = list[int]
"""The title of each session, by its number: the number of the import that stored it last."""


def records(number: int, size: int) -> Iterator[dict[str, Any]]:
    """Yield an agent and the sessions 0 to `size` - 1, titled `number`. Three sessions share each timestamp."""
    yield {"id": "agent_1", "name": f"import {number}", "capabilities": [{"ref": "skills"}]}
    for index in range(size):
        created_at = (START + timedelta(hours=index // 3)).isoformat()
        yield {"id": f"session_{index}", "agent_id": "agent_1", "title": str(number), "created_at": created_at}


def stop_counting(path: Path) -> None:
    """Replace the trigger that counts new sessions by one that does nothing."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            """
            DROP TRIGGER sessions_insert_count;
            CREATE TRIGGER sessions_insert_count AFTER INSERT ON sessions
            BEGIN
              SELECT 1;
            END;
            """
        )


class Failure(NamedTuple):
    """Which of the calls on the database's files fails, and how; see failing_calls.c."""

    action: str = "none"
    at: int = 0
    sticky: bool = False
    log: Path | None = None

    def environment(self, library: Path, database: Path) -> dict[str, str]:
        """Return the environment variables of the process in which it happens."""
        values = {
            "LD_PRELOAD": library,
            "FAIL_DATABASE": database,
            "FAIL_AT": self.at,
            "FAIL_ACTION": self.action,
            "FAIL_STICKY": self.sticky or None,
            "FAIL_LOG": self.log,
        }
        return {name: str(value) for name, value in values.items() if value is not None}


class Importer:
    """Imports one file after the other into the database at `path`; `titles` is what is stored.

    `allowed` is what may be stored at this moment: while an import runs, that before it and that after it.
    `command` is used in place of `everruns`, to test that the checks find the errors of a wrong one.
    """

    def __init__(self, path: Path, library: Path, command: list[str] = EVERRUNS) -> None:
        self.path, self.library, self.command = path, library, command
        self.run_command = CommandRunner(path)
        self.organization, self.key = create_organization(Database(path))
        self.file, self.log = path.with_name("import.ndjson"), path.with_name("calls")
        self.titles: Titles = []
        self.allowed: tuple[Titles, Titles] = (self.titles, self.titles)
        self.number = 0

    def write_file(self, size: int) -> Titles:
        """Write the file of an import of `size` sessions; return what is stored when it succeeds."""
        self.number += 1
        self.file.write_text("".join(json.dumps(record) + "\n" for record in records(self.number, size)))
        after = [self.number] * size + self.titles[size:]
        self.allowed = self.titles, after
        return after

    def start(self, failure: Failure | None = None) -> subprocess.Popen[bytes]:
        """Start the import of the file."""
        environment = {**os.environ, "EVERRUNS_DATABASE": str(self.path), "EVERRUNS_DATABASE_TIMEOUT": "0.2"}
        if failure:
            environment |= failure.environment(self.library, self.path)
        command = [*self.command, "import", "--org", self.organization.public_id, str(self.file)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def record_calls(self, size: int) -> str:
        """Import `size` sessions undisturbed; return the letters of the calls that it made."""
        after = self.write_file(size)
        self.log.unlink(missing_ok=True)
        process = self.start(Failure(log=self.log))
        _, stderr = process.communicate()
        self.verify(after, process.returncode, f"an undisturbed import: {stderr.decode()}")
        assert self.titles == after
        return self.log.read_text()

    def verify(self, after: Titles, status: int, what: str) -> bool:
        """Check that the file has no errors and all or nothing of an import; return whether it was stored.

        Exit status 0 acknowledges the import, so that it must be stored.
        """
        with closing(sqlite3.connect(self.path, timeout=5)) as connection:
            errors = list(check.errors(connection))
            rows = connection.execute("SELECT title FROM sessions ORDER BY CAST(substr(public_id, 9) AS INTEGER)")
            stored = [int(title) for (title,) in rows]
        assert not errors, f"{what}: everruns check finds {errors[:3]}"
        before, self.titles, self.allowed = self.titles, stored, (stored, stored)
        assert stored in (before, after), f"{what}: stored in part: {len(stored)} sessions, last titles {stored[-3:]}"
        assert stored == after or status != 0, f"{what}: acknowledged, but not stored"
        return stored == after


class Reader(threading.Thread):
    """Reads pages while imports run; each response must have the data and the total of what may be stored."""

    def __init__(self, importer: Importer) -> None:
        super().__init__()
        self.app = create_app({"DATABASE": importer.path, "DATABASE_TIMEOUT": 5})
        self.client = client_with_key(self.app, importer.key)
        self.importer = importer
        self.responses = 0
        self.errors: list[str] = []
        self.stopped = threading.Event()

    def run(self) -> None:
        """Read until stopped."""
        random = Random(1)
        while not self.stopped.wait(0.02):
            offset, limit = random.choice([(0, 5), (random.randrange(1000), 20), (2900, 100)])
            allowed = self.importer.allowed
            response = self.client.get(f"/v1/sessions?offset={offset}&limit={limit}")
            states = (*allowed, *self.importer.allowed)
            pages = [(len(titles), titles[::-1][offset : offset + limit]) for titles in states]
            body = response.get_json()
            if response.status_code != 200:
                self.errors.append(f"{response.status_code} {body}")
            elif (body["total"], [int(session["title"]) for session in body["data"]]) not in pages:
                self.errors.append(f"offset {offset}, limit {limit}: got {body}")
            self.responses += 1
        self.app.extensions["everruns"].close()

    def has_responses(self, number: int) -> bool:
        """Return whether so many responses have come."""
        return self.responses >= number

    def __enter__(self) -> "Reader":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.join()
        assert not self.errors, f"{len(self.errors)} wrong responses; the first: {self.errors[0]}"
