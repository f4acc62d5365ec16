"""Random and mutated WSGI environments, in process: what a server may hand over, however odd.

    python -m tests.attack.environs --requests 1000000 --seed 1 [--seconds MAX] [--figures docs/attacks.json]

A part goes through `wsgiref.validate`, which judges both sides of PEP 3333.
"""

import argparse
import io
import json
import logging
import random
import re
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from wsgiref.validate import validator

from everruns import create_app
from tests.attack import corpus, figures, http
from tests.attack.front import MEMORY_BOUND_KIB, Data, content, prepare
from tests.attack.fuzz import GOOD, METHODS, NAMES, PATHS, WARM_UP, smallest
from tests.attack.planted_front import planted

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

VALIDATED = 0.1
HEADERS = [
    *("HTTP_AUTHORIZATION", "HTTP_X_ORG_ID", "HTTP_IF_NONE_MATCH", "HTTP_X_REQUEST_ID", "HTTP_HOST", "HTTP_COOKIE"),
    *(
        "HTTP_ACCEPT",
        "HTTP_RANGE",
        "HTTP_EXPECT",
        "HTTP_X_FORWARDED_FOR",
        "HTTP_X_FORWARDED_HOST",
        "HTTP_TRANSFER_ENCODING",
    ),
    *("HTTP_CONNECTION", "HTTP_UPGRADE", "HTTP_X_HTTP_METHOD_OVERRIDE", "HTTP_IF_MODIFIED_SINCE", "HTTP_", "HTTP_\xff"),
    *("CONTENT_TYPE", "CONTENT_LENGTH", "REMOTE_ADDR", "REMOTE_USER", "HTTP_CONTENT_LENGTH"),
]
LENGTHS = ["", "0", "1", "-1", "99999999999999999999", "1e3", "\xb2", "x", " 1 ", "1, 1"]


