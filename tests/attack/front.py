"""What is attacked: the service as it is deployed, and what is watched from outside while it is."""

import json
import os
import select
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from tests.attack import http
from tests.conftest import ROOT
from tests.servers import Service

PATIENCE_SECONDS = 20.0
USUAL_TIMES = 3.0  # a normal request after the attack may take so many times what it took before …
USUAL_MS = 5.0  # … and this is always usual: a busy machine is no broken promise
MEMORY_BOUND_KIB = 12 * 1024  # over all workers


class Data(NamedTuple):
    """A database to attack, and a key, an organization and an agent of it."""

    database: Path
    key: str
    organization: str
    agent: str
    other_key: str


def prepare(folder: Path, sessions: int = 2000) -> Data:
    """Make a database with two organizations, by the commands that users have."""
    database = folder / "everruns.db"
    command = Path(sys.executable).with_name("everruns")

    def run(*arguments: str) -> str:
        environment = {**os.environ, "EVERRUNS_DATABASE": str(database)}
        ran = subprocess.run([command, *arguments], env=environment, capture_output=True, text=True, check=True)
        return ran.stdout.strip()

    run("init-db")
    key, other_key = run("demo", "--sessions", str(sessions)), run("demo", "--sessions", "50")
    with closing(sqlite3.connect(database)) as connection:
        organization, agent = connection.execute(
            """
            SELECT organizations.public_id, agents.public_id
            FROM organizations
            JOIN agents ON agents.organization_id = organizations.id
            ORDER BY agents.id
            LIMIT 1
            """
        ).fetchone()
    return Data(database, key, organization, agent, other_key)


def content(database: Path) -> str:
    """All that `database` holds, as SQL."""
    with closing(sqlite3.connect(database)) as connection:
        return "\n".join(connection.iterdump())


class Target:
    """A running service under attack: what it answers, what it logs, how large and how quick it is."""

    def __init__(self, service: Service, data: Data) -> None:
        self.service = service
        self.data = data
        self.pids = sorted(service.workers())
        self._read = 0

    def exchange(self, payload: bytes, pieces: int = 1, pause: float = 0.0) -> bytes:
        """Send `payload`, in some pieces, end it, and give all that comes back until the other side ends it too."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(PATIENCE_SECONDS)
            client.connect(self.service.path)
            if pieces > 1:
                size = max(1, len(payload) // pieces)
                with suppress(BrokenPipeError, ConnectionResetError):
                    for at in range(0, len(payload), size):
                        client.sendall(payload[at : at + size])
                        time.sleep(pause)
                payload = b""
            return _both_ways(client, payload)

    def abandon(self, payload: bytes) -> None:
        """Send `payload` and go away at once."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(PATIENCE_SECONDS)
            client.connect(self.service.path)
            with suppress(BrokenPipeError, ConnectionResetError):
                client.sendall(payload)

    def usual_ms(self, requests: int = 100) -> float:
        """The median time of a normal request, in milliseconds, each over a connection of its own."""
        line = f"GET /v1/sessions?limit=20 HTTP/1.1\r\nHost: a\r\nAuthorization: {self.data.key}\r\n"
        request = f"{line}Connection: close\r\n\r\n".encode()
        times = []
        for _ in range(requests):
            started = time.perf_counter()
            data = self.exchange(request)
            times.append((time.perf_counter() - started) * 1000)
            (answer,), _ = http.answers(data, may_be_head=False)
            if answer.status != 200:
                raise http.Broken(f"a normal request gets {answer.status} {answer.body!r}")
        return statistics.median(times)

    def memory_kib(self) -> int:
        """Resident memory of the workers; raises `Broken` when one of them is another than at the start."""
        pids = sorted(self.service.workers())
        if pids != self.pids:
            raise http.Broken(f"workers were lost: {self.pids} became {pids}")
        return sum(resident_kib(pid) for pid in pids)

    def judge_log(self) -> int:
        """Judge the lines that have come since the last time, and give their number; raises `Broken`."""
        with self.service.log.open("rb") as log:
            log.seek(self._read)
            data = log.read()
        whole = data.rfind(b"\n") + 1
        self._read += whole
        lines = data[:whole].splitlines()
        for line in lines:
            self._judge_line(line)
        return len(lines)

    def _judge_line(self, line: bytes) -> None:
        try:
            told = json.loads(line)
        except ValueError:
            raise http.Broken(f"a line of the log is no JSON: {line[:300]!r}") from None
        if "traceback" in told or told.get("level") in ("error", "critical"):
            raise http.Broken(f"the log tells of a fault: {line[:3000]!r}")
        if any(key.encode() in line for key in (self.data.key, self.data.other_key)):
            raise http.Broken("a whole key is in the log")


def _both_ways(client: socket.socket, payload: bytes) -> bytes:
    """Send and receive at once, so that neither side waits for the other; raises `Broken` for an endless wait."""
    received: list[bytes] = []
    left = memoryview(payload)
    if len(payload) < 16_384:
        with suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(payload)
            client.shutdown(socket.SHUT_WR)
        left = left[:0]
    sending = bool(left)
    while True:
        readable, writable, _ = select.select([client], [client] if sending else [], [], PATIENCE_SECONDS)
        if not readable and not writable:
            raise http.Broken(f"no answer in {PATIENCE_SECONDS} s; so far: {b''.join(received)[:200]!r}")
        if writable:
            try:
                left = left[client.send(left[:65_536]) :]
                if not left:
                    client.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError):
                left = left[:0]
            sending = bool(left)
        if readable:
            try:
                data = client.recv(262_144)
            except ConnectionResetError:
                data = b""
            if not data:
                return b"".join(received)
            received.append(data)


def resident_kib(pid: int) -> int:
    """Resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1])


@contextmanager
def attacked(folder: Path, data: Data, plant: str = "", **environment: str) -> Iterator[Target]:
    """The service on `data`, ready to be attacked, with the planted fault of that name, if any."""
    running = Service(folder, data.database, ROOT, EVERRUNS_PLANT=plant, **environment)
    if plant:
        running.application = "tests.attack.planted_front:application\\(\\)"
    try:
        running.start()
        for _ in range(100):
            if len(running.workers()) >= int(running.environment["EVERRUNS_WORKERS"]):
                break
            time.sleep(0.05)
        yield Target(running, data)
    finally:
        with suppress(subprocess.TimeoutExpired):
            running.stop()
        if running.process is not None:
            running.signal(signal.SIGKILL)
            running.stop()
        running.listener.close()


class Before:
    """How large and how quick the service was before the attack, to be compared with afterwards."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.memory_kib = target.memory_kib()
        self.usual_ms = target.usual_ms()

    def compare(self, memory_bound_kib: int = MEMORY_BOUND_KIB) -> dict[str, Any]:
        """The figures of before and after; raises `Broken` when memory has grown, or a normal request takes longer."""
        usual_ms, memory_kib = self.target.usual_ms(), self.target.memory_kib()
        figures = {
            "latency_before_ms": round(self.usual_ms, 3),
            "latency_after_ms": round(usual_ms, 3),
            "latency_ratio": round(usual_ms / self.usual_ms, 3),
            "memory_before_kib": self.memory_kib,
            "memory_after_kib": memory_kib,
            "memory_growth_kib": memory_kib - self.memory_kib,
        }
        if memory_kib - self.memory_kib > memory_bound_kib:
            raise http.Broken(f"memory grows: {figures}")
        if usual_ms > max(USUAL_MS, USUAL_TIMES * self.usual_ms):
            raise http.Broken(f"a normal request is slower than before: {figures}")
        return figures
