"""The benchmark databases: deterministic organizations, agents and sessions, stored by the project's own import."""

import hashlib
import json
import random
import time
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from math import isqrt
from pathlib import Path
from typing import Any

from everruns import auth, catalog, create_app, db
from everruns.importer import Import
from everruns.reader import Found
from everruns.values import BASE_HARNESS

DATA = Path(__file__).parent / "data"
SEED = 4417
START = datetime(2023, 1, 1, tzinfo=UTC)
DAYS = 1096
MAX_LAG_HOURS = 8

# How busy each hour of the three years is: days above nights, weekdays above weekends, and slow growth.
_WEIGHTS = [
    (1 + 2 * hour / (DAYS * 24))
    * (0.35 if (START + timedelta(hours=hour)).weekday() >= 5 else 1.0)
    * (0.15 if hour % 24 < 6 else 1.0 if 8 <= hour % 24 < 18 else 0.5)
    for hour in range(DAYS * 24)
]
_BEGINS = [0.0, *accumulate(_WEIGHTS)]
_HOURS = [f"{START + timedelta(hours=hour):%Y-%m-%dT%H:}" for hour in range(DAYS * 24 + MAX_LAG_HOURS)]

TITLES: list[str | None] = [
    "Refund for order",
    "Why is checkout slow?",
    "Nightly backup report",
    "Compare vector databases",
    "Résumé parsing für Bewerber",
    "查询订单状态",
    "Draft a reply to Acme",
    None,
]
TAGS = ["billing", "urgent", "ops", "nightly", "i18n", "research", "debugging"]
MODELS = [None, None, None, "model_01933b5a000070008000000000000201"]
STATUSES = ["idle"] * 14 + ["started", "active"]
LAGS = [0, 0, 0, 0, 1, 1, 2, MAX_LAG_HOURS - 1]
UNCATALOGUED = ["mcp:linear", "mcp:github", "skill:code-review"]


@dataclass(frozen=True)
class Database:
    """A database file of `sessions` sessions, and what is asked of it: the biggest organization's pages."""

    sessions: int
    organization_id: str
    key: str
    total: int
    agent_id: str
    agent_total: int
    fingerprint: str

    @property
    def path(self) -> Path:
        """Where the file is."""
        return DATA / f"{self.sessions}.db"


