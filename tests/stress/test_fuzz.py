"""Random requests, in process: whatever is in the URL, the headers and the body, the response is a documented one.

No status from 500 on, each error in the envelope with a documented code and the `request_id` of the header, nothing
internal in it, no error in the log, no write by a request that is refused or only reads, no growth of memory, no
request that takes long. Afterwards the database has no errors.
"""

import io
import json
import logging
import os
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

import pytest
from flask import Flask, Response
from werkzeug.test import run_wsgi_app

from everruns.records import Organization
from everruns.store import check
from everruns.store.db import Database
from tests.stress.scale import scaled
from tests.support.database import execute, import_records
from tests.support.records import AGENT_ID, agent_record, session_record

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

CODES = {
    400: {"invalid_request"},
    401: {"unauthorized"},
    403: {"organization_mismatch", "read_only_key"},
    404: {"not_found"},
    405: {"method_not_allowed"},
    409: {"conflict"},
    413: {"request_entity_too_large"},
    415: {"unsupported_media_type"},
    416: {"requested_range_not_satisfiable"},
}
INTERNAL = (b"traceback", b"sqlite", b"select ", b'file "', b"site-packages", b"everruns/", b".py", b"<html")
MEMORY_BYTES = 12 * 1024 * 1024
SECONDS = 0.5  # of processor time, for one request

READING_METHODS = [*["GET"] * 14, "HEAD", "OPTIONS", "TRACE", "QUERY", "get", "X-\xff"]
METHODS = [*["POST"] * 6, *["PUT", "PATCH", "DELETE"] * 3, *READING_METHODS]
PATHS = [
    *["/v1/sessions", "/v1/sessions", "/v1/agents", "/v1/harnesses", "/v1/sessions/session_1"] * 4,
    *["/v1/sessions/activity", "/v1/sessions/stats", "/v1/capabilities", "/v1/capabilities/shell", "/v1/organization"],
    *["/v1/sessions/session_new", f"/v1/agents/{AGENT_ID}", "/v1/agents/agent_new", "/v1/harnesses/harness_1"],
    *["/health", "/", "/v1", "/v1/sessions/", "//v1/sessions", "/V1/Sessions", "", "*", "/v1/sessions\0"],
    *["/web/", "/web/main.js", "/web/../app.py", "/api-doc/openapi.json", "/llms.txt"],
]
ARGUMENTS: dict[str, list[str]] = {
    "agent_id": [AGENT_ID, "agent_1"],
    "offset": ["0", "1", "99", "2147483647"],
    "limit": ["1", "20", "100"],
    "days": ["1", "28", "366"],
    "until": ["2026-02-27", "9999-12-31", "0001-01-01"],
    "created_after": ["2026-02-27T13:13:53Z", "0001-01-01T00:00:00Z"],
    "created_before": ["2026-02-27T13:13:53.5%2B01:00", "9999-12-31T23:59:59.999999Z"],
    "status": ["active", "idle"],
    "tag": ["a", "b"],
    "search": ["a", "abc", "%22", "%25"],
    "include": ["session_counts"],
}
KEYS: dict[str, list[Any]] = {
    "id": ["session_1", "session_new", "agent_new", "harness_1"],
    "agent_id": [AGENT_ID, None],
    "harness_id": [None],
    "name": ["a"],
    "title": ["a", "", None],
    "tags": [[], ["a", "b", "a"]],
    "capabilities": [[], [{"ref": "a", "config": {"a": [1.5, None]}}]],
    "status": ["active", "idle"],
    "created_at": ["2026-02-27T13:13:53Z", "0001-01-01T00:00:00Z", None],
    "updated_at": ["9999-12-31T23:59:59.999999Z"],
}
HEADERS = [
    *["AUTHORIZATION", "X_ORG_ID", "X_REQUEST_ID", "IF_NONE_MATCH", "IF_MATCH", "IF_MODIFIED_SINCE", "RANGE", "HOST"],
    *["ACCEPT", "COOKIE", "EXPECT", "X_FORWARDED_FOR", "X_FORWARDED_HOST", "TRANSFER_ENCODING", "CONTENT_ENCODING"],
    *["X_HTTP_METHOD_OVERRIDE", "CONTENT_LENGTH", "X_\xff"],
]
HOSTILE = [
    # SQL
    *[b"'", b"' OR 1=1 --", b"1; DROP TABLE sessions", b"agent_1'||(SELECT 1)||'", b"agent_%", b"agent_*", b":limit"],
    *[b'"', b'a" OR "b', b"NEAR(", b"title:a", b"a*", b"_%_"],
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
    *[b"Basic YTph", b"evr_" + b"A" * 43, b"evr_" + b"A" * 43 + b"\n", b"org_", b"bytes=0-0", b"a=\xff;;", b"gzip"],
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
BODIES = [
    b"",
    b"{}",
    b'{"id": 1',
    b"[" * 100_000,
    b'{"a": 1, "a": 2}',
    b'{"title": "\\ud800"}',
    b'{"title": "\xff"}',
    b"1e999",
]


class Requests:
    """An endless series of WSGI environments, the same for each seed. Their text is latin-1, as PEP 3333 demands."""

    def __init__(self, key: str, seed: int) -> None:
        self.key = key
        self.random = Random(seed)

    def next(self) -> "WSGIEnvironment":
        """Return the next one."""
        random = self.random
        method, body = random.choice(METHODS), self.body()
        arguments = [0, *[1] * 10, *[2] * 5, 3, 40] if method in READING_METHODS else [0] * 9 + [1]
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "" if random.random() < 0.98 else "/" + self.text(),
            "PATH_INFO": random.choice(PATHS) + ("/" + self.text() if random.random() < 0.1 else ""),
            "QUERY_STRING": "&".join(self.argument() for _ in range(random.choice(arguments))),
            "SERVER_NAME": "localhost",
            "SERVER_PORT": random.choice(["80", "80", "443", ""]),
            "SERVER_PROTOCOL": random.choice(["HTTP/1.1", "HTTP/1.0"]),
            "CONTENT_TYPE": random.choice(
                [*["application/json"] * 9, "", "multipart/form-data; boundary=", self.text()]
            ),
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }
        if random.random() < 0.9:
            environ["HTTP_AUTHORIZATION"] = random.choice(["Bearer ", "", "apikey  "]) + self.key
        for _ in range(random.choice([0, 0, 1, 3])):
            name = random.choice(HEADERS)
            environ[name if name == "CONTENT_LENGTH" else f"HTTP_{name}"] = self.text()
        return environ

    def argument(self) -> str:
        """Return an argument of a query."""
        name = self.random.choice([*[*ARGUMENTS] * 4, "x", "", "limit[]", self.text()])
        return f"{name}={self.random.choice([self.text(), self.random.choice(ARGUMENTS.get(name, ['']))])}"

    def body(self) -> bytes:
        """Return a body: mostly a JSON object, of valid and other values."""
        if self.random.random() < 0.3:
            return self.random.choice([*BODIES, self.random.randbytes(2000), self.text().encode("latin-1")])
        record = {}
        for name in self.random.sample([*KEYS, self.text()], self.random.randrange(5)):
            other: Any = self.random.choice(
                [*[self.text()] * 6, 1, 1e308, True, None, {}, {"a": 1}, [None], [self.text()]]
            )
            record[name] = other if self.random.random() < 0.3 else self.random.choice(KEYS.get(name, [other]))
        return json.dumps(record).encode()

    def text(self) -> str:
        """Return hostile or random bytes, as they are or percent-encoded."""
        value = self.random.choice([*HOSTILE, self.random.randbytes(self.random.randrange(40))])
        if self.random.random() < 0.3:
            position = self.random.randrange(len(value) + 1)
            value = value[:position] + self.random.choice(HOSTILE)[:50] + value[position:]
        return quote_from_bytes(value) if self.random.random() < 0.3 else value.decode("latin-1")


