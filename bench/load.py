"""Load: a server process on one core, wrk on another, and what was measured."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
CONNECTIONS = 8
READY_SECONDS = 60
SETTLE_SECONDS = 120


class MeasurementFailed(Exception):
    """What was measured is not what should have been measured; the message says what happened."""


@dataclass(frozen=True)
class Load:
    """What wrk saw: `requests` finished in `seconds`, and how long one took, in milliseconds."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


@dataclass(frozen=True)
class Answer:
    """The answer to one request, and the seconds it took."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float


class Server:
    """A running server: asked by `get`, put under load by `measure`."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port

    def get(self, path: str, headers: Mapping[str, str], timeout: float) -> Answer:
        """Ask once; raises `OSError`, which a timeout is, and `http.client.HTTPException`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        started = time.perf_counter()
        try:
            connection.request("GET", path, headers=dict(headers))
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        answered = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, answered, body, time.perf_counter() - started)

    def measure(self, path: str, headers: Mapping[str, str], expected: Answer, seconds: int) -> Load:
        """Put the server under load for `seconds`; every answer must have the status and the size of `expected`.

        wrk counts no status below 400, so that the size of what came tells a 200 from a 304.
        """
        command = ["taskset", "-c", cores()[1], "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s"]
        command += ["-s", str(Path(__file__).with_name("wrk.lua"))]
        for name, value in headers.items():
            command += ["-H", f"{name}: {value}"]
        command.append(f"http://127.0.0.1:{self.port}{path}")
        run = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)  # noqa: S603
        if run.returncode != 0:
            raise MeasurementFailed(f"wrk: {run.stderr or run.stdout}")
        seen = json.loads(run.stdout.splitlines()[-1])
        if seen["status"] or seen["socket"]:
            raise MeasurementFailed(f"{path}: {seen['status']} wrong statuses, {seen['socket']} socket errors")
        # The heads vary by a few bytes (a date, a request id); the last answers may have come only in part.
        body = len(expected.body)
        least, most = body * seen["requests"], (body + 2000) * (seen["requests"] + CONNECTIONS)
        if not least <= seen["bytes"] <= most:
            raise MeasurementFailed(f"{path}: {seen['bytes']} bytes in {seen['requests']} answers of {body} bytes")
        again = self.get(path, headers, timeout=60)
        if again.status != expected.status:
            raise MeasurementFailed(f"{path}: status {again.status} after the load, {expected.status} before")
        return Load(seen["requests"], seen["microseconds"] / 1e6, seen["p50"] / 1e3, seen["p99"] / 1e3)

    def settle(self) -> None:
        """Wait until the server rests: some go on with requests that nobody waits for, on the core of all servers."""
        deadline = time.monotonic() + SETTLE_SECONDS
        before = -1
        while (now := sum(_ticks(pid) for pid in self._tree())) > before + 1 and time.monotonic() < deadline:
            before = now
            time.sleep(0.2)

    def memory(self) -> float:
        """MiB resident of the processes that answer: the workers where there are any, else the server itself."""
        pids = self._tree()[1:] or [self.process.pid]
        return sum(_kib(pid, "VmRSS") for pid in pids) / 1024

    def _tree(self) -> list[int]:
        pid = self.process.pid
        return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


@contextmanager
def serve(command: list[str], environment: Mapping[str, str], path: str, key: str) -> Iterator[Server]:
    """Run `command`, where PORT stands for a free port, on the first core; ready when `path` is answered at all."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pinned = ["taskset", "-c", cores()[0], *(part.replace("PORT", str(port)) for part in command)]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(  # noqa: S603 -- the commands are ours
            pinned, cwd=ROOT, env={**os.environ, **environment}, stdout=log, stderr=log, start_new_session=True
        )
        try:
            server = Server(process, port)
            deadline = time.monotonic() + READY_SECONDS
            while not _answers(server, path, key):
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    output = log.read().decode(errors="replace")
                    raise MeasurementFailed(f"{' '.join(pinned)} does not answer:\n{output}")
                time.sleep(0.1)
            yield server
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def cores() -> tuple[str, str]:
    """The core for servers and the one for load; raises `MeasurementFailed` when there are not two, or no tools."""
    allowed = sorted(os.sched_getaffinity(0))
    missing = [tool for tool in ("wrk", "taskset") if shutil.which(tool) is None]
    if missing or len(allowed) < 2:
        raise MeasurementFailed(f"two cores, wrk and taskset are needed; missing: {' '.join(missing) or 'a core'}")
    return str(allowed[0]), str(allowed[1])


def peak_memory(process: subprocess.Popen[bytes]) -> float:
    """Wait for `process` and return its peak in MiB, to within what it grows in its last twentieth of a second.

    Not `ru_maxrss`: that also counts the memory which the process that started it had.
    """
    peak = 0
    while process.poll() is None:
        peak = max(peak, _kib(process.pid, "VmHWM"))
        time.sleep(0.05)
    return peak / 1024


def _answers(server: Server, path: str, key: str) -> bool:
    try:
        server.get(path, {"Authorization": f"Bearer {key}"}, timeout=READY_SECONDS)
    except (OSError, http.client.HTTPException):
        return False
    return True


def _kib(pid: int, field: str) -> int:
    """A field of /proc/PID/status in KiB; 0 once the process has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{field}:")), 0)


def _ticks(pid: int) -> int:
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(after_name[11]) + int(after_name[12])
