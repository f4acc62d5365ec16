"""The run: builds the databases, measures every row of the table side by side, prints table and verdict."""

import argparse
import http.client
import json
import os
import platform
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from bench import importing, verdicts
from bench.contenders import CONTENDERS, KEYLESS, LIMIT, PEERS, Question, check, command, environment, url
from bench.dataset import DATA, Database, build
from bench.load import CONNECTIONS, Answer, Load, MeasurementFailed, Server, cores, serve

PATIENCE_SECONDS = 30
GROUPS = (("ours", "floor"), ("cached", "memory"), (*PEERS, "datasette-default"))
PACKAGES = ("flask", "gunicorn", "marshmallow", "fastapi", "pydantic", "uvicorn", "sqlalchemy", "datasette")


@dataclass
class Job:
    """A contender asked a question on a database, and what came of it."""

    database: Database
    contender: str
    question: Question
    server: Server
    headers: dict[str, str] = field(default_factory=dict)
    expected: Answer | None = None
    loads: list[Load] = field(default_factory=list)
    note: str = ""

    @property
    def path(self) -> str:
        """Path and query of the question."""
        return url(self.contender, self.question, self.database)

    def prepare(self, duration: int, ours: Answer | None) -> Answer | None:
        """Warm everything up and check the answer against `ours`; gives what was answered."""
        if self.contender not in KEYLESS:
            self.headers["Authorization"] = f"Bearer {self.database.key}"
        try:
            answer = self.server.get(self.path, self.headers, PATIENCE_SECONDS)
            if self.question.unchanged:
                if "etag" not in answer.headers:
                    self.note = "the answer has no ETag"
                    return None
                self.headers["If-None-Match"] = answer.headers["etag"]
            again = (self.server.get(self.path, self.headers, PATIENCE_SECONDS) for _ in range(3))
            answer = min(again, key=lambda one: one.seconds)
        except (OSError, http.client.HTTPException):
            self.note = f"no answer within {PATIENCE_SECONDS} s"
            return None
        if answer.status != (304 if self.question.unchanged else 200):
            if self.contender not in KEYLESS:
                raise MeasurementFailed(f"{self.contender} {self.path}: {answer.status} {answer.body[:500]!r}")
            self.note = f"answered {answer.status}: its time limit of 10 s for a query was over"
            return None
        if ours and not self.question.unchanged:
            check(self.contender, answer, ours)
        self.expected = answer
        if answer.seconds <= duration:
            self.server.measure(self.path, self.headers, answer, 1)
        return answer

    def run(self, duration: int) -> None:
        """Measure one round, unless it is known that no request would be finished in it."""
        if self.expected is None or self.expected.seconds > duration:
            return
        self.loads.append(self.server.measure(self.path, self.headers, self.expected, duration))
        self.server.settle()

    def result(self) -> dict[str, Any]:
        """What came of it, with medians over the rounds."""
        rate = median(load.rate for load in self.loads) if self.loads else 0
        if not rate and self.expected:
            # Under load none was finished: alone one was.
            rate = 1 / self.expected.seconds
            self.note = f"none finished under load; alone, one took {self.expected.seconds:.1f} s"
        return {
            "sessions": self.database.sessions,
            "contender": self.contender,
            **asdict(self.question),
            "rate": rate or None,
            "rates": [load.rate for load in self.loads],
            "p50_ms": median(load.p50_ms for load in self.loads) if self.loads else None,
            "p99_ms": median(load.p99_ms for load in self.loads) if self.loads else None,
            "memory": self.server.memory(),
            "note": self.note,
        }


def jobs(databases: list[Database], servers: dict[tuple[int, str], Server]) -> Iterator[Job]:
    """Everything that is asked, in the order of a round: what is compared comes one right after the other."""
    first, last = databases[0], databases[-1]
    for group in GROUPS:
        for database in databases:
            for contender in group:
                yield Job(database, contender, Question(), servers[database.sessions, contender])
            if "memory" in group:
                yield Job(database, "cached", Question(unchanged=True), servers[database.sessions, "cached"])
    for database in {first.sessions: first, last.sessions: last}.values():
        for contender in ("ours", *PEERS):
            yield Job(database, contender, Question(of_agent=True), servers[database.sessions, contender])
    for offset in depths(last.total):
        for contender in ("ours", *PEERS):
            yield Job(last, contender, Question(offset=offset), servers[last.sessions, contender])


def depths(total: int) -> list[int]:
    """Offsets over all depths, the deepest page among them; none is a round number that a shortcut could favour."""
    spread = [power + 7 for power in (10**exponent for exponent in range(2, 8)) if power < total // 3]
    return [*spread, total // 2 + 7, total * 3 // 4 + 3, total - LIMIT]


def measure(databases: list[Database], rounds: int, duration: int) -> list[dict[str, Any]]:
    """Start every contender on every database, and measure all of them in turn, `rounds` times."""
    with ExitStack() as stack:
        servers = {}
        for database in databases:
            for name in CONTENDERS:
                path = url(name, Question(), database)
                running = serve(command(name, database), environment(name, database), path, database.key)
                servers[database.sessions, name] = stack.enter_context(running)
        todo = list(jobs(databases, servers))
        ours: dict[tuple[int, Question], Answer | None] = {}
        for job in todo:
            answer = job.prepare(duration, ours.get((job.database.sessions, job.question)))
            job.server.settle()
            if job.contender == "ours":
                ours[job.database.sessions, job.question] = answer
        for number in range(rounds):
            for job in todo:
                job.run(duration)
            print(f"round {number + 1} of {rounds} is measured", file=sys.stderr)
        return [job.result() for job in todo]


def circumstances() -> dict[str, Any]:
    """Date, cores and versions."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    wrk = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout  # noqa: S607
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "cores": len(os.sched_getaffinity(0)),
        "cpu": model or platform.machine(),
        "versions": {
            "Python": platform.python_version(),
            "SQLite": sqlite3.sqlite_version,
            **{package: version(package) for package in PACKAGES},
            "wrk": wrk.split()[1] if wrk else "unknown",
        },
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--sizes", default="1000,100000,1000000", help="sessions of each database (%(default)s)")
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("BENCH_ROUNDS", "3")))
    parser.add_argument("--duration", type=int, default=int(os.environ.get("BENCH_DURATION", "3")), help="seconds")
    parser.add_argument("--import-sessions", type=int, default=1_000_000, help="0 leaves the import out (%(default)s)")
    given = parser.parse_args()
    try:
        cores()
        databases = [build(sessions) for sessions in sorted(map(int, given.sizes.split(",")))]
        results: dict[str, Any] = {**circumstances(), "rounds": given.rounds, "duration": given.duration}
        results["connections"] = CONNECTIONS
        results["sizes"] = [database.sessions for database in databases]
        results["totals"] = [database.total for database in databases]
        results["measurements"] = measure(databases, given.rounds, given.duration)
        if given.import_sessions:
            print("measuring the import", file=sys.stderr)
            imported = given.import_sessions
            results["import"] = importing.measure(max(imported // 10, 1), imported, given.rounds)
    except MeasurementFailed as failed:
        raise SystemExit(f"the measurement failed: {failed}") from None
    (DATA / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    for row in verdicts.rows(results):
        what, ours, other, measured, budget, verdict = row.cells
        print(f"{verdict:13} {measured:>10} (budget {budget:>8}) {what}: {ours}" + (f" to {other}" if other else ""))


if __name__ == "__main__":
    main()