class Organization:
    """The records of organization number `number`: harnesses, agents, then `sessions` sessions, oldest first."""

    def __init__(self, number: int, sessions: int) -> None:
        self.sessions = sessions
        self.random = random.Random(SEED * 1_000_003 + number)  # noqa: S311 -- data to measure with, no secret
        self.public_id = f"org_{self.random.getrandbits(128):032x}"
        self.agents = [
            f"agent_{self.random.getrandbits(128):032x}" for _ in range(min(max(isqrt(sessions) // 4, 1), 200))
        ]
        self.harnesses = [f"harness_{self.random.getrandbits(128):032x}" for _ in range(3)]
        entries = catalog.read(catalog.BUILT_IN)
        self.capabilities = [entry["id"] for entry in entries if entry["status"] == "available"] + UNCATALOGUED

    def harness_records(self) -> Iterator[dict[str, Any]]:
        """The harnesses, with 1 to 3 capabilities each."""
        for number, harness_id in enumerate(self.harnesses):
            yield {"id": harness_id, "name": f"harness {number}", "capabilities": self._some(1, 3)}

    def agent_records(self) -> Iterator[dict[str, Any]]:
        """The agents, with 1 to 6 capabilities each."""
        for number, agent_id in enumerate(self.agents):
            yield {"id": agent_id, "name": f"agent {number}", "capabilities": self._some(1, 6)}

    def session_records(self) -> Iterator[dict[str, Any]]:
        """The sessions; a third have one to three capabilities of their own, the first agents are the busiest."""
        pick, bits_of, point_of = self.random.choices, self.random.getrandbits, self.random.random
        harnesses = [BASE_HARNESS] * 8 + pick(self.harnesses, k=8)
        agents = pick(self.agents, [1 / (rank + 1) for rank in range(len(self.agents))], k=1024)
        tags = [self.random.sample(TAGS, self.random.randint(0, 3)) for _ in range(64)]
        capabilities: list[list[object]] = [self._some(1, 3) if number % 3 == 0 else [] for number in range(96)]
        scale = _BEGINS[-1] / self.sessions
        for number in range(self.sessions):
            point = (number + point_of()) * scale
            hour = min(bisect_right(_BEGINS, point), len(_WEIGHTS)) - 1
            microseconds = min(int((point - _BEGINS[hour]) / _WEIGHTS[hour] * 3_600_000_000), 3_599_999_999)
            minute, rest = divmod(microseconds, 60_000_000)
            within_hour = f"{minute:02d}:{rest // 1_000_000:02d}.{rest % 1_000_000:06d}Z"
            bits = bits_of(192)
            low = bits & 0xFFFFFFFFFFFFFFFF  # arithmetic on 64 bits is quicker than on 192
            title = TITLES[low & 7]
            yield {
                "id": f"session_{bits >> 64:032x}",
                "harness_id": harnesses[low >> 60],
                "agent_id": agents[low >> 3 & 1023],
                "title": title and f"{title} {low >> 13 & 0xFFFF}",
                "tags": tags[low >> 29 & 63],
                "model_id": MODELS[low >> 35 & 3],
                "capabilities": capabilities[(low >> 37 & 0xFFFF) % 96],
                "status": STATUSES[low >> 53 & 15],
                "created_at": _HOURS[hour] + within_hour,
                "updated_at": _HOURS[hour + LAGS[low >> 57 & 7]] + within_hour,
            }

    def records(self) -> Iterator[dict[str, Any]]:
        """Harnesses, agents, sessions."""
        yield from self.harness_records()
        yield from self.agent_records()
        yield from self.session_records()

    def _some(self, least: int, most: int) -> list[object]:
        refs = self.random.sample(self.capabilities, self.random.randint(least, most))
        return [{"ref": ref, "config": {"timeout_ms": 30000}} if self.random.random() < 0.2 else ref for ref in refs]


def sizes(sessions: int) -> list[int]:
    """How many sessions each organization has: a half, a quarter, and the rest over many small ones."""
    big = [sessions // 2, sessions // 4]
    rest = sessions - sum(big)
    shares = [1 / (rank + 1) for rank in range(min(isqrt(sessions), 500))]
    small = [int(rest * share / sum(shares)) for share in shares]
    small[0] += rest - sum(small)
    return big + [size for size in small if size]


def build(sessions: int) -> Database:
    """The database of `sessions` sessions: the one that is there, or a new one when the schema or this file changed."""
    about = DATA / f"{sessions}.json"
    fingerprint = hashlib.sha256(db.schema().encode() + Path(__file__).read_bytes()).hexdigest()
    if about.exists():
        there = Database(**json.loads(about.read_text()))
        if there.fingerprint == fingerprint and there.path.exists():
            return there
    print(f"building a database of {sessions:,} sessions", flush=True)
    DATA.mkdir(exist_ok=True)
    started = time.monotonic()
    partial = empty(f"{sessions}.db.partial")
    organizations = [Organization(number, size) for number, size in enumerate(sizes(sessions))]
    with create_app({"DATABASE": str(partial), "DATABASE_TIMEOUT": 60}).app_context():
        for organization in organizations:
            with db.transaction() as connection:
                auth.create_organization(connection, f"Organization of {organization.sessions}", organization.public_id)
                stored = auth.find_organization(connection, organization.public_id)
                assert stored is not None  # noqa: S101 -- it was stored a line above
                Import(connection, stored).run(Found("bench", record) for record in organization.records())
        with db.transaction() as connection:
            stored = auth.find_organization(connection, organizations[0].public_id)
            assert stored is not None  # noqa: S101
            key = auth.create_key(connection, stored, "bench")
            agent_id, agent_total = connection.execute(
                """
                SELECT agents.public_id, COUNT(*)
                FROM sessions
                JOIN agents ON agents.id = sessions.agent_id
                WHERE sessions.organization_id = ?
                GROUP BY agents.id
                ORDER BY COUNT(*) DESC
                LIMIT 1
                """,
                [stored.id],
            ).fetchone()
    built = Database(sessions, stored.public_id, key, organizations[0].sessions, agent_id, agent_total, fingerprint)
    about.unlink(missing_ok=True)
    remove(built.path)
    partial.rename(built.path)
    about.write_text(json.dumps(asdict(built), indent=2) + "\n")
    print(f"built in {time.monotonic() - started:.0f} s", flush=True)
    return built


def empty(name: str) -> Path:
    """A new database in the data folder with the built-in catalog and nothing else, in place of what was there."""
    path = DATA / name
    remove(path)
    built_in = catalog.read(catalog.BUILT_IN)
    db.create(path, 60.0, lambda connection: catalog.replace(connection, built_in))
    return path


def remove(path: Path) -> None:
    """Remove the database file at `path`, with what SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