def fuzz(app: Flask, requests: Requests, count: int, log: list[logging.LogRecord]) -> Counter[int]:
    """Send `count` requests and return how many got each status; raise `AssertionError` for a wrong response.

    `log` is where the application logs to in this process.
    """
    statuses, memory = Counter[int](), 0
    with closing(sqlite3.connect(app.extensions["everruns"].path)) as connection:
        version = connection.execute("PRAGMA data_version").fetchone()
        for number in range(count):
            if number == count // 4:  # what is kept after the first requests is not a leak
                memory = resident_bytes()
            environ = requests.next()
            shown = {name: value for name, value in environ.items() if not name.startswith("wsgi.")}
            try:
                status = check_response(app, environ)
                assert not log, f"an error is logged: {log[0].getMessage()}"
                version, before = connection.execute("PRAGMA data_version").fetchone(), version
                may_write = status in (200, 201, 204) and shown["REQUEST_METHOD"] not in READING_METHODS
                assert version == before or may_write, f"a request with status {status} changed the database"
            except AssertionError as error:
                raise AssertionError(f"{error}\nrequest {number} of the seed: {shown}") from None
            statuses[status] += 1
        assert not list(check.errors(connection))
    growth = resident_bytes() - memory
    assert growth < MEMORY_BYTES, f"memory grew by {growth} bytes"
    return statuses


