"""Ten times the load that the service can serve, and 500 slow clients, through nginx as it is deployed.

    python -m tests.attack.overload --seconds 20 [--figures docs/attacks.json]

The load is an open one: requests come when they are due, answered or not, and a latency counts from when one was due.
"""

import argparse
import json
import random
import selectors
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from tests.attack import figures, http
from tests.attack.front import MEMORY_BOUND_KIB, Data, Target, attacked, prepare, resident_kib
from tests.attack.target import need
from tests.servers import Nginx, unlimited

TIMES = 10
CONNECTIONS = 350
SLOW_CLIENTS = 500
SLOWER_AT_MOST = 2.0
USUAL_MS = 5.0  # this is always usual at the median, and this of 99 in 100: a busy machine is no broken promise
USUAL_P99_MS = 50.0
AT_ONCE = 64  # max_conns of deploy/nginx.conf: who is served waits for so many others, and not for more …
SERVED_MS = 1500.0  # … which 99 of 100 do in this time, or in three times what so many take to be served
RECOVERY_SECONDS = 5.0


class Offered(NamedTuple):
    """What became of an offered load: answers by status, milliseconds of the served and of the refused, faults.

    It was offered for `seconds`, and until the last answer it took `until_answered`, in seconds too.
    """

    seconds: float
    until_answered: float
    statuses: Counter[int]
    served_ms: list[float]
    refused_ms: list[float]
    faults: list[str]

    @property
    def rate(self) -> float:
        """Answers a second, of any kind."""
        return self.statuses.total() / self.seconds

    def figures(self) -> dict[str, Any]:
        """For the record."""
        return {
            "offered_per_second": round(self.rate),
            "served_per_second": round(len(self.served_ms) / self.until_answered),
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "served_p50_ms": percentile(self.served_ms, 50),
            "served_p99_ms": percentile(self.served_ms, 99),
            "refused_p99_ms": percentile(self.refused_ms, 99),
            "faults": len(self.faults),
        }


