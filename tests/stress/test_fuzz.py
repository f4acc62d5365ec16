"""Random requests, in process: whatever is in the URL, the headers and the body, the response is a documented one.

No status from 500 on, each error in the envelope with a documented code and the `request_id` of the header, nothing
internal in a response, no error in the log, no change of the database, no growth of memory, no request that takes long.
"""

import io
import json
import logging
import os
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote_from_bytes, unquote_to_bytes

import pytest
from flask import Flask
from werkzeug.test import run_wsgi_app

from tests.stress.scale import scaled
from tests.support.database import execute, import_records
from tests.support.records import AGENT_ID, agent_record, session_record

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from everruns.records import Organization
    from everruns.store.db import Database

CODES = {
    400: {"invalid_request"},
    401: {"unauthorized"},
    403: {"organization_mismatch", "read_only_key"},
    404: {"not_found"},
    405: {"method_not_allowed"},
    412: {"precondition_failed"},
    413: {"request_entity_too_large"},
    414: {"request_uri_too_large"},
    415: {"unsupported_media_type"},
    416: {"requested_range_not_satisfiable"},
    431: {"request_header_fields_too_large"},
}
INTERNAL = (b"traceback", b"sqlite", b"select ", b'file "', b"site-packages", b"everruns/", b".py", b"<html")
MEMORY_BYTES = 12 * 1024 * 1024
SECONDS = 0.5  # of processor time, for one request

METHODS = [*["GET"] * 12, "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY", "get", "X-\xff"]
PATHS = [
    *["/v1/sessions"] * 8,
    *["/v1/sessions/activity"] * 4,
    *["/health", "/", "/v1", "/v1/sessions/", "//v1/sessions", "/V1/Sessions", "/v1/sessions/session_1"],
    *["/web/", "/web/app.js", "/web/../app.py", "/api-doc/openapi.json", "/llms.txt", "", "*", "/v1/sessions\0"],
]
VALID = {
    "agent_id": [AGENT_ID, "agent_1"],
    "offset": ["0", "1", "99", "2147483647"],
    "limit": ["1", "20", "100"],
    "days": ["1", "28", "366"],
    "until": ["2026-02-27", "9999-12-31", "0001-01-01"],
    "created_after": ["2026-02-27T13:13:53Z", "0001-01-01T00:00:00Z"],
    "created_before": ["2026-02-27T13:13:53.5%2B01:00", "9999-12-31T23:59:59.999999Z"],
}
HEADERS = [
    *["AUTHORIZATION", "X_ORG_ID", "X_REQUEST_ID", "IF_NONE_MATCH", "IF_MATCH", "IF_MODIFIED_SINCE", "RANGE", "HOST"],
    *["ACCEPT", "COOKIE", "EXPECT", "X_FORWARDED_FOR", "X_FORWARDED_HOST", "TRANSFER_ENCODING", "X_\xff"],
    *["X_HTTP_METHOD_OVERRIDE", "CONTENT_LENGTH"],
]
HOSTILE = [
    # SQL
    *[b"'", b"' OR 1=1 --", b"1; DROP TABLE sessions", b"agent_1'||(SELECT 1)||'", b"agent_%", b"agent_*", b":limit"],
    # numbers and timestamps
    *[b"-1", b"+1", b" 1", b"1e1", b"1_0", b"0x10", b"9" * 5000, b"2147483648", b"\xd9\xa1", b"\xc2\xb2", b"1.0"],
    *[b"2026-02-30T00:00:00Z", b"2026-02-27T24:00:00Z", b"2026-02-27T13:13:53+99:99", b"2026-W09-5", b"10000-01-01"],
    *[b"2026-02-27T13:13:53." + b"9" * 5000 + b"Z", b"9999-12-31T23:59:59.9999999Z", b"0000-01-01T00:00:00Z"],
    # headers
    *[
        b"a\r\nX-Injected: 1",
        b"a\nb",
        b"\0",
        b"\x1b[31m",
        b'W/"',
        b'W/"a", "b"',
        b"*",
        b"," * 500,
        b"Bearer",
        b"Bearer ",
    ],
    *[
        b"Basic YTph",
        b"Bearer evr_",
        b"evr_" + b"A" * 43,
        b"evr_" + b"A" * 43 + b"\n",
        b"org_",
        b"bytes=0-0",
        b"a=\xff;;",
    ],
    # paths
    *[b"..", b"../../etc/passwd", b"%2e%2e/%2e%2e/etc/passwd", b"//evil.example", b"C:\\x", b"index.html/", b".git"],
    # Unicode and broken encodings
    *[
        b"\xef\xbc\x91",
        b"agent_\xe2\x84\xaa",
        b"\xe2\x80\xae1",
        b"\xef\xbb\xbf1",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xff\xfe",
    ],
    *[b"%", b"%zz", b"%u0031", b"%00", b"%c0%af", b"&", b"=", b"&&=&", b";", b"+", b"[]", b"[0]", b"#", b"?"],
    # other languages
    *[b"{}", b'{"$gt": ""}', b"{{7*7}}", b"${jndi:ldap://a}", b"%s%n", b"__class__", b"<script>alert(1)</script>"],
]


