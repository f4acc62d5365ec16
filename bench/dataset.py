"""The databases of the benchmark: generated from a fixed seed, and kept in bench/data."""

import hashlib
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from io import BytesIO
from itertools import product
from math import sqrt
from pathlib import Path
from typing import NamedTuple

from bench.harness import ROOT
from everruns.store import agents, catalog, derived, harnesses, organizations, schema, tables
from everruns.store.db import Database
from everruns.store.tables import as_json
from everruns.timestamps import format_timestamp
from everruns.transfer import catalog as catalog_file

DATA = Path(__file__).parent / "data"
BASELINE_COMMIT = "70383cc"
EVERRUNS = "from everruns.cli import main; main()"
KEY = "evr_" + "b" * 43  # of the first organization

SEED = 4417
START, SPAN = datetime(2023, 1, 1, tzinfo=UTC), timedelta(days=1096)
ORGANIZATIONS = 10  # the first has half of the sessions
AGENTS, OTHER_AGENTS = 100, 10  # of the first organization, of each other one
TITLES = ["Refund for order {}", "Nightly backup report {}", "Résumé parsing für Bewerber {}", "查询订单状态 {}", ""]
TAGS = [as_json(tags) for tags in ([], [], ["billing"], ["ops", "nightly"], ["research", "urgent", "i18n"])]
MODELS = [None, None, "model_01933b5a000070008000000000000201"]
STATUSES = ["idle"] * 8 + ["active", "started"]
CATALOG = catalog_file.read(catalog.BUILT_IN)
CAPABILITIES = [{"ref": capability["id"]} for capability in CATALOG]

INSERT_KEY = """
INSERT INTO api_keys (organization_id, name, sha256, prefix, created_at)
VALUES (1, 'bench', ?, ?, ?)
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
    copy: str = ""  # the name of a copy to be written to

    @property
    def name(self) -> str:
        """The name for tables."""
        return f"{self.sessions:,}{' light' * self.light}"

    @property
    def path(self) -> Path:
        """The database file; another one when the schema or this module changes."""
        version = hashlib.sha256(schema.schema().encode() + Path(__file__).read_bytes()).hexdigest()[:8]
        return DATA / f"{self.sessions}{'-light' * self.light}{self.copy and f'-{self.copy}'}-{version}.db"

    @property
    def baseline_path(self) -> Path:
        """The same sessions in a file of the baseline commit, whose schema version is 5."""
        return self.path.with_suffix(".baseline.db")


def organization_id(number: int = 1) -> str:
    """Return the public id of an organization."""
    return f"org_{number:032x}"


def agent_id(number: int = 1) -> str:
    """Return the public id of an agent; the first has a tenth of the sessions of its organization."""
    return f"agent_{number:032x}"


def agent_numbers(organization: int) -> range:
    """Return the numbers of an organization's agents, the busiest first."""
    if organization == 1:
        return range(1, AGENTS + 1)
    return range(AGENTS + 1 + (organization - 2) * OTHER_AGENTS, AGENTS + 1 + (organization - 1) * OTHER_AGENTS)


def session_rows(dataset: Dataset, start: int, end: int) -> Iterator[Row]:
    """Yield the values of INSERT_SESSION for sessions `start` to `end`, oldest first. Later days have more sessions."""
    choice = random.Random(SEED + start)  # noqa: S311
    draw = choice.random
    own_capabilities = [as_json(choice.sample(CAPABILITIES, choice.randint(1, 2))) for _ in range(100)]
    for number in range(start, end):
        created = START + SPAN * sqrt((number + draw()) / dataset.sessions)
        organization = 1 if draw() < 0.5 else 2 + int(draw() * (ORGANIZATIONS - 1))
        agents_of = agent_numbers(organization)
        yield (
            organization,
            organization if draw() < 0.5 else None,  # the harness
            agents_of[int(draw() ** 2 * len(agents_of))],
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
        store_agents(connection, dataset)
        with dropped_triggers(connection):
            connection.executemany(INSERT_SESSION, session_rows(dataset, 0, dataset.sessions))
        derived.rebuild_all(connection)
    database.close()
    database.path.rename(dataset.path)


def copy(dataset: Dataset, name: str = "copy") -> Dataset:
    """Return a new copy of `dataset`."""
    build(dataset)
    copied = dataset._replace(copy=name)
    remove(copied.path)
    shutil.copyfile(dataset.path, copied.path)
    return copied


def copy_for_peers(dataset: Dataset) -> Dataset:
    """Return a new copy of `dataset` without the triggers of what the SQLAlchemy peers do not use: counts and tags."""
    copied = copy(dataset, "peers")
    with closing(sqlite3.connect(copied.path)) as connection:
        for action, what in product(("insert", "update", "delete"), ("count", "tags")):
            connection.execute(f"DROP TRIGGER sessions_{action}_{what}")
    return copied


def create(path: Path) -> Database:
    """Create a database with the built-in catalog and the organizations, in place of what is at `path`."""
    remove(path)
    schema.create(path, 60, lambda connection: catalog.replace(connection, CATALOG))
    database = Database(path, timeout=60)
    with database.write() as connection:
        for number in range(1, ORGANIZATIONS + 1):
            organizations.create_organization(connection, f"Organization {number}", organization_id(number))
        store_key(connection)
    return database


def remove(path: Path) -> None:
    """Remove a database file and the files that SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def store_key(connection: sqlite3.Connection) -> None:
    """Store KEY."""
    connection.execute(INSERT_KEY, [hashlib.sha256(KEY.encode()).digest(), KEY[:12], format_timestamp(START)])


def store_agents(connection: sqlite3.Connection, dataset: Dataset) -> None:
    """Store a harness for each organization, with its number as internal id, and the agents with theirs."""
    choice = random.Random(SEED)  # noqa: S311

    def save(table: tables.Table, organization: int, number: int, public_id: str, most: int) -> None:
        capabilities = choice.sample(CAPABILITIES, choice.randint(min(most, 1), most))
        record = {"public_id": public_id, "name": public_id, "capabilities": capabilities}
        tables.save(connection, table, organization, record, new_id=number)

    for organization in range(1, ORGANIZATIONS + 1):
        harness = f"harness_{organization:032x}"
        save(harnesses.TABLE, organization, organization, harness, 0 if dataset.light else 1)
        for number in agent_numbers(organization):
            save(agents.TABLE, organization, number, agent_id(number), 1 if dataset.light else 6)


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


def export(dataset: Dataset, organization: str, file: Path) -> None:
    """Write what `everruns export` prints to `file`."""
    file.write_bytes(run_everruns(ROOT, dataset.path, "export", "--org", organization))


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


def run_everruns(code: Path, path: Path, *arguments: str) -> bytes:
    """Run a command of `everruns`, with the code in the folder `code`, on the database at `path`; return its output."""
    environment = {**os.environ, "EVERRUNS_DATABASE": str(path)}
    command = [sys.executable, "-c", EVERRUNS, *arguments]
    return subprocess.check_output(command, cwd=code, env=environment, stderr=subprocess.DEVNULL)  # noqa: S603
