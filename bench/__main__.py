"""The contenders, the budgets, and the command line."""

import argparse
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from bench import dataset as data
from bench import harness, local, report
from bench.dataset import Dataset
from bench.harness import ROOT, Budget, Measurement, MeasurementFailed, Request, Response, Server

IMPORTED = 100_000
WRITE_ROUNDS = 5
GUNICORN = ["-m", "gunicorn", "--config", "deploy/gunicorn.conf.py", "--workers", "1", "--bind", "127.0.0.1:PORT"]
UVICORN = ["-m", "uvicorn", "--no-access-log", "--log-level", "warning", "--port", "PORT"]
DATASETTE = ["-m", "datasette", "serve", "DATABASE", "--setting", "sql_time_limit_ms", "10000", "--port", "PORT"]
DATASETTE_PAGE = "sessions.json?organization_id=1&_sort_desc=created_at&_size=20&_shape=objects&_nofacet=1&_nosuggest=1"

AUTHORIZATION = {"Authorization": f"Bearer {data.KEY}"}
FIRST_PAGE = Request("/v1/sessions", AUTHORIZATION)
OLD_PAGE = Request("/v1/sessions?created_before=2025-07-01T00:00:00Z", AUTHORIZATION)  # new sessions do not change it
NEW_SESSION = Request(
    "/v1/sessions",
    {**AUTHORIZATION, "Content-Type": "application/json"},
    "POST",
    json.dumps({"agent_id": data.agent_id(), "title": "Refund for order 1182", "tags": ["urgent", "billing"]}),
)


@dataclass(frozen=True, eq=False)
class Contender:
    """A program that serves `/v1/sessions`; in `command`, DATABASE and PORT stand for those of a run."""

    label: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)


OURS = Contender("ours, no cache", [*GUNICORN, "app:app"], {"EVERRUNS_CACHED_RESPONSES": "0"})
CACHED = Contender("ours", [*GUNICORN, "app:app"])
DEPLOYED = Contender("ours", [*GUNICORN, "--workers", "2", "app:app"], {"EVERRUNS_CACHED_RESPONSES": "0"})
BASELINE = Contender(f"{data.BASELINE_COMMIT}, no cache", [*GUNICORN, "app:app"], {"EVERRUNS_CACHED_PAGES": "0"})
SAME_SQL = Contender("bare WSGI, same SQL", [*GUNICORN, "bench.peers.floor:same_sql"])
SAME_INSERT = Contender("bare WSGI, same INSERT", [*GUNICORN, "bench.peers.floor:same_insert"])
CONSTANT = Contender("bare WSGI, constant bytes", [*GUNICORN, "bench.peers.floor:constant"])
SAME_BYTES = Contender("Flask view, constant bytes", [*GUNICORN, "bench.peers.floor:flask"])
FASTAPI = Contender("FastAPI + SQLAlchemy", [*UVICORN, "bench.peers.fastapi_sqlalchemy:app"])
FLASK = Contender("Flask + SQLAlchemy", [*GUNICORN, "bench.peers.flask_sqlalchemy:app"])
DATASETTE_JSON = Contender("Datasette", DATASETTE)