class Response(NamedTuple):
    """A response of a WSGI application."""

    status: int
    headers: dict[str, str]
    body: bytes


class Requests:
    """An endless series of WSGI environments, the same for each seed."""

    def __init__(self, key: str, seed: int) -> None:
        self.key = key
        self.random = Random(seed)

    def next(self) -> "WSGIEnvironment":
        """Return the next one. Its text is latin-1, as PEP 3333 demands."""
        random = self.random
        body = random.choice([b"", b"", b"{}", b'{"id": 1', b"[" * 5000, random.randbytes(random.randrange(2000))])
        environ: dict[str, Any] = {
            "REQUEST_METHOD": random.choice(METHODS),
            "SCRIPT_NAME": "" if random.random() < 0.98 else "/" + self.text(),
            "PATH_INFO": random.choice(PATHS) + ("/" + self.text() if random.random() < 0.2 else ""),
            "QUERY_STRING": "&".join(self.argument() for _ in range(random.choice([0, 1, 1, 2, 3, 40]))),
            "SERVER_NAME": "localhost",
            "SERVER_PORT": random.choice(["80", "80", "443", ""]),
            "SERVER_PROTOCOL": random.choice(["HTTP/1.1", "HTTP/1.0"]),
            "CONTENT_TYPE": random.choice(["", "application/json", "multipart/form-data; boundary=", self.text()]),
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }
        if random.random() < 0.85:
            environ["HTTP_AUTHORIZATION"] = random.choice(["Bearer ", "", "apikey  "]) + self.key
        for _ in range(random.choice([0, 0, 1, 3])):
            name = random.choice(HEADERS)
            environ[name if name == "CONTENT_LENGTH" else f"HTTP_{name}"] = self.text()
        return environ

    def argument(self) -> str:
        """Return an argument of a query."""
        name = self.random.choice([*VALID, *VALID, "x", "", "limit[]", self.text()])
        if name in VALID and self.random.random() < 0.5:
            return f"{name}={self.random.choice(VALID[name])}"
        return f"{name}={self.text()}"

    def text(self) -> str:
        """Return hostile or random bytes, as they are or percent-encoded."""
        value = self.random.choice([*HOSTILE, self.random.randbytes(self.random.randrange(40))])
        if self.random.random() < 0.3:
            position = self.random.randrange(len(value) + 1)
            value = value[:position] + self.random.choice(HOSTILE)[:50] + value[position:]
        return quote_from_bytes(value) if self.random.random() < 0.3 else value.decode("latin-1")


def fuzz(
    app: "WSGIApplication", database: Path, requests: Requests, count: int, log: list[logging.LogRecord]
) -> Counter[int]:
    """Send `count` requests and return how many got each status; raise `AssertionError` for a wrong response.

    `log` is where the application logs to in this process.
    """
    statuses, memory = Counter[int](), 0
    with closing(sqlite3.connect(database)) as connection:
        version = connection.execute("PRAGMA data_version").fetchone()
        for number in range(count):
            if number == count // 5:  # what is kept after the first requests is not a leak
                memory = resident_bytes()
            environ = requests.next()
            shown = {name: value for name, value in environ.items() if not name.startswith("wsgi.")}
            try:
                statuses[check_response(app, environ)] += 1
                assert not log, f"an error is logged: {log[0].getMessage()}"
            except AssertionError as error:
                raise AssertionError(f"{error}\nrequest {number} of the seed: {shown}") from None
        assert connection.execute("PRAGMA data_version").fetchone() == version, "the database was changed"
    growth = resident_bytes() - memory
    assert growth < MEMORY_BYTES, f"memory grew by {growth} bytes"
    return statuses


def check_response(app: "WSGIApplication", environ: "WSGIEnvironment") -> int:
    """Send a request and check the response; return its status."""
    started = time.process_time()
    try:
        parts, status, headers = run_wsgi_app(app, dict(environ), buffered=True)
    except Exception as error:
        raise AssertionError(f"an exception leaves the application: {error!r}") from error
    seconds = time.process_time() - started
    assert seconds < SECONDS, f"the request takes {seconds:.2f} s"
    response = Response(int(status[:3]), dict(headers), b"".join(parts))
    assert len(response.headers) == len(headers), f"a header is repeated: {headers}"
    assert response.status in (200, 206, 304, *CODES), f"the status is {status}"
    if response.status != 304:
        is_head = environ["REQUEST_METHOD"] == "HEAD"
        length = int(response.headers["Content-Length"])
        assert is_head or length == len(response.body), f"Content-Length is {length}; {len(response.body)} bytes came"
    request_id = response.headers.get("X-Request-Id", "")
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,128}", request_id), f"X-Request-Id is {request_id!r}"
    if response.status >= 400 and environ["REQUEST_METHOD"] != "HEAD":
        check_error(response, request_id, repr(environ).encode())
    return response.status