class _Log(logging.Handler):
    """Keeps what is logged as a fault."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.faults: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.faults.append(self.format(record))


class _Odd(io.BytesIO):
    """A body that fails when it is read, as that of a client that went away does."""

    def read(self, size: int | None = -1, /) -> bytes:
        raise OSError("the client is away")


class Attacker:
    """Makes environments, always the same ones for a seed."""

    def __init__(self, seed: int, data: Data) -> None:
        self.random = random.Random(seed)
        self.data = data
        self.values = [value.decode("latin-1") for value in corpus.values()]

    def environment(self) -> "WSGIEnvironment":
        """The next one: all that PEP 3333 demands, with text of latin-1."""
        pick = self.random
        environ: WSGIEnvironment = {
            "REQUEST_METHOD": pick.choice(METHODS) if pick.random() < 0.95 else self.mutated(pick.choice(METHODS)),
            "SCRIPT_NAME": "" if pick.random() < 0.95 else "/" + self.text(),
            "PATH_INFO": self.path(),
            "QUERY_STRING": "&".join(self.argument() for _ in range(pick.choice((0, 0, 1, 1, 2, 3, 40)))),
            "SERVER_NAME": pick.choice(("localhost", "a", "::1", "[::1]", self.text() or "a")),
            "SERVER_PORT": pick.choice(("80", "443", "", "x", "99999")),
            "SERVER_PROTOCOL": pick.choice(("HTTP/1.1", "HTTP/1.0", "HTTP/0.9", "HTTP/9.9", "")),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": pick.choice(("http", "https")),
            "wsgi.input": pick.choice((io.BytesIO, _Odd))(pick.randbytes(pick.choice((0, 0, 10, 5000)))),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }
        if pick.random() < 0.85:
            environ["HTTP_AUTHORIZATION"] = pick.choice(("Bearer ", "", "ApiKey ", "bEARER   ")) + self.data.key
        for _ in range(pick.choice((0, 0, 1, 2, 4))):
            name = pick.choice(HEADERS)
            environ[name] = pick.choice(LENGTHS) if name == "CONTENT_LENGTH" else self.text()
        if pick.random() < 0.1:
            name = pick.choice([name for name, value in environ.items() if isinstance(value, str)])
            if name not in ("wsgi.url_scheme", "SERVER_PORT"):
                environ[name] = self.mutated(str(environ[name]))
        return environ

    def path(self) -> str:
        """A path, decoded as servers do."""
        path = self.random.choice(PATHS).replace("%76%31", "v1").replace("%2f", "/").replace("%00", "\0")
        return path + ("/" + self.text() if self.random.random() < 0.2 else "")

    def argument(self) -> str:
        """An argument of a query."""
        name = self.random.choice(NAMES)
        if self.random.random() < 0.5 and name in GOOD:
            return f"{name}={self.random.choice(GOOD[name])}"
        return f"{name}={self.text()}"

    def text(self) -> str:
        """Text of latin-1: of the corpus, random, or long."""
        dice = self.random.random()
        if dice < 0.7:
            return self.random.choice(self.values)
        if dice < 0.98:
            return self.random.randbytes(self.random.randint(0, 40)).decode("latin-1")
        return self.random.choice(("a", "%", "\xff", ",", '"', "'", "/", "&=")) * self.random.choice((1000, 8000))

    def mutated(self, text: str) -> str:
        """`text` with a change somewhere."""
        at = self.random.randrange(len(text) + 1)
        return text[:at] + self.text()[:50] + text[at + self.random.randrange(3) :]


def call(app: "WSGIApplication", environ: "WSGIEnvironment") -> http.Answer:
    """Call `app` as a server does, and give its answer; raises `Broken` for what no server could send."""
    started: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Callable[[bytes], None]:
        started[:] = [status, headers]
        return lambda data: None

    returned: Iterable[bytes] = ()
    try:
        returned = app(environ, start_response)
        body = b"".join(returned)
    except Exception as error:
        raise http.Broken(f"an exception leaves the application: {error!r}") from error
    finally:
        if hasattr(returned, "close"):
            returned.close()
    status, headers = started
    known: dict[bytes, bytes] = {}
    for name, value in headers:
        if not re.fullmatch(r"[A-Za-z0-9-]+", name) or not re.fullmatch(r"[\t -~\x80-\xff]*", value):
            raise http.Broken(f"no header that can be sent: {name!r}: {value!r}")
        if name.lower().encode() in known:
            raise http.Broken(f"{name} is there twice")
        known[name.lower().encode()] = value.encode("latin-1")
    head_only = environ["REQUEST_METHOD"] == "HEAD"
    length = known.get(b"content-length", b"").decode()
    if not head_only and status[:3] != "304" and length != str(len(body)):
        raise http.Broken(f"Content-Length is {length}, and the body has {len(body)} bytes")
    return http.Answer(int(status[:3]), known, body, head_only)


class Run:
    """An attack on an application in this process."""

    def __init__(self, app: "WSGIApplication", data: Data, seed: int) -> None:
        self.app = app
        self.validated = validator(app)
        self.data = data
        self.seed = seed
        self.log = _Log()
        self.statuses: Counter[int] = Counter()

    def run(self, requests: int, seconds: float) -> dict[str, Any]:
        """Attack; gives the figures, raises `Broken` with the smallest environment that shows what is wrong."""
        logging.getLogger("everruns").addHandler(self.log)
        attacker, deadline = Attacker(self.seed, self.data), time.monotonic() + seconds
        stored, started, warm_kib, told = content(self.data.database), time.monotonic(), _peak_kib(), time.monotonic()
        usual = self.usual_ms()
        for number in range(requests):
            if number == int(requests * WARM_UP):
                warm_kib = _peak_kib()
            environ = attacker.environment()
            validate = attacker.random.random() < VALIDATED and _is_plain(environ)
            try:
                self.statuses[self.attempt(environ, validate)] += 1
            except http.Broken as broken:
                raise self._reduced(environ, broken) from broken
            now = time.monotonic()
            if now > told + 10:
                told = now
                print(f"{number} of {requests} environments judged", file=sys.stderr)
            if now > deadline:
                break
        took = time.monotonic() - started
        after = self.usual_ms()
        figures = {
            "requests": self.statuses.total(),
            "requests_per_second": round(self.statuses.total() / took),
            "seconds": round(took, 1),
            "seed": self.seed,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "memory_growth_kib": _peak_kib() - warm_kib,
            "latency_before_ms": round(usual, 4),
            "latency_after_ms": round(after, 4),
        }
        if content(self.data.database) != stored:
            raise http.Broken("the database was changed")
        if _peak_kib() - warm_kib > MEMORY_BOUND_KIB:
            raise http.Broken(f"memory grows: {figures}")
        if after > 3 * usual:
            raise http.Broken(f"a normal request is slower than before: {figures}")
        return figures

    def attempt(self, environ: "WSGIEnvironment", validate: bool = False) -> int:
        """Judge the answer to one environment; gives its status, raises `Broken`."""
        self.log.faults.clear()
        given = dict(environ)
        answer = call(self.validated if validate else self.app, given)
        sent = repr(environ).encode() + "".join(str(value) for value in environ.values()).encode("latin-1", "replace")
        http.judge(answer, sent)
        if self.log.faults:
            raise http.Broken(f"the log tells of a fault: {self.log.faults[0]}")
        return answer.status

    def usual_ms(self) -> float:
        """The median time of a normal request, in milliseconds."""
        attacker = Attacker(0, self.data)
        plain = {**attacker.environment(), "REQUEST_METHOD": "GET", "PATH_INFO": "/v1/sessions", "QUERY_STRING": ""}
        plain = {name: value for name, value in plain.items() if not name.startswith("HTTP_")}
        times = []
        for _ in range(100):
            started = time.perf_counter()
            answer = call(self.app, {**plain, "HTTP_AUTHORIZATION": self.data.key})
            times.append((time.perf_counter() - started) * 1000)
            if answer.status != 200:
                raise http.Broken(f"a normal request gets {answer.status} {answer.body!r}")
        return sorted(times)[50]

    def _reduced(self, environ: "WSGIEnvironment", broken: http.Broken) -> http.Broken:
        needed = {"REQUEST_METHOD": "GET", "PATH_INFO": "", "QUERY_STRING": "", "SERVER_NAME": "a", "SERVER_PORT": "80"}
        texts = [(name, value) for name, value in environ.items() if isinstance(value, str)]
        rest = {name: value for name, value in environ.items() if not isinstance(value, str)} | needed
        rest |= {"wsgi.url_scheme": "http", "SCRIPT_NAME": "", "SERVER_PROTOCOL": "HTTP/1.1"}

        def fails(items: list[tuple[str, str]]) -> bool:
            try:
                self.attempt({**rest, **dict(items)})
            except http.Broken:
                return True
            return False

        least = dict(smallest(texts, fails)) if fails(texts) else dict(texts)
        return http.Broken(f"{broken}\nseed {self.seed}; smallest environment: {least!r}")


def _is_plain(environ: "WSGIEnvironment") -> bool:
    """Whether `wsgiref.validate` takes it: it demands more than PEP 3333 does."""
    method, script, path = environ["REQUEST_METHOD"], environ["SCRIPT_NAME"], environ["PATH_INFO"]
    good_paths = all(not text or text.startswith("/") for text in (script, path)) and script != "/" and (script or path)
    length = environ.get("CONTENT_LENGTH", "")
    known = ("GET", "HEAD", "POST", "OPTIONS", "PATCH", "PUT", "DELETE", "TRACE")
    names = "HTTP_CONTENT_TYPE" not in environ and "HTTP_CONTENT_LENGTH" not in environ
    return method in known and good_paths and names and (not length or (length.isascii() and length.isdigit()))


def _peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


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
        data = prepare(Path(name))
        app = planted(create_app({"DATABASE": data.database}), arguments.plant)
        try:
            found = Run(app, data, arguments.seed).run(arguments.requests, arguments.seconds)
        except http.Broken as broken:
            sys.exit(f"a promise is broken: {broken}")
    if arguments.figures:
        figures.record(arguments.figures, "environs", found)
    print(json.dumps({"attack": "environs", **found}))


if __name__ == "__main__":
    main()
