"""The harness: servers on one core, load on another, measurements in rounds, and budgets on their ratios."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from statistics import median
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
CONNECTIONS = 8
READY_SECONDS = 60
SINGLE_REQUESTS = 20
SLOW_SECONDS = 0.01  # of CPU time; such requests are only sent one at a time


class MeasurementFailed(Exception):
    """The run cannot be used; the message says why."""


class Request(NamedTuple):
    """A request to a server."""

    path: str
    headers: Mapping[str, str] = {}
    method: str = "GET"
    body: str = ""


class Response(NamedTuple):
    """The response to a single request."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Load(NamedTuple):
    """How many requests were served in how many seconds, and the 99th percentile of their latency."""

    requests: int
    seconds: float
    p99_ms: float


class Server:
    """A running server that listens on `port`."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port

    def send(self, request: Request) -> Response:
        """Send one request. Raises `OSError` or `http.client.HTTPException`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=READY_SECONDS)
        try:
            connection.request(request.method, request.path, request.body or None, dict(request.headers))
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Response(response.status, headers, body)

    def rate(self, request: Request, expected: Response, seconds: int) -> float:
        """Return how many times `request` is served in a second of the server's CPU time.

        A server under load keeps its core busy, so that this is its rate on an idle machine, and the same on a busy
        one. Raises `MeasurementFailed` unless all responses have the status and the size of `expected`.
        """
        started = self._cpu_seconds()
        for _ in range(SINGLE_REQUESTS):
            response = self.send(request)
            if response.status != expected.status:
                raise MeasurementFailed(f"{request.path}: status {response.status}, {response.body[:500]!r}")
        spent = self._cpu_seconds() - started
        if spent > SLOW_SECONDS * SINGLE_REQUESTS:
            return SINGLE_REQUESTS / spent
        started = self._cpu_seconds()
        load = self.load(request, expected, seconds)
        return load.requests / (self._cpu_seconds() - started)

    def load(self, request: Request, expected: Response, seconds: int, connections: int = CONNECTIONS) -> Load:
        """Send `request` again and again for `seconds`. Raises `MeasurementFailed` as `rate` does."""
        command = ["taskset", "-c", cores()[1], "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
        command += ["-s", str(Path(__file__).with_name("wrk.lua"))]
        for name, value in request.headers.items():
            command += ["-H", f"{name}: {value}"]
        command += [f"http://127.0.0.1:{self.port}{request.path}", "--", request.method, request.body]
        run = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)  # noqa: S603
        if run.returncode != 0:
            raise MeasurementFailed(f"wrk: {run.stderr or run.stdout}")
        result = json.loads(run.stdout.splitlines()[-1])
        requests, size = result["requests"], len(expected.body)
        # wrk counts 304 as it counts 200, but their sizes differ. Headers vary by a few bytes.
        if result["errors"] or not size * requests <= result["bytes"] <= (size + 2000) * (requests + connections):
            raise MeasurementFailed(f"{request.path}: {result} with bodies of {size} bytes")
        return Load(requests, result["microseconds"] / 1e6, result["p99"] / 1e3)

    def _cpu_seconds(self) -> float:
        ticks = 0
        for pid in (self.process.pid, *self._workers()):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def _workers(self) -> list[int]:
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def memory(self) -> float:
        """Return the resident memory of the workers in MiB."""
        statuses = (Path(f"/proc/{pid}/status").read_text() for pid in self._workers())
        return sum(int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) / 1024 for status in statuses)


@contextmanager
def serve(command: Sequence[str], environment: Mapping[str, str], folder: Path = ROOT) -> Iterator[Server]:
    """Run `command`, in which PORT stands for a free port, on the first core; yield once it accepts connections."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pinned = ["taskset", "-c", cores()[0], sys.executable, *(part.replace("PORT", str(port)) for part in command)]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(  # noqa: S603
            pinned, cwd=folder, env={**os.environ, **environment}, stdout=log, stderr=log, start_new_session=True
        )
        try:
            server = Server(process, port)
            deadline = time.monotonic() + READY_SECONDS
            while not _responds(server):
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    raise MeasurementFailed(f"{' '.join(pinned)} does not respond:\n{log.read().decode()}")
                time.sleep(0.1)
            yield server
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _responds(server: Server) -> bool:
    try:
        server.send(Request("/"))
    except (OSError, http.client.HTTPException):
        return False
    return True


def cores() -> tuple[str, str]:
    """Return the core for servers and the core for load. Raises `MeasurementFailed` when there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    missing = [tool for tool in ("wrk", "taskset") if shutil.which(tool) is None]
    if missing or len(allowed) < 2:
        raise MeasurementFailed(f"two cores, wrk and taskset are needed; missing: {' '.join(missing) or 'a core'}")
    return str(allowed[0]), str(allowed[1])


@dataclass(eq=False)
class Measurement:
    """A contender: `measure` returns its operations a second, or another amount in `unit`, once a round."""

    label: str
    measure: Callable[[], float]
    unit: str = "/s"
    values: list[float] = field(default_factory=list)

    def shown(self, as_time: bool) -> str:
        """Return the median over the rounds, for a table."""
        value = median(self.values)
        if as_time and self.unit == "/s":
            return f"{short(1 / value)} s" if value <= 1 else f"{short(1000 / value)} ms"
        return f"{short(value)}{self.unit}"


@dataclass(frozen=True)
class Budget:
    """The least or most that `ours` may be as a multiple of `other`; a multiple of its time where it is a most.

    Without `other`, the limit is one on `ours` itself. Without a limit it is only reported.
    """

    what: str
    ours: Measurement
    other: Measurement | None = None
    least: float | None = None
    most: float | None = None

    @property
    def ratios(self) -> list[float]:
        """The ratio in each round."""
        if self.other is None:
            return self.ours.values
        pairs = zip(self.ours.values, self.other.values, strict=True)
        is_time = self.most is not None and self.ours.unit == "/s"
        return [other / ours if is_time else ours / other for ours, other in pairs]

    @property
    def verdict(self) -> str:
        """Whether the median ratio is within the limit."""
        ratio = median(self.ratios)
        if self.least is None and self.most is None:
            return ""
        return "met" if (self.least or 0) <= ratio <= (self.most or inf) else "missed"

    def cells(self) -> list[str]:
        """Return the budget as a line of a table."""
        unit = self.ours.unit if self.other is None else " ×"
        limit = f"≥ {self.least}" if self.least else f"≤ {self.most}" if self.most else ""
        as_time = self.most is not None
        ratio = f"{short(median(self.ratios))}{unit} ({short(min(self.ratios))} to {short(max(self.ratios))})"
        other = f"{self.other.label}: {self.other.shown(as_time)}" if self.other else ""
        return [self.what, self.ours.shown(as_time), other, ratio, limit and limit + unit, self.verdict]


def run(budgets: Iterable[Budget], rounds: int) -> None:
    """Measure all contenders in turn, `rounds` times, so that a disturbance of the machine affects all of them."""
    measurements = dict.fromkeys(m for budget in budgets for m in (budget.ours, budget.other) if m)
    for number in range(1, rounds + 1):
        for measurement in measurements:
            measurement.values.append(measurement.measure())
        print(f"round {number} of {rounds} is done", file=sys.stderr)


def short(value: float) -> str:
    """Return `value` with three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
