"""Random and mutated bytes on a raw socket, against gunicorn as it is deployed.

    python -m tests.attack.fuzz --requests 1000000 --seed 1 [--seconds MAX] [--figures docs/attacks.json]

Counted is what was answered, each answer judged. A broken promise is told with the smallest bytes that show it.
"""

import argparse
import json
import random
import re
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote_from_bytes

from tests.attack import corpus, figures, http
from tests.attack.front import Before, Data, Target, attacked, prepare

THREADS = 6
WARM_UP = 0.1  # of the requests: what a worker takes into memory once is no leak
REDUCTIONS = 400
REMEMBERED = 300

METHODS = [*["GET"] * 12, "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "PROPFIND", "QUERY", "X-Y"]
PATHS = [
    *["/v1/sessions"] * 8,
    *["/v1/sessions/activity"] * 4,
    *["/health"] * 2,
    "/",
    "/v1",
    "/v1/sessions/",
    "//v1/sessions",
    "/v1//sessions",
    "/V1/Sessions",
    "/api-doc/openapi.json",
    "/llms.txt",
    "/%76%31/sessions",
    "/v1/sessions%2factivity",
    "/v1/sessions%00",
    "/v1/sessions;a=b",
]
NAMES = ["agent_id", "offset", "limit", "created_after", "created_before", "days", "until", "x", "", "limit[]"]
GOOD = {
    "offset": ["0", "1", "20", "1999", "2147483647"],
    "limit": ["1", "5", "20", "100"],
    "days": ["1", "7", "28"],
    "until": ["2026-02-27", "9999-12-31", "0002-01-01"],
    "created_after": ["2026-02-27T13:13:53Z", "0001-01-01T00:00:00Z"],
    "created_before": ["2026-02-27T13:13:53.5%2B01:00", "9999-12-31T23:59:59.999999Z"],
}
TOKENS = [
    *(b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b"\r\n\r\n", b"\r\n ", b"\r\n\t", b"%", b"%00", b"%c0%af", b"'"),
    *(
        b"HTTP/1.1",
        b"HTTP/1.0",
        b"HTTP/0.9",
        b"HTTP/2.0",
        b"HTTP/1.10",
        b"Content-Length: 5\r\n",
        b"Content-Length: -1\r\n",
    ),
    *(b"Content-Length: \xb2\r\n", b"Content-Length: 1, 1\r\n", b"Content-Length: 99999999999999999999\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: x\r\n", b"Transfer-Encoding: gzip, chunked\r\n"),
    *(b"Transfer-Encoding:\x0bchunked\r\n", b"Transfer-Encoding: identity\r\n", b"TE: trailers\r\n"),
    *(b"Expect: 100-continue\r\n", b"Expect: x\r\n", b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"),
    *(b"Upgrade: websocket\r\nConnection: upgrade\r\n", b"Connection: close\r\n", b"Connection: keep-alive\r\n"),
    *(
        b"Script-Name: /v1\r\n",
        b"SCRIPT_NAME: /v1\r\n",
        b"SCRIPT_NAME: x\r\n",
        b"PATH_INFO: x\r\n",
        b"REMOTE_USER: x\r\n",
    ),
    *(
        b"X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off\r\n",
        b"X-Forwarded-For: ,,\r\n",
        b"Host: [::1\r\n",
        b"Host:\r\n",
    ),
    *(
        b"Host: a\r\nHost: b\r\n",
        b"Host: a:b:c\r\n",
        b"Range: bytes=0-0\r\n",
        b"Accept: \xff\r\n",
        b"Cookie: a=\xff;;=\r\n",
    ),
    *(b"X-HTTP-Method-Override: DELETE\r\n", b"If-None-Match: *\r\n", b'If-None-Match: W/"' + b"a" * 500 + b'"\r\n'),
    *(b"If-Match: *\r\n", b"If-Modified-Since: x\r\n", b"Content-Type: multipart/form-data; boundary=\r\n"),
    *(
        b"5;a=b\r\nhello\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\n",
        b"0\r\nContent-Length: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\n",
    ),
    *(
        b"http://a/",
        b"http://[",
        b"a:443",
        b"*",
        b"//",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\xc0\x80",
        b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\n",
    ),
]
WHOLE = [
    b"",
    b"\r\n",
    b"\r\n\r\n",
    b"\n\n\n\n",
    b"GET /\r\n",
    b"GET /v1/sessions\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
    b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(range(200)),
    b"\x80\x2e\x01\3\1\0\x15\0\0\0\x10",
    b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a\x21\x11\x00\x0c" + bytes(12) + b"GET / HTTP/1.1\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"EHLO a\r\n",
    b"*1\r\n$4\r\nPING\r\n",
    b"GET http://a/v1/sessions HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://[ HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET https://a@b:99999/health HTTP/1.1\r\nHost: a\r\n\r\n",
    b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    b"CONNECT /health HTTP/1.1\r\nHost: a\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
    b"GET /health HTTP/1.1\r\n: a\r\n\r\n",
    b"GET  /health HTTP/1.1\r\n\r\n",
    b"GET /health HTTP/1.1 \r\n\r\n",
    b"GET\t/health\tHTTP/1.1\r\n\r\n",
    b"POST /v1/sessions HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    b"POST /v1/sessions HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    b"HEAD /health HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n"
    b"GET /health HTTP/1.1\r\n\r\n",
]

Item = TypeVar("Item")


class Case(NamedTuple):
    """What is sent over one connection. A tame one is of well-framed requests, of which each must get its answer."""

    parts: tuple[bytes, ...]
    tame: bool = False
    pieces: int = 1
    pause: float = 0.0
    abandoned: bool = False

    @property
    def payload(self) -> bytes:
        """All its bytes."""
        return b"".join(self.parts)


class Attacker:
    """Makes cases, always the same ones for a seed."""

    def __init__(self, seed: int, data: Data) -> None:
        self.random = random.Random(seed)
        self.data = data
        self.values = [value for value in corpus.values() if value]
        self.made = 0

    def case(self) -> Case:
        """The next one."""
        dice = self.random.random()
        if dice < 0.62:
            return Case(tuple(self.request() for _ in range(self.random.randint(2, 12))), tame=True)
        if dice < 0.94:
            return Case((self.mutated(b"".join(self.request() for _ in range(self.random.randint(1, 3)))),))
        return self.special()

    def special(self) -> Case:
        """What is no plain sequence of requests: half-sent, slow, huge, abandoned, or of another protocol."""
        pick = self.random
        request = self.request()
        half = request[: pick.randrange(len(request))]
        kinds: list[Callable[[], Case]] = [
            lambda: Case((pick.choice(WHOLE),)),
            lambda: Case((self.mutated(pick.choice(WHOLE)),)),
            lambda: Case((pick.randbytes(pick.randint(1, 3000)),)),
            lambda: Case((half,)),
            lambda: Case((half,), abandoned=True),
            lambda: Case((request * 20,), abandoned=True),
            lambda: Case((self.mutated(request),), pieces=30, pause=0.001),
            lambda: Case((request, self.request()), tame=True, pieces=20, pause=0.001),
            lambda: Case((self.huge(),)),
            lambda: Case((self.chunked(), self.request()), tame=True),
        ]
        return pick.choice(kinds)()

    def request(self) -> bytes:
        """A well-framed request; what it asks for may be anything."""
        pick = self.random
        self.made += 1
        method, path = pick.choice(METHODS), pick.choice(PATHS)
        if pick.random() < 0.15:
            path += "/" + self.encoded(pick.choice(self.values))
        query = "&".join(self.argument() for _ in range(pick.choice((0, 0, 1, 1, 2, 3))))
        headers = [f"Host: a\r\nX-Request-Id: r{self.made}"]
        dice = pick.random()
        if dice < 0.8:
            headers.append(f"Authorization: {pick.choice(('Bearer ', '', 'apikey '))}{self.data.key}")
        elif dice < 0.9:
            headers.append("Authorization: " + self.plain(pick.choice(self.values)))
        if pick.random() < 0.2:
            name = pick.choice(("X-Org-Id", "If-None-Match", "User-Agent", "Accept", "X-Forwarded-For", "Cookie"))
            headers.append(f"{name}: {self.plain(pick.choice(self.values))}")
        body = b""
        if pick.random() < 0.05:
            body = pick.randbytes(pick.randint(0, 200))
            headers.append(f"Content-Length: {len(body)}")
        head = f"{method} {path}{'?' if query else ''}{query} HTTP/1.1\r\n" + "\r\n".join(headers) + "\r\n\r\n"
        return head.encode("latin-1") + body

    def chunked(self) -> bytes:
        """A well-framed request with a body in chunks."""
        size = self.random.randint(1, 3000)
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (size, self.random.randbytes(size))
        self.made += 1
        head = f"POST /v1/sessions HTTP/1.1\r\nX-Request-Id: r{self.made}\r\nTransfer-Encoding: chunked\r\n\r\n"
        return head.encode() + body

    def argument(self) -> str:
        """An argument of a query, good or bad."""
        name = self.random.choice(NAMES)
        if self.random.random() < 0.5 and name in GOOD:
            return f"{name}={self.random.choice(GOOD[name])}"
        if name == "agent_id" and self.random.random() < 0.5:
            return f"{name}={self.data.agent}"
        return f"{name}={self.encoded(self.random.choice(self.values))}"

    def encoded(self, value: bytes) -> str:
        """`value` in a URL: printable ASCII without a space."""
        if self.random.random() < 0.3 and re.fullmatch(rb"[!-~]+", value):
            return value.decode("ascii").replace("#", "%23")
        return quote_from_bytes(value, safe=self.random.choice(("", "'/;:@", "%")))

    def plain(self, value: bytes) -> str:
        """`value` in a header: without what a header cannot have."""
        return re.sub(rb"[\x00-\x08\x0a-\x1f\x7f]", b"?", value).decode("latin-1")

    def huge(self) -> bytes:
        """A request that is too large somewhere."""
        pick = self.random
        size = pick.choice((8_100, 8_190, 8_200, 70_000, 900_000))
        kinds: list[Callable[[], bytes]] = [
            lambda: b"GET /" + b"a" * size + b" HTTP/1.1\r\n\r\n",
            lambda: b"GET /?" + b"a=b&" * (size // 4) + b" HTTP/1.1\r\n\r\n",
            lambda: b"GET / HTTP/1.1\r\nX: " + b"a" * size + b"\r\n\r\n",
            lambda: b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * (size // 6) + b"\r\n",
            lambda: b"GET / HTTP/1.1\r\n" + b"If-None-Match: " + b'"a",' * (size // 4) + b"\r\n\r\n",
            lambda: b"G" * size,
            lambda: b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size + b"a" * size,
            lambda: b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1;a=b\r\nx\r\n" * (size // 10),
            lambda: b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"a" * size,
            lambda: b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: a\r\n" * (size // 6),
        ]
        return pick.choice(kinds)()

    def mutated(self, payload: bytes) -> bytes:
        """`payload` with a few changes, wherever they fall."""
        pick = self.random
        data = bytearray(payload)
        for _ in range(pick.choice((1, 1, 1, 2, 3, 8))):
            self._mutate(data, pick.randrange(len(data) + 1))
        return bytes(data[:200_000])

    def _mutate(self, data: bytearray, at: int) -> None:
        pick = self.random
        upto = min(len(data), at + pick.choice((1, 2, 4, 16, 64)))
        kind = pick.randrange(11)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << pick.randrange(8)
        elif kind == 1 and at < len(data):
            data[at] = pick.randrange(256)
        elif kind == 2:
            data[at:at] = pick.randbytes(pick.choice((1, 1, 2, 8)))
        elif kind == 3:
            del data[at:upto]
        elif kind == 4:
            data[at:at] = data[at:upto] * pick.choice((1, 2, 50))
        elif kind == 5:
            data[at:at] = pick.choice(TOKENS)
        elif kind == 6:  # between two headers, where a token means something
            breaks = [match.end() for match in re.finditer(rb"\r\n", data)] or [at]
            place = pick.choice(breaks)
            data[place:place] = pick.choice(TOKENS)
        elif kind == 7:
            data[at:at] = pick.choice(self.values)
        elif kind == 8:
            del data[at:]
        elif kind == 9:
            place = data.find(b"\r\n", at)
            if place >= 0:
                data[place : place + 2] = pick.choice((b"\n", b"\r", b"\r\r\n", b"\r\n\r\n", b"\n\r", b""))
        else:
            data[at:upto] = "".join(f"%{byte:02x}" for byte in data[at:upto]).encode()


def attempt(target: Target, case: Case) -> list[int]:
    """Send `case` and judge all that comes back; gives the statuses, raises `Broken`."""
    payload = case.payload
    if case.abandoned:
        target.abandon(payload)
        return []
    data = target.exchange(payload, case.pieces, case.pause)
    found, _ = http.answers(data, may_be_head=b"HEAD" in payload)
    for place, answer in enumerate(found):
        http.judge(answer, case.parts[place] if case.tame and place < len(case.parts) else payload)
        if answer.closes and place + 1 < len(found):
            raise http.Broken("an answer comes after the last one")
    if case.tame:
        _each_has_its_own(case, found)
    elif not found and b"\r\n\r\n" in payload:
        raise http.Broken("no answer")
    return [answer.status for answer in found]


def _each_has_its_own(case: Case, found: list[http.Answer]) -> None:
    sent = [match[1] for part in case.parts for match in [re.search(rb"X-Request-Id: (r[0-9]+)", part)] if match]
    got = [answer.headers[b"x-request-id"] for answer in found]
    if sent != got:
        raise http.Broken(f"{len(sent)} requests got {len(got)} answers; asked {sent[-3:]}, answered {got[-3:]}")


def smallest(items: list[Item], fails: Callable[[list[Item]], bool], attempts: int = REDUCTIONS) -> list[Item]:
    """A short part of `items` that still fails: pieces are left out as long as that is so."""
    size = max(1, len(items) // 2)
    while attempts > 0:
        at, shorter = 0, False
        while at < len(items) and attempts > 0:
            without = items[:at] + items[at + size :]
            attempts -= 1
            if without and fails(without):
                items, shorter = without, True
            else:
                at += size
        if size == 1 and not shorter:
            break
        size = max(1, size // 2)
    return items


class Run:
    """An attack with several threads, until so many answers were judged, or a promise was broken."""

    def __init__(self, target: Target, seed: int, requests: int, seconds: float) -> None:
        self.target = target
        self.seed = seed
        self.requests = requests
        self.deadline = time.monotonic() + seconds
        self.statuses: Counter[int] = Counter()
        self.connections: Counter[str] = Counter()
        self.broken: tuple[Case, http.Broken] | None = None
        self.recent: deque[Case] = deque(maxlen=REMEMBERED)
        self.log_lines = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def run(self) -> dict[str, Any]:
        """Attack; gives the figures, raises `Broken` with the smallest case that shows what is wrong."""
        before = Before(self.target)
        started = time.monotonic()
        threads = [threading.Thread(target=self._attack, args=[number]) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        try:
            self._watch(before)
        finally:
            self._ended.set()
            for thread in threads:
                thread.join()
        if self.broken:
            raise self._reduced(*self.broken)
        seconds = time.monotonic() - started
        self._judge_log()
        return {
            "requests": self.statuses.total(),
            "requests_per_second": round(self.statuses.total() / seconds),
            "seconds": round(seconds, 1),
            "seed": self.seed,
            "connections": dict(sorted(self.connections.items())),
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "log_lines": self.log_lines,
            **before.compare(),
        }

    def _attack(self, number: int) -> None:
        attacker = Attacker(self.seed * 1000 + number, self.target.data)
        while not self._ended.is_set():
            case = attacker.case()
            try:
                statuses = attempt(self.target, case)
            except (http.Broken, OSError) as error:
                with self._lock:
                    self.broken = self.broken or (case, http.Broken(str(error) or repr(error)))
                self._ended.set()
                return
            with self._lock:
                self.statuses.update(statuses)
                self.recent.append(case)
                kind = "abandoned" if case.abandoned else "tame" if case.tame else "wild"
                self.connections[kind] += 1

    def _watch(self, before: Before) -> None:
        warm, told = False, time.monotonic()
        while not self._ended.wait(0.2):
            answered = self.statuses.total()
            if not warm and answered >= WARM_UP * self.requests:
                warm, before.memory_kib = True, self.target.memory_kib()
            if time.monotonic() > told + 10:
                told = time.monotonic()
                print(f"{answered} of {self.requests} answers judged", file=sys.stderr)
            self._judge_log()
            if answered >= self.requests or time.monotonic() > self.deadline:
                return

    def _judge_log(self) -> None:
        try:
            self.log_lines += self.target.judge_log()
        except http.Broken as broken:
            self._ended.set()
            raise self._found_in(list(self.recent), broken) from None

    def _found_in(self, suspects: list[Case], broken: http.Broken) -> http.Broken:
        """Which of the last cases put that into the log."""
        time.sleep(0.5)  # until the other threads are through
        for case in reversed(suspects):
            if self._fails(case):
                return self._reduced(case, broken)
        return http.Broken(f"{broken}\nnone of the last {len(suspects)} cases does it again")

    def _reduced(self, case: Case, broken: http.Broken) -> http.Broken:
        parts = smallest(list(case.parts), lambda parts: self._fails(case._replace(parts=tuple(parts))))
        least = case._replace(parts=tuple(parts))
        wild = Case((least.payload,))
        if self._fails(wild):
            numbers = smallest(list(wild.payload), lambda numbers: self._fails(Case((bytes(numbers),))))
            least = Case((bytes(numbers),))
        return http.Broken(f"{broken}\nseed {self.seed}; smallest case: {least!r}")

    def _fails(self, case: Case) -> bool:
        with_log = Target(self.target.service, self.target.data)
        with_log._read = with_log.service.log.stat().st_size
        try:
            attempt(with_log, case)
            time.sleep(0.005)
            with_log.judge_log()
        except (http.Broken, OSError):
            return True
        return False


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3600, help="end after so long in any case")
    parser.add_argument("--figures", type=Path, help="a JSON file to store the figures in")
    parser.add_argument("--plant", default="", help="a planted fault, of tests/attack/planted_front.py")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with attacked(folder, prepare(folder), arguments.plant) as target:
            try:
                found = Run(target, arguments.seed, arguments.requests, arguments.seconds).run()
            except http.Broken as broken:
                sys.exit(f"a promise is broken: {broken}")
    if arguments.figures:
        figures.record(arguments.figures, "fuzz", found)
    print(json.dumps({"attack": "fuzz", **found}))


if __name__ == "__main__":
    main()