class Pages:
    """Measurements of pages over HTTP. Each contender is started once per dataset."""

    def __init__(self, stack: ExitStack, seconds: int) -> None:
        self.stack = stack
        self.seconds = seconds
        self.servers: dict[tuple[Contender, Dataset], Server] = {}

    def server(self, contender: Contender, dataset: Dataset) -> Server:
        """Return the server of `contender` on `dataset`, started if needed."""
        if (contender, dataset) not in self.servers:
            data.build(dataset)
            folder, path = ROOT, dataset.path
            if contender is BASELINE:
                data.build_baseline(dataset)
                folder, path = data.baseline_code(), dataset.baseline_path
            command = [part.replace("DATABASE", str(path)) for part in contender.command]
            environment = {**contender.environment, "EVERRUNS_DATABASE": str(path)}
            server = self.stack.enter_context(harness.serve(command, environment, folder))
            self.servers[contender, dataset] = server
        return self.servers[contender, dataset]

    def page(
        self, contender: Contender, dataset: Dataset, *, unchanged: bool = False, **arguments: object
    ) -> Measurement:
        """Measure a page of the first organization; `unchanged` sends its ETag. The content is checked first."""
        path = f"/v1/sessions?{urlencode(arguments)}" if arguments else "/v1/sessions"
        headers = dict(AUTHORIZATION)
        right = self.server(OURS, dataset).send(Request(path, headers))
        if contender is DATASETTE_JSON:
            path = f"/{dataset.path.stem}/{DATASETTE_PAGE}"
        server = self.server(contender, dataset)
        response = server.send(Request(path, headers))
        if right.status != 200 or not _is_same_page(response, right):
            raise MeasurementFailed(f"{contender.label} {path}: {response.body[:2000]!r}; right: {right.body[:2000]!r}")
        if unchanged:
            headers["If-None-Match"] = response.headers["etag"]
        request = Request(path, headers)
        expected = server.send(request)
        server.rate(request, expected, 1)  # so that every thread has opened the database
        return Measurement(contender.label, lambda: server.rate(request, expected, self.seconds))

    def post(self, contender: Contender, dataset: Dataset) -> Measurement:
        """Measure storing sessions, by the clock, as it is mostly a wait for the disk."""
        server = self.server(contender, dataset)
        expected = server.send(NEW_SESSION)
        if expected.status != 201:
            raise MeasurementFailed(f"{contender.label} POST: {expected.status} {expected.body!r}")

        def measure() -> float:
            load = server.load(NEW_SESSION, expected, self.seconds)
            return load.requests / load.seconds

        return Measurement(contender.label, measure)

    def percentile(self, dataset: Dataset, writers: int) -> Measurement:
        """Measure the 99th percentile of the latency of a page while `writers` clients store sessions."""
        server = self.server(DEPLOYED, dataset)
        page = server.send(OLD_PAGE)
        session = server.send(NEW_SESSION)

        def measure() -> float:
            with ThreadPoolExecutor(1) as other:
                writing = writers and other.submit(server.load, NEW_SESSION, session, self.seconds + 1, writers)
                load = server.load(OLD_PAGE, page, self.seconds)
                if writing:
                    writing.result()
            return load.p99_ms

        return Measurement(f"with {writers} writers" if writers else "reads alone", measure, " ms")

    def total(self, dataset: Dataset) -> int:
        """Return how many sessions the first organization has."""
        return int(json.loads(self.server(OURS, dataset).send(FIRST_PAGE).body)["total"])

    def memory(self, dataset: Dataset) -> Measurement:
        """Measure the larger of the workers with and without cache."""
        servers = [self.server(contender, dataset) for contender in (OURS, CACHED)]
        return Measurement("ours", lambda: max(server.memory() for server in servers), " MiB")


def _is_same_page(response: Response, right: Response) -> bool:
    """Return whether both have the same JSON, order of keys included; of Datasette's, only the ids must be the same."""
    page, right_page = json.loads(response.body), json.loads(right.body)
    if "rows" in page:
        return [row["public_id"] for row in page["rows"]] == [session["id"] for session in right_page["data"]]
    return json.dumps(page) == json.dumps(right_page)


