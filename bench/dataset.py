"""The databases of the benchmark: generated from a fixed seed, and kept in bench/data."""

import hashlib
import os
import random
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from io import BytesIO
from math import sqrt
from pathlib import Path
from typing import NamedTuple

from bench.harness import ROOT
from everruns.store import catalog, counts, organizations, schema
from everruns.store.db import Database
from everruns.store.tables import as_json
from everruns.timestamps import format_timestamp
from everruns.transfer import catalog as catalog_file

DATA = Path(__file__).parent / "data"
BASELINE_COMMIT = "70383cc"
EVERRUNS = [sys.executable, "-c", "from everruns.cli import main; main()"]
KEY = "evr_" + "b" * 43  # of the first organization

SEED = 4417
START, SPAN = datetime(2023, 1, 1, tzinfo=UTC), timedelta(days=1096)
ORGANIZATIONS = 10  # the first has half of the sessions
AGENTS, OTHER_AGENTS = 100, 10  # of the first organization, of each other one
HARNESSES = 3  # of each organization
TITLES = ["Refund for order {}", "Nightly backup report {}", "Résumé parsing für Bewerber {}", "查询订单状态 {}", ""]
TAGS = [as_json(tags) for tags in ([], [], ["billing"], ["ops", "nightly"], ["research", "urgent", "i18n"])]
MODELS = [None, None, "model_01933b5a000070008000000000000201"]
STATUSES = ["idle"] * 8 + ["active", "started"]
CATALOG = catalog_file.read(catalog.BUILT_IN)

INSERT_KEY = """
INSERT INTO api_keys (organization_id, name, sha256, prefix, created_at)
VALUES (1, 'bench', ?, ?, ?)
"""
INSERT_HARNESS = """
INSERT INTO harnesses (id, organization_id, public_id, name, capabilities, created_at, updated_at)
VALUES (?, ?, ?, 'harness', ?, ?, ?)
"""
INSERT_AGENT = """
INSERT INTO agents (id, organization_id, public_id, name, capabilities, created_at, updated_at)
VALUES (?, ?, ?, 'agent', ?, ?, ?)
"""
INSERT_SESSION = """
INSERT INTO sessions
  (organization_id, harness_id, agent_id, public_id, title, tags, model_id, capabilities, status, created_at,
   updated_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

Row = tuple[object, ...]


class Dataset(NamedTuple):
    """A database of so many sessions.

    Agents have 1 to 6 capabilities out of the whole catalog, harnesses one, and a third of the sessions one or two of
    their own. In a light dataset agents have one, and harnesses and sessions none.
    """

    sessions: int
    light: bool = False

    @property
    def name(self) -> str:
        """The name for tables."""
        return f"{self.sessions:,}{' light' if self.light else ''}"

    @property
    def path(self) -> Path:
        """The database file; another one when the schema or this module changes."""
        version = hashlib.sha256(schema.schema().encode() + Path(__file__).read_bytes()).hexdigest()[:8]
        return DATA / f"{self.sessions}{'-light' if self.light else ''}-{version}.db"

    @property
    def baseline_path(self) -> Path:
        """The same sessions in a file of the baseline commit, whose schema version is 5."""
        return self.path.with_suffix(".baseline.db")


def organization_id(number: int = 1) -> str:
    """Return the public id of an organization; the first has half of the sessions."""
    return f"org_{number:032x}"


def agent_id(number: int = 1) -> str:
    """Return the public id of an agent; the first has a tenth of the sessions of its organization."""
    return f"agent_{number:032x}"


def session_rows(dataset: Dataset, start: int, end: int) -> Iterator[Row]:
    """Yield the values of INSERT_SESSION for sessions `start` to `end`, oldest first. Later days have more sessions."""
    choice = random.Random(SEED + start)  # noqa: S311
    draw = choice.random
    own_capabilities = [_capabilities(choice, 1, 2) for _ in range(100)]
    for number in range(start, end):
        created = START + SPAN * sqrt((number + draw()) / dataset.sessions)
        organization = 1 if draw() < 0.5 else 2 + int(draw() * (ORGANIZATIONS - 1))
        harness = (organization - 1) * HARNESSES + int(draw() * HARNESSES) + 1 if draw() < 0.5 else None
        agents = _agents(organization)
        yield (
            organization,
            harness,
            agents[int(draw() ** 2 * len(agents))],
            f"session_{int(created.timestamp() * 1000):012x}7{choice.getrandbits(76):019x}",  # as a UUIDv7
            TITLES[int(draw() * len(TITLES))].format(number) or None,
            TAGS[int(draw() * len(TAGS))],
            MODELS[int(draw() * len(MODELS))],
            own_capabilities[int(draw() * 100)] if number % 3 == 0 and not dataset.light else "[]",
            STATUSES[int(draw() * len(STATUSES))],
            format_timestamp(created),
            format_timestamp(created + timedelta(hours=draw())),
        )


def build(dataset: Dataset) -> None:
    """Generate the file of `dataset`, unless it exists."""
    if dataset.path.exists():
        return
    print(f"generating {dataset.name} sessions", file=sys.stderr)
    for outdated in DATA.glob(f"{dataset.path.stem[:-8]}????????.*"):
        outdated.unlink()
    database = create(DATA / "new.db")
    with database.write() as connection:
        connection.execute("PRAGMA cache_size = -1000000")
        store_organizations(connection)
        store_agents(connection, dataset)
        with dropped_triggers(connection):
            connection.executemany(INSERT_SESSION, session_rows(dataset, 0, dataset.sessions))
        counts.recount(connection)
    database.checkpoint()
    database.path.rename(dataset.path)


def build_baseline(dataset: Dataset) -> None:
    """Store `dataset` by the import of the baseline commit, unless the file exists."""
    if dataset.baseline_path.exists():
        return
    print(f"importing {dataset.name} sessions with {BASELINE_COMMIT}", file=sys.stderr)
    code, path, lines = baseline_code(), DATA / "new.db", DATA / "new.ndjson"
    remove(path)
    run_everruns(code, path, "init-db")
    for organization in map(organization_id, range(1, ORGANIZATIONS + 1)):
        export(dataset, organization, lines)
        run_everruns(code, path, "create-org", organization, "--id", organization)
        run_everruns(code, path, "import", "--org", organization, str(lines))
    lines.unlink()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        store_key(connection)
    path.rename(dataset.baseline_path)


def baseline_code() -> Path:
    """Return a folder with the files of the baseline commit, from the Git history."""
    folder = DATA / BASELINE_COMMIT
    if not folder.exists():
        archive = subprocess.check_output(["git", "archive", BASELINE_COMMIT], cwd=ROOT)  # noqa: S603, S607
        with tarfile.open(fileobj=BytesIO(archive)) as files:
            files.extractall(folder, filter="data")
    return folder


def run_everruns(code: Path, path: Path, *arguments: str) -> None:
    """Run a command of `everruns`, with the code in the folder `code`, on the database at `path`."""
    environment = {**os.environ, "EVERRUNS_DATABASE": str(path)}
    subprocess.run(  # noqa: S603
        [*EVERRUNS, *arguments], cwd=code, env=environment, capture_output=True, check=True
    )


def export(dataset: Dataset, organization: str, file: Path) -> None:
    """Write what `everruns export` prints to `file`."""
    with file.open("wb") as lines:
        subprocess.run(  # noqa: S603
            [*EVERRUNS, "export", "--org", organization],
            cwd=ROOT,
            env={**os.environ, "EVERRUNS_DATABASE": str(dataset.path)},
            stdout=lines,
            check=True,
        )


def create(path: Path) -> Database:
    """Create a database with the built-in catalog and nothing else, in place of what is at `path`."""
    remove(path)
    schema.create(path, 60, lambda connection: catalog.replace(connection, CATALOG))
    return Database(path, timeout=60)


def remove(path: Path) -> None:
    """Remove a database file and the files that SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def store_organizations(connection: sqlite3.Connection) -> None:
    """Store the organizations, and KEY for the first."""
    for number in range(1, ORGANIZATIONS + 1):
        organizations.create_organization(connection, f"Organization {number}", organization_id(number))
    store_key(connection)