def check_response(app: Flask, environ: "WSGIEnvironment") -> int:
    """Send a request and check the response; return its status."""
    started = time.process_time()
    parts, status_line, header_list = run_wsgi_app(app, environ, buffered=True)
    seconds = time.process_time() - started
    assert seconds < SECONDS, f"the request takes {seconds:.2f} s"
    status, headers, body = int(status_line[:3]), dict(header_list), b"".join(parts)
    assert len(headers) == len(header_list), f"a header is repeated: {header_list}"
    assert status in (200, 201, 204, 206, 304, *CODES), f"the status is {status_line}"
    request_id = headers.get("X-Request-Id", "")
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,128}", request_id), f"X-Request-Id is {request_id!r}"
    if environ["REQUEST_METHOD"] == "HEAD" or status in (204, 304):
        assert not body, f"{status} has a body"
        return status
    assert int(headers["Content-Length"]) == len(body), (
        f"Content-Length is {headers['Content-Length']}, not {len(body)}"
    )
    if status >= 400:
        assert headers["Content-Type"] == "application/json", f"Content-Type is {headers['Content-Type']}"
        error = json.loads(body)["error"]
        assert error.keys() - {"fields"} == {"code", "message", "request_id"}, f"the error has the keys {[*error]}"
        assert error["code"] in CODES[status], f"{status} has the code {error['code']}"
        assert error["message"], "the message is empty"
        assert error["request_id"] == request_id, f"request_id is {error['request_id']}; in the header {request_id}"
        check_nothing_internal(body, repr(environ).encode() + environ["wsgi.input"].getvalue())
    return status


def check_nothing_internal(body: bytes, sent: bytes) -> None:
    """Check that an error tells nothing internal that the client did not send."""
    sent = (sent + unquote_to_bytes(sent)).lower()
    told = [word for word in INTERNAL if word in body.lower() and word not in sent]
    assert not told, f"the response has {told}: {body!r}"


def resident_bytes() -> int:
    """Return the memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def requests(database: Database, organization: Organization, key: str) -> Requests:
    import_records(database, organization, agent_record(), *(session_record(number) for number in range(200)))
    database.checkpoint()
    return Requests(key, seed=1)


def test_every_request_gets_a_documented_response(
    app: Flask, requests: Requests, caplog: pytest.LogCaptureFixture, record_property: Callable[[str, object], None]
) -> None:
    statuses = fuzz(app, requests, scaled(10_000), caplog.records)
    assert statuses.keys() >= {200, 201, 204, 400, 401, 403, 404, 405, 415}
    record_property("requests", statuses.total())
    for status, number in sorted(statuses.items()):
        record_property(str(status), number)


# --- fuzzing finds the errors of a wrong application ----------------------------------------------------------------

leaked: list[bytes] = []


def take_long(_: Response) -> None:
    end = time.process_time() + SECONDS
    while time.process_time() < end:
        pass


def name_an_exception(response: Response) -> None:
    if response.status_code == 401:
        response.data = response.data.replace(b'"message": "', b'"message": "sqlite3.Error ')


def repeat_a_header(response: Response) -> None:
    response.headers.add("Vary", "a")
    response.headers.add("Vary", "b")


def change_the_request_id(response: Response) -> None:
    if response.status_code >= 400:
        response.data = response.data.replace(b'"request_id": "', b'"request_id": "x')


WRONG: dict[str, tuple[Callable[[Response], object], str]] = {
    "internal_error": (lambda _: 1 // 0, "the status is 500"),
    "html": (lambda response: response.headers.set("Content-Type", "text/html"), "Content-Type is text/html"),
    "other_request_id": (change_the_request_id, "request_id is"),
    "repeated_header": (repeat_a_header, "a header is repeated"),
    "wrong_length": (lambda response: response.headers.set("Content-Length", "1"), "Content-Length is 1"),
    "exception_in_message": (name_an_exception, "the response has"),
    "logged_error": (lambda _: logging.getLogger("everruns").error("something"), "an error is logged"),
    "slow": (take_long, "the request takes"),
    "leak": (lambda _: leaked.append(bytes(50_000)), "memory grew"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_response_is_found(app: Flask, requests: Requests, caplog: pytest.LogCaptureFixture, name: str) -> None:
    alter, message = WRONG[name]

    @app.after_request
    def altered(response: Response) -> Response:
        alter(response)
        return response

    with pytest.raises(AssertionError, match=message):
        fuzz(app, requests, 500, caplog.records)
    leaked.clear()


def test_a_write_by_a_reading_request_is_found(
    app: Flask, database_path: Path, requests: Requests, caplog: pytest.LogCaptureFixture
) -> None:
    @app.after_request
    def write(response: Response) -> Response:
        execute(database_path, "UPDATE organizations SET name = 'other'")
        return response

    with pytest.raises(AssertionError, match="changed the database"):
        fuzz(app, requests, 20, caplog.records)