def check_error(response: Response, request_id: str, sent: bytes) -> None:
    """Check the envelope, and that it tells nothing internal that the client did not send."""
    assert response.headers["Content-Type"] == "application/json", f"Content-Type is {response.headers['Content-Type']}"
    error = json.loads(response.body)["error"]
    assert error.keys() - {"fields"} == {"code", "message", "request_id"}, f"the error has the keys {[*error]}"
    assert error["code"] in CODES[response.status], f"{response.status} has the code {error['code']}"
    assert error["message"], "the message is empty"
    assert error["request_id"] == request_id, f"request_id is {error['request_id']}; in the header {request_id}"
    sent = (sent + unquote_to_bytes(sent)).lower()
    told = [word for word in INTERNAL if word in response.body.lower() and word not in sent]
    assert not told, f"the response has {told}: {response.body!r}"


def resident_bytes() -> int:
    """Return the memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def requests(database: "Database", organization: "Organization", key: str) -> Requests:
    import_records(database, organization, agent_record(), *(session_record(number) for number in range(200)))
    database.checkpoint()
    return Requests(key, seed=1)


def test_every_request_gets_a_documented_response(
    app: Flask,
    database_path: Path,
    requests: Requests,
    caplog: pytest.LogCaptureFixture,
    record_property: Callable[[str, object], None],
) -> None:
    count = scaled(4000)
    statuses = fuzz(app, database_path, requests, count, caplog.records)
    assert statuses.keys() >= {200, 400, 401, 403, 404, 405}
    record_property("requests", count)
    for status, number in sorted(statuses.items()):
        record_property(str(status), number)


# --- fuzzing finds the errors of a wrong application ----------------------------------------------------------------


def altered(app: "WSGIApplication", alter: Callable[[Response], Response]) -> "WSGIApplication":
    """Return `app` with each response replaced by what `alter` makes of it."""

    def middleware(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        parts, status, headers = run_wsgi_app(app, environ, buffered=True)
        response = alter(Response(int(status[:3]), dict(headers), b"".join(parts)))
        start_response(f"{response.status} Altered", [*response.headers.items()])
        return [response.body]

    return middleware


def with_body(response: Response, body: bytes) -> Response:
    return response._replace(body=body, headers=response.headers | {"Content-Length": str(len(body))})


def raise_error(response: Response) -> Response:
    raise RuntimeError("uncaught")


def log_error(response: Response) -> Response:
    logging.getLogger("everruns").error("something")
    return response


def take_long(response: Response) -> Response:
    end = time.process_time() + 2 * SECONDS
    while time.process_time() < end:
        pass
    return response


leaked: list[bytes] = []


def leak(response: Response) -> Response:
    leaked.append(bytes(20_000))
    return response


WRONG: dict[str, tuple[Callable[[Response], Response], str]] = {
    "exception": (raise_error, "an exception leaves"),
    "status_500": (lambda response: response._replace(status=500), "the status is 500"),
    "html": (
        lambda response: response._replace(headers=response.headers | {"Content-Type": "text/html"}),
        "Content-Type",
    ),
    "other_request_id": (
        lambda response: response._replace(headers=response.headers | {"X-Request-Id": "other"}),
        "request_id is",
    ),
    "code": (lambda response: with_body(response, response.body.replace(b'"unauth', b'"x')), "has the code"),
    "internal": (
        lambda response: with_body(response, response.body.replace(b'"message": "', b'"message": "sqlite3.Error')),
        "the response has",
    ),
    "length": (lambda response: response._replace(body=response.body + b" "), "Content-Length is"),
    "logged": (log_error, "an error is logged"),
    "slow": (take_long, "the request takes"),
    "leak": (leak, "memory grew"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_response_is_found(
    app: Flask, database_path: Path, requests: Requests, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    alter, message = WRONG[name]
    with pytest.raises(AssertionError, match=message):
        fuzz(altered(app, alter), database_path, requests, 1000, caplog.records)
    leaked.clear()


def test_a_request_that_writes_is_found(
    app: Flask, database_path: Path, requests: Requests, caplog: pytest.LogCaptureFixture
) -> None:
    def write(response: Response) -> Response:
        execute(database_path, "UPDATE organizations SET name = 'other'")
        return response

    with pytest.raises(AssertionError, match="the database was changed"):
        fuzz(altered(app, write), database_path, requests, 20, caplog.records)