def store_key(connection: sqlite3.Connection) -> None:
    """Store KEY."""
    connection.execute(INSERT_KEY, [hashlib.sha256(KEY.encode()).digest(), KEY[:12], format_timestamp(START)])


def store_agents(connection: sqlite3.Connection, dataset: Dataset) -> None:
    """Store the harnesses and agents of all organizations."""
    choice = random.Random(SEED)  # noqa: S311
    at = format_timestamp(START)
    for organization in range(1, ORGANIZATIONS + 1):
        for number in range((organization - 1) * HARNESSES + 1, organization * HARNESSES + 1):
            capabilities = "[]" if dataset.light else _capabilities(choice, 1, 1)
            values = [number, organization, f"harness_{number:032x}", capabilities, at, at]
            connection.execute(INSERT_HARNESS, values)
        for number in _agents(organization):
            capabilities = _capabilities(choice, 1, 1 if dataset.light else 6)
            connection.execute(INSERT_AGENT, [number, organization, agent_id(number), capabilities, at, at])


@contextmanager
def dropped_triggers(connection: sqlite3.Connection) -> Iterator[None]:
    """Drop the triggers on sessions, and create them again at the end."""
    triggers = connection.execute(
        """
        SELECT name, sql
        FROM sqlite_schema
        WHERE type = 'trigger'
          AND tbl_name = 'sessions'
        """
    ).fetchall()
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    yield
    for _, sql in triggers:
        connection.execute(sql)


def _agents(organization: int) -> range:
    """Return the numbers of an organization's agents, the busiest first."""
    if organization == 1:
        return range(1, AGENTS + 1)
    return range(AGENTS + 1 + (organization - 2) * OTHER_AGENTS, AGENTS + 1 + (organization - 1) * OTHER_AGENTS)


def _capabilities(choice: random.Random, least: int, most: int) -> str:
    ids = [capability["id"] for capability in CATALOG]
    return as_json([{"ref": ref} for ref in choice.sample(ids, choice.randint(least, most))])
