"""The import: rows a second of `everruns import` against a bare executemany, and the most memory it took."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import median

from bench.dataset import DATA, Organization, empty, remove
from bench.load import ROOT, MeasurementFailed, peak_memory
from everruns import auth, create_app, db

CHUNK = 10_000
DATABASE = "import.db"
SESSION_COLUMNS = (
    "id, organization_id, harness_id, agent_id, public_id, title, tags, model_id, status, created_at, updated_at",
    "session_id, position, capability_id, config",
)

Rows = list[tuple[object, ...]]


def measure(small: int, large: int, rounds: int) -> dict[str, object]:
    """Import `small` sessions for their memory, and `large` ones in turn with the bare executemany."""
    memory = {small: _import(small)[1]}
    ours, bare = [], []
    for _ in range(rounds):
        seconds, memory[large] = _import(large)
        ours.append(large / seconds)
        bare.append(large / _executemany(large))
    remove(DATA / DATABASE)
    return {
        "sessions": large,
        "rate": median(ours),
        "bare_rate": median(bare),
        "rates": ours,
        "bare_rates": bare,
        "memory": [[small, memory[small]], [large, memory[large]]],
    }


def _import(sessions: int) -> tuple[float, float]:
    """Seconds and peak MiB of `everruns import` of an NDJSON file, from the start of its process to its end."""
    organization = Organization(0, sessions)
    file = DATA / "import.ndjson"
    with file.open("w", encoding="utf-8") as lines:
        lines.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in organization.records())
    path = empty(DATABASE)
    _store(path, organization)
    command = [sys.executable, "-c", "from everruns.cli import main; main()"]
    started = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603 -- the command is ours
        [*command, "import", "--org", organization.public_id, str(file)],
        cwd=ROOT,
        env={**os.environ, "EVERRUNS_DATABASE": str(path)},
        stderr=subprocess.PIPE,
    )
    peak = peak_memory(process)
    seconds = time.perf_counter() - started
    said = process.communicate()[1].decode()
    if process.returncode != 0 or f"{sessions} new" not in said:
        raise MeasurementFailed(f"everruns import: {said}")
    file.unlink()
    return seconds, peak


def _executemany(sessions: int) -> float:
    """Seconds inside executemany, COMMIT and close for the same rows in their final form, without our triggers.

    Indexes and constraints stay, and with them the triggers on tags, which are constraints.
    """
    organization = Organization(0, sessions)
    path = empty(DATABASE)
    organization_id = _store(path, organization)
    harnesses = {public_id: number for number, public_id in enumerate(organization.harnesses, 1)}
    agents = {public_id: number for number, public_id in enumerate(organization.agents, 1)}
    insert = [
        f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' * len(columns.split(',')))})"  # noqa: S608
        for table, columns in zip(("sessions", "session_capabilities"), SESSION_COLUMNS, strict=True)
    ]
    spent = 0.0
    with create_app({"DATABASE": str(path)}).app_context():
        with db.transaction() as connection:
            _drop_triggers(connection)
            connection.executemany(
                "INSERT INTO harnesses (id, organization_id, public_id) VALUES (?, ?, ?)",
                [(number, organization_id, public_id) for public_id, number in harnesses.items()],
            )
            connection.executemany(
                "INSERT INTO agents (id, organization_id, public_id) VALUES (?, ?, ?)",
                [(number, organization_id, public_id) for public_id, number in agents.items()],
            )
        with db.transaction() as connection:
            for rows in _rows(organization, organization_id, harnesses, agents):
                started = time.perf_counter()
                for sql, part in zip(insert, rows, strict=True):
                    connection.executemany(sql, part)
                spent += time.perf_counter() - started
            started = time.perf_counter()
        spent += time.perf_counter() - started
    return spent


def _rows(
    organization: Organization, organization_id: int, harnesses: dict[str, int], agents: dict[str, int]
) -> Iterator[tuple[Rows, Rows]]:
    """The rows of sessions and of their capabilities, a chunk at a time."""
    numbered = enumerate(organization.session_records(), 1)
    while chunk := list(islice(numbered, CHUNK)):
        sessions: Rows = []
        capabilities: Rows = []
        for number, record in chunk:
            tags = json.dumps(record["tags"], ensure_ascii=False, separators=(",", ":"))
            named = (harnesses.get(record["harness_id"]), agents[record["agent_id"]])
            session = (number, organization_id, *named, record["id"])
            rest = (
                record["title"],
                tags,
                record["model_id"],
                record["status"],
                record["created_at"],
                record["updated_at"],
            )
            sessions.append(session + rest)
            for position, item in enumerate(record["capabilities"]):
                plain = isinstance(item, str)
                config = None if plain else json.dumps(item["config"], separators=(",", ":"))
                capabilities.append((number, position, item if plain else item["ref"], config))
        yield sessions, capabilities


def _store(path: Path, organization: Organization) -> int:
    with create_app({"DATABASE": str(path)}).app_context(), db.transaction() as connection:
        auth.create_organization(connection, "Import", organization.public_id)
        stored = auth.find_organization(connection, organization.public_id)
        assert stored is not None  # noqa: S101 -- it was stored a line above
        return stored.id


def _drop_triggers(connection: sqlite3.Connection) -> None:
    triggers = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND name NOT LIKE '%_tags'")
    for (name,) in triggers.fetchall():
        connection.execute(f'DROP TRIGGER "{name}"')
