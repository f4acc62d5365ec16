"""What would be faster than what the service does, in process: `make bench-alternatives`."""

import json
import time
from collections.abc import Callable, Iterator
from itertools import islice
from statistics import median
from unittest.mock import patch

from bench import dataset as data
from bench.dataset import Dataset
from everruns.records import Organization
from everruns.schemas import queries
from everruns.store import db, sessions
from everruns.store.tables import render_all
from everruns.transfer.importer import Import
from everruns.transfer.parser import ParsedRecord
from everruns.transfer.resources import SESSION

SESSIONS = 1_000_000
ROUNDS = 15
PAGES = 200
WRITTEN = 2_000
ORGANIZATION = Organization(1, data.organization_id(), "")

_BEFORE, _, _REST = sessions.SELECT_SESSIONS.partition("'features', ")
_FEATURES, _, _AFTER = _REST.partition("'created_at'")
_FIND = _FEATURES[_FEATURES.index("SELECT json_group_array") : _FEATURES.index("ORDER BY feature")] + ")"
WITHOUT_FEATURES = f"{_BEFORE}'features', json('[]'), 'created_at'{_AFTER}"
NOTHING_KEPT = f"{_BEFORE}'features', json(({_FIND})), 'created_at'{_AFTER}"

Measure = Callable[[], float]


def page(dataset: Dataset, select: str) -> Measure:
    """Return a function that makes the first page with `select` again and again, and returns the seconds."""
    connection = db.connect(dataset.path, 60)
    query = queries.sessions_query(b"")

    def measure() -> float:
        with patch.object(sessions, "SELECT_SESSIONS", select):
            started = time.process_time()
            for _ in range(PAGES):
                sessions.list_sessions(connection, ORGANIZATION, query)
            return time.process_time() - started

    return measure


def insert(dataset: Dataset, dropped: str) -> Measure:
    """Return a function that stores sessions by plain SQL without the triggers whose name ends with `dropped`."""
    connection = db.connect(dataset.path, 60)
    rows = list(data.session_rows(dataset, dataset.sessions, dataset.sessions + WRITTEN))
    triggers = "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'sessions' AND name LIKE ?"

    def measure() -> float:
        connection.execute("BEGIN IMMEDIATE")
        for (name,) in connection.execute(triggers, [f"sessions_insert_{dropped}"]).fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        started = time.process_time()
        for row in rows:
            connection.execute(data.INSERT_SESSION, row)
        seconds = time.process_time() - started
        connection.execute("ROLLBACK")
        return seconds

    return measure


def imported(dataset: Dataset, validated: bool) -> Measure:
    """Return a function that imports sessions, which are validated or have been before."""
    connection = db.connect(dataset.path, 60)
    lines = list(islice(render_all(connection, sessions.TABLE, ORGANIZATION), WRITTEN))
    ready = {json.loads(line)["id"]: SESSION.schema.load(json.loads(line)) for line in lines}

    def groups() -> Iterator[list[ParsedRecord]]:
        for line in lines:
            yield [ParsedRecord("", json.loads(line))]

    def load(record: dict[str, object], partial: object = None) -> dict[str, object]:
        return dict(ready[record["id"]])

    def measure() -> float:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM sessions WHERE id IN (SELECT id FROM sessions LIMIT ?)", [3 * WRITTEN])
        with patch.object(SESSION.schema, "load", SESSION.schema.load if validated else load):
            started = time.process_time()
            Import(connection, ORGANIZATION).run(groups())
            seconds = time.process_time() - started
        connection.execute("ROLLBACK")
        return seconds

    return measure


def compare(what: str, ours: Measure, others: dict[str, Measure]) -> None:
    """Print how much faster than `ours` each of `others` is: the median of the ratios, and the least and the most."""
    ratios: dict[str, list[float]] = {name: [] for name in others}
    for _ in range(ROUNDS):
        seconds = ours()
        for name, other in others.items():
            ratios[name].append(seconds / other())
    for name, values in ratios.items():
        print(f"- {what}, {name}: {median(values):.2f} × ({min(values):.2f} to {max(values):.2f})")


def main() -> None:
    """Print the alternatives as a list."""
    dataset = Dataset(SESSIONS)
    data.build(dataset)
    ours = page(dataset, sessions.SELECT_SESSIONS)
    others = {
        "features found again for each session": page(dataset, NOTHING_KEPT),
        "no features": page(dataset, WITHOUT_FEATURES),
    }
    compare("SQL of the first page", ours, others)
    names = {"counts": "count", "tags": "tags", "index of titles": "title", "counts, tags and index of titles": "%"}
    compare(
        "a session stored by SQL",
        insert(dataset, "-"),
        {f"no {name}": insert(dataset, end) for name, end in names.items()},
    )
    without = {"no validation": imported(dataset, validated=False)}
    compare("an import of sessions", imported(dataset, validated=True), without)


if __name__ == "__main__":
    main()
