"""The report: `docs/BENCHMARKS.md`."""

import os
import platform
import sqlite3
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench.dataset import BASELINE_COMMIT
from bench.harness import CONNECTIONS, ROOT, Budget

PACKAGES = ("flask", "gunicorn", "marshmallow", "fastapi", "pydantic", "uvicorn", "sqlalchemy", "datasette")
TEXT = """\
# Benchmarks

Written by `make bench` on {date} from commit {commit}: {machine}. {versions}.

{met} budgets are met, {missed} are missed.

{table}

## Why budgets are missed

- *Same SQL*, *asked again* and *not modified*: Flask's dispatch, the headers, the ETag and `Link` are the rest. Only
  going around Flask would save most of it.
- *FastAPI*, from a million sessions on: more than half of our time is gunicorn, its log and Flask, as *Flask view,
  constant bytes* shows. The rest would have to take less than half of its time.
- *A session stored by SQL*: three triggers keep eight counts, the tags and the index of titles, which takes the most.
- *Import*: most of it is validation by Marshmallow and the Python around it, then come the same triggers. A second
  validation for plain records was faster, and a second definition of what is valid.

[DECISIONS.md](DECISIONS.md#what-would-be-faster) has what was measured instead.

## How it is measured

- Server on one core, load (`wrk`, one thread, {connections} connections) on another. Every server is one process; those
  under gunicorn have `deploy/gunicorn.conf.py` with its log and its number of threads.
- Everything is measured in turn, in {rounds} rounds of {seconds} s each, writes in at most {write_rounds}. A ratio is
  computed within each round: the table shows the median of the ratios, and in parentheses the least and the most.
- Requests are per second of the server's CPU time, which a busy machine does not change much. POST and the percentile
  are measured by the clock. Absolute values depend on the machine, and are the medians over the rounds.
- A response with a wrong status or size ends the run. Before that, each page is compared with ours as JSON, and
  Datasette's by its ids.
- A request of more than 10 ms is sent 20 times, one after the other, instead of under load.
- The page: 20 sessions of an organization that has half of the sessions of the database, with the exact total. Its key
  is checked. The sessions are spread over three years; later days have more. The organization has 100 agents, nine
  others have 10 each.
- Agents have 1 to 6 capabilities out of the whole catalog, harnesses one; a third of the sessions have one or two of
  their own. In the light database, agents have one, harnesses and sessions none.
- All files are in the memory of the operating system.

## What it is compared with

- *Bare WSGI, same SQL*: authentication and page by the functions of `everruns.store`, without Flask, validation, ETag
  and `Link`. *Constant bytes*: the bytes of that page, made once.
- *{baseline}*: the last commit of schema version 5, with its own gunicorn settings, on a file that its own import made.
- *FastAPI + SQLAlchemy*: SQLAlchemy 2 with eager loading, pydantic models, COUNT for the total, OFFSET below the joins,
  uvicorn with uvloop and httptools and without a log. Features come from a dictionary that is read at start. It uses
  our indexes, the full-text one for the search, and stores into a copy without our triggers for counts and tags.
- *Flask + SQLAlchemy*: the same models and queries under gunicorn.
- *Datasette*: its JSON API of the table, facets off. It checks no key, joins nothing and computes no features.
- *LIKE*: one statement that counts the titles of the organization with the term. The search also returns a page.
- *Bare WSGI, same INSERT*: a session stored with its new id and committed, without authentication, validation, checks
  of references and the session as response.
- *Without our triggers*: the same table, constraints and indexes; each session in a transaction, without waiting for
  the disk.
- *Bare executemany*: rows that are ready, into the same tables without our triggers, in one transaction.

Not measured: a network, TLS, a proxy, several machines, a disk that is not in memory, other hardware.

## Run it again

`make bench` needs two cores, Git and `wrk` (Debian: `apt-get install wrk`); `make bench-10m` also measures 10,000,000
sessions. `BENCH_ROUNDS` and `BENCH_SECONDS` change its length. The databases are kept in `bench/data/`.
"""


def text(budgets: list[Budget], rounds: int, write_rounds: int, seconds: int) -> str:
    """Return the whole file."""
    verdicts = [budget.verdict for budget in budgets]
    return TEXT.format(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        commit=_commit(),
        machine=f"{len(os.sched_getaffinity(0))} cores, {_processor()}",
        versions=", ".join(_versions()),
        met=verdicts.count("met"),
        missed=verdicts.count("missed"),
        table=table(budgets),
        connections=CONNECTIONS,
        baseline=BASELINE_COMMIT,
        rounds=rounds,
        write_rounds=write_rounds,
        seconds=seconds,
    )


def table(budgets: list[Budget]) -> str:
    """Return the budgets as a Markdown table."""
    head = ["what", "ours", "against", "ratio", "budget", ""]
    lines = [head, ["---"] * len(head), *(budget.cells() for budget in budgets)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.check_output(["git", *arguments], cwd=ROOT, text=True).strip()  # noqa: S603, S607

    changed = git("status", "--porcelain", "--", "app.py", "schema.sql", "everruns", "bench", "deploy")
    return git("rev-parse", "--short", "HEAD") + (" with changes" if changed else "")


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def _versions() -> Iterable[str]:
    yield f"Python {platform.python_version()}"
    yield f"SQLite {sqlite3.sqlite_version}"
    yield from (f"{package} {version(package)}" for package in PACKAGES)