def percentile(values: list[float], percent: int) -> float:
    """The value below which so many of 100 lie; 0 when there are none."""
    return round(sorted(values)[min(len(values) - 1, len(values) * percent // 100)], 3) if values else 0.0


def questions(data: Data, seed: int = 1) -> Iterator[bytes]:
    """Requests that cost the most, none like another: a year of days."""
    pick, newest = random.Random(seed), date(2026, 12, 31)
    while True:
        until = newest - timedelta(days=pick.randrange(20_000))
        line = f"GET /v1/sessions/activity?days=366&until={until} HTTP/1.1\r\n"
        yield f"{line}Host: a\r\nAuthorization: Bearer {data.key}\r\n\r\n".encode()


def normal(key: str) -> bytes:
    """The request whose time is watched."""
    return f"GET /v1/sessions?limit=20 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n\r\n".encode()


class _Client:
    """A connection and what is under way on it."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 20)
        self.socket.setblocking(False)
        self.received = b""
        self.due = 0.0


class Load:
    """A load over many connections: `rate` requests a second; with None, as fast as they are answered."""

    def __init__(self, port: int, requests: Iterator[bytes], rate: float | None, connections: int) -> None:
        self.port, self.requests, self.rate, self.limit = port, requests, rate, connections
        self.offered = Offered(0.0, 0.0, Counter(), [], [], [])
        self.selector = selectors.DefaultSelector()
        self.idle: deque[_Client] = deque()
        self.clients = 0

    def run(self, seconds: float) -> Offered:
        """Offer it for so long, then wait for what is under way."""
        started = time.monotonic()
        due, end = started, started + seconds
        try:
            while (now := time.monotonic()) < end:
                while due <= now and (client := self._free()):
                    self._send(client, due if self.rate else now)
                    due = due + 1 / self.rate if self.rate else due
                for key, _ in self.selector.select(max(0.0, min(0.01, due - now))):
                    self._receive(key.data)
            self._finish()
        finally:
            for registered in list(self.selector.get_map().values()):
                registered.data.socket.close()
            self.selector.close()
        return self.offered._replace(seconds=seconds, until_answered=time.monotonic() - started)

    def _free(self) -> _Client | None:
        if self.idle:
            return self.idle.popleft()
        if self.clients >= self.limit:
            return None
        self.clients += 1
        client = _Client(self.port)
        self.selector.register(client.socket, selectors.EVENT_READ, client)
        return client

    def _send(self, client: _Client, due: float) -> None:
        client.due = due
        with suppress(OSError):  # the end is seen when it is read
            client.socket.send(next(self.requests))

    def _receive(self, client: _Client) -> None:
        try:
            data = client.socket.recv(262_144)
        except OSError:
            data = b""
        client.received += data
        if not data:
            self._drop(client, "" if client.due == 0 else f"no answer; received {client.received[:100]!r}")
            return
        try:
            found, taken = http.answers(client.received, may_be_head=False, ended=False)
            for answer in found:
                self._judge(answer, (time.monotonic() - client.due) * 1000)
        except http.Broken as broken:
            self._drop(client, str(broken))
            return
        client.received = client.received[taken:]
        if found:
            client.due = 0
            if found[-1].closes:
                self._drop(client, "")
            else:
                self.idle.append(client)

    def _judge(self, answer: http.Answer, ms: float) -> None:
        self.offered.statuses[answer.status] += 1
        if answer.status in (429, 503):
            identity = answer.headers.get(b"x-request-id", b"").decode()
            http.envelope(answer.status, json.loads(answer.body), identity)
            if not answer.headers.get(b"retry-after", b"").isdigit():
                raise http.Broken(f"{answer.status} without Retry-After")
            self.offered.refused_ms.append(ms)
        else:
            http.judge(answer, b"")
            self.offered.served_ms.append(ms)

    def _drop(self, client: _Client, fault: str) -> None:
        if fault:
            self.offered.faults.append(fault)
        with suppress(ValueError):
            self.idle.remove(client)
        self.selector.unregister(client.socket)
        client.socket.close()
        self.clients -= 1

    def _finish(self) -> None:
        deadline = time.monotonic() + 20
        while len(self.idle) < self.clients:
            for key, _ in self.selector.select(0.1):
                self._receive(key.data)
            if time.monotonic() > deadline:
                self.offered.faults.append(f"{self.clients - len(self.idle)} requests without an answer after 20 s")
                return


def times_ms(port: int, request: bytes, count: int, pause: float = 0.0) -> list[float]:
    """How long that request takes, so many times one after the other; raises `Broken` when it is not served."""
    taken = []
    client = socket.create_connection(("127.0.0.1", port), 20)
    try:
        for _ in range(count):
            started, received = time.perf_counter(), b""
            found: list[http.Answer] = []
            client.sendall(request)
            while not found:
                data = client.recv(262_144)
                if not data:
                    raise http.Broken(f"the connection ends: {received[:200]!r}")
                received += data
                found, _ = http.answers(received, may_be_head=False, ended=False)
            taken.append((time.perf_counter() - started) * 1000)
            if found[0].status != 200:
                raise http.Broken(f"a normal request gets {found[0].status} {found[0].body!r}")
            if found[0].closes:  # as nginx does after a thousand requests
                client.close()
                client = socket.create_connection(("127.0.0.1", port), 20)
            time.sleep(pause)
    finally:
        client.close()
    return taken


class SlowClients:
    """Clients that send, or read, a byte a second; whoever is shut out comes again."""

    def __init__(self, port: int, data: Data, count: int) -> None:
        head = f"GET /v1/sessions?limit=100 HTTP/1.1\r\nHost: a\r\nAuthorization: {data.key}\r\n".encode()
        self.port, self.count = port, count
        self.kinds = [
            (b"", head + b"X: " + b"a" * 2000),
            (head + b"Content-Length: 16000\r\n\r\n", b"a" * 16000),
            ((head + b"\r\n") * 5, b""),
        ]
        self.came = self.present = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "SlowClients":
        self._thread.start()
        deadline = time.monotonic() + 20
        while self.came < self.count and self._thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        clients: list[tuple[socket.socket, bytes, int]] = []
        while not self._ended.is_set():
            while len(clients) < self.count and not self._ended.is_set():
                clients.append(self._come())
            clients = [(client, left[1:], kind) for client, left, kind in clients if self._byte(client, left, kind)]
            self.present = len(clients)
            self._ended.wait(1)
        for client, _, _ in clients:
            client.close()

    def _come(self) -> tuple[socket.socket, bytes, int]:
        kind = self.came % len(self.kinds)
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.settimeout(5)
        client.connect(("127.0.0.1", self.port))
        first, left = self.kinds[kind]
        client.sendall(first)
        self.came += 1
        self._ended.wait(0.003)  # slow clients, no crowd that comes at once
        return client, left, kind

    def _byte(self, client: socket.socket, left: bytes, kind: int) -> bool:
        try:
            client.setblocking(False)
            if left:
                client.send(left[:1])
            if kind != 2:
                with suppress(BlockingIOError):
                    return bool(client.recv(100))
                return True
            with suppress(BlockingIOError):
                return bool(client.recv(1))
            return True
        except OSError:
            client.close()
            return False


def overload(
    target: Target, front: Nginx, seconds: float, allowed: set[int], rate: float | None = None
) -> dict[str, Any]:
    """Offer ten times what is served; gives the figures, raises `Broken`.

    `rate` is what was served at most, in requests a second; measured when it is not given.
    """
    request = normal(target.data.other_key)
    usual = statistics.median(times_ms(front.port, request, 50, pause=0.01))
    memory_kib = target.memory_kib() + resident_kib(front.process.pid)
    if rate is None:
        served = Load(front.port, questions(target.data), None, 16).run(seconds / 4)
        rate = len(served.served_ms) / served.seconds
    load = Load(front.port, questions(target.data, seed=2), rate * TIMES, CONNECTIONS)
    offered = load.run(seconds)
    recovery = _recovery(front, request, usual)
    target.judge_log()
    grown_kib = target.memory_kib() + resident_kib(front.process.pid) - memory_kib
    found = {
        "capacity_per_second": round(rate),
        **offered.figures(),
        "recovery_seconds": recovery,
        "memory_growth_kib": grown_kib,
        "latency_before_ms": round(usual, 3),
    }
    if offered.faults:
        raise http.Broken(f"no clean answer: {Counter(offered.faults).most_common(3)} {found}")
    if not set(offered.statuses) <= allowed or not offered.statuses[200]:
        raise http.Broken(f"other answers than {sorted(allowed)}: {found}")
    turn_ms = 1000 * AT_ONCE * offered.until_answered / len(offered.served_ms)
    if percentile(offered.served_ms, 99) > max(SERVED_MS, 3 * turn_ms):
        raise http.Broken(f"what is served waits too long: {found}")
    if recovery > RECOVERY_SECONDS:
        raise http.Broken(f"it does not recover: {found}")
    if grown_kib > MEMORY_BOUND_KIB:
        raise http.Broken(f"memory grows: {found}")
    return found


def _recovery(front: Nginx, request: bytes, usual: float) -> float:
    """Seconds until a normal request takes its usual time again, 20 times in a row at the median."""
    started = time.monotonic()
    while time.monotonic() < started + 2 * RECOVERY_SECONDS:
        with suppress(http.Broken):
            if statistics.median(times_ms(front.port, request, 20)) <= max(USUAL_MS, 2 * usual):
                break
        time.sleep(0.05)
    return round(time.monotonic() - started, 2)


def slow_clients(target: Target, front: Nginx, seconds: float, count: int = SLOW_CLIENTS) -> dict[str, Any]:
    """A normal client with and without so many slow ones beside it; gives the figures, raises `Broken`."""
    request, requests = normal(target.data.other_key), max(100, int(seconds * 60))
    before = times_ms(front.port, request, requests, pause=0.01)
    with SlowClients(front.port, target.data, count) as clients:
        beside = times_ms(front.port, request, requests, pause=0.01)
        present = clients.present
    if present < count / 2:
        raise http.Broken(f"of {count} slow clients {present} are there")
    found = {
        "slow_clients": count,
        "came": clients.came,
        "present": present,
        "latency_before_p50_ms": percentile(before, 50),
        "latency_before_p99_ms": percentile(before, 99),
        "latency_beside_p50_ms": percentile(beside, 50),
        "latency_beside_p99_ms": percentile(beside, 99),
        "latency_ratio_p50": round(statistics.median(beside) / statistics.median(before), 3),
        "latency_ratio_p99": round(percentile(beside, 99) / percentile(before, 99), 3),
    }
    for percent, always in ((50, USUAL_MS), (99, USUAL_P99_MS)):
        if percentile(beside, percent) > max(always, SLOWER_AT_MOST * percentile(before, percent)):
            raise http.Broken(f"slow clients slow the others: {found}")
    return found


def run(folder: Path, data: Data, seconds: float) -> dict[str, Any]:
    """The whole attack, with nginx's limits lifted, so that the service itself is reached, and as deployed."""
    found: dict[str, Any] = {}
    with attacked(folder, data) as target:
        upstreams = [f"unix:{target.service.path}"]
        for name in ("service", "limits"):
            (folder / name).mkdir()
        with Nginx(folder / "service", upstreams, unlimited) as front:
            found["service"] = overload(target, front, seconds, {200, 503})
            print(f"limits lifted: {found['service']}", file=sys.stderr)
            found["slow"] = slow_clients(target, front, seconds)
            print(f"slow clients: {found['slow']}", file=sys.stderr)
        with Nginx(folder / "limits", upstreams) as front:
            rate = found["service"]["capacity_per_second"]
            found["limits"] = overload(target, front, seconds, {200, 429, 503}, rate)
    return found


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each overload")
    parser.add_argument("--figures", type=Path, help="a JSON file to store the figures in")
    arguments = parser.parse_args()
    need("nginx", "nginx-light")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            found = run(folder, prepare(folder), arguments.seconds)
        except http.Broken as broken:
            sys.exit(f"a promise is broken: {broken}")
    if arguments.figures:
        figures.record(arguments.figures, "overload", found)
    print(json.dumps({"attack": "overload", **found}))


if __name__ == "__main__":
    main()