def read_budgets(pages: Pages, sizes: list[int]) -> Iterator[Budget]:
    """Yield the budgets of reading; what is compared is measured one right after the other."""
    small, main, largest = Dataset(sizes[0]), Dataset(sizes[1]), Dataset(sizes[-1])
    light = main._replace(light=True)
    first = {dataset: pages.page(OURS, dataset) for dataset in {small, main, largest, light}}
    for dataset in (main, light):
        what, ours = f"first page, {dataset.name} sessions", first[dataset]
        yield Budget(what, ours, pages.page(SAME_SQL, dataset), least=0.8)
        yield Budget(what, ours, pages.page(CONSTANT, dataset), least=0.18)
        yield Budget(what, ours, pages.page(BASELINE, dataset), least=None if dataset.light else 1.8)
    same_bytes = pages.page(SAME_BYTES, main)
    yield Budget(f"first page asked again, {main.name} sessions", pages.page(CACHED, main), same_bytes, least=0.75)
    not_modified = pages.page(CACHED, main, unchanged=True)
    yield Budget(f"first page, not modified, {main.name} sessions", not_modified, same_bytes, least=0.75)
    first[small].label = f"{small.name} sessions"
    yield Budget(f"time of the first page, {largest.name} sessions", first[largest], first[small], most=1.2)
    total = pages.total(largest)
    agent = {"agent_id": data.agent_id()}
    period = {"created_after": "2023-07-01T12:00:00Z", "created_before": "2025-07-01T12:00:00Z"}
    for what, arguments in (
        ("a page in the middle", {"offset": total // 2}),
        ("the last page", {"offset": total - 20}),
        ("a status's first page", {"status": "active"}),
        ("a status's page in the middle", {"status": "active", "offset": total // 20}),
        ("an agent's first page", agent),
        ("an agent's page in the middle", {**agent, "offset": total // 20}),
        ("a period's first page", period),
        ("a period's page in the middle", {**period, "offset": total // 3}),
        (
            "an agent's, a status's and a period's last page",
            {**agent, **period, "status": "idle", "offset": total // 20},
        ),
    ):
        page = pages.page(OURS, largest, **arguments)
        yield Budget(f"time of {what}, {largest.name} sessions", page, first[largest], most=2)
    for contender in (FASTAPI, FLASK, DATASETTE_JSON):
        for dataset, least in zip(map(Dataset, sizes), (5, 60, 500), strict=False):
            what, other = f"first page, {dataset.name} sessions", pages.page(contender, dataset)
            yield Budget(what, first[dataset], other, least=least if contender is FASTAPI else None)
    term = "order 77"
    scan = Measurement("LIKE", lambda: local.like_scan_rate(main, term))
    search, status = pages.page(OURS, main, search=term), pages.page(OURS, main, status="active")
    yield Budget(f"search for a term, {main.name} sessions", search, scan, least=20)
    for contender in (FASTAPI, FLASK):
        yield Budget(f"search for a term, {main.name} sessions", search, pages.page(contender, main, search=term))
        what = f"a status's first page, {main.name} sessions"
        yield Budget(what, status, pages.page(contender, main, status="active"))
    yield Budget(f"memory of a worker, {main.name} sessions", pages.memory(main), most=48)


def write_budgets(pages: Pages, dataset: Dataset) -> Iterator[Budget]:
    """Yield the budgets of writing."""
    copy = data.copy(dataset)
    post, same_insert = pages.post(OURS, copy), pages.post(SAME_INSERT, copy)
    yield Budget(f"POST, {dataset.name} sessions", post, same_insert, least=0.6)
    peers_copy = data.copy_for_peers(dataset)
    for contender in (FASTAPI, FLASK):
        yield Budget(f"POST, {dataset.name} sessions", post, pages.post(contender, peers_copy))
    alone, while_writing = pages.percentile(copy, writers=0), pages.percentile(copy, writers=4)
    yield Budget("99th percentile of reads, 4 clients writing", while_writing, alone, most=3)
    insert = Measurement("plain SQL", local.Insert(copy, triggers=True).measure)
    without_triggers = Measurement("without our triggers", local.Insert(copy, triggers=False).measure)
    yield Budget(f"time of a session stored by SQL, {dataset.name} sessions", insert, without_triggers, most=3)
    recount = Measurement("recount", lambda: local.recount_seconds(dataset), " s")
    yield Budget(f"recount of {dataset.name} sessions", recount)
    imports = local.Imports(dataset, IMPORTED)
    imported = Measurement("import", lambda: imports.rate(IMPORTED))
    bare = Measurement("bare executemany", imports.bare_rate)
    yield Budget(f"import of {IMPORTED:,} sessions", imported, bare, least=0.2)
    memory = Measurement("import", lambda: imports.memory(IMPORTED), " MiB")
    memory_of_tenth = Measurement("of a tenth of them", lambda: imports.memory(IMPORTED // 10), " MiB")
    yield Budget(f"memory of an import of {IMPORTED:,} sessions", memory, memory_of_tenth, most=1.2)


def main() -> None:
    """Measure, print the result and write it to a file."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the budgets.")
    parser.add_argument("--sizes", default="1000,1000000", help="sessions of the databases, ascending (%(default)s)")
    parser.add_argument("--rounds", type=int, default=os.environ.get("BENCH_ROUNDS", "9"))
    parser.add_argument("--seconds", type=int, default=os.environ.get("BENCH_SECONDS", "1"), help="of load a round")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "BENCHMARKS.md", help="(%(default)s)")
    arguments = parser.parse_args()
    sizes = [int(size) for size in arguments.sizes.split(",")]
    try:
        with ExitStack() as stack:
            pages = Pages(stack, arguments.seconds)
            reading, writing = list(read_budgets(pages, sizes)), list(write_budgets(pages, Dataset(sizes[1])))
            harness.run(reading, arguments.rounds)
            harness.run(writing, min(arguments.rounds, WRITE_ROUNDS))
    except MeasurementFailed as failed:
        raise SystemExit(f"the measurement failed: {failed}") from None
    arguments.output.write_text(
        report.text([*reading, *writing], arguments.rounds, WRITE_ROUNDS, arguments.seconds), encoding="utf-8"
    )
    print(report.table([*reading, *writing]))


if __name__ == "__main__":
    main()
