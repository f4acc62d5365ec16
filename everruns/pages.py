"""Answers by ETag, and the question asked again: answered before Flask is, from the last answers.

An ETag never stands for two different answers, so nothing in here can be out of date. Whoever asks is authenticated
and the revision is read on every request, in one indexed read. Without this module every answer is the same, slower.
"""

import hashlib
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from flask import Flask, current_app
from werkzeug.datastructures import EnvironHeaders
from werkzeug.http import parse_etags

from everruns import auth, db, schemas
from everruns.errors import ApiError, request_id

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

MAX_CACHED_PAGES = 10_000
MAX_BODY_BYTES = 128 * 1024

# Other code may answer otherwise, and a checkout changes without a new number of its version.
_CODE = (file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py")))
_PROGRAM = hashlib.sha256(b"".join(_CODE)).hexdigest()

_EXTENSION = "everruns.pages"


class Answer(NamedTuple):
    """An answer to `GET /v1/sessions`: its body, and its headers but for `X-Request-Id`."""

    body: bytes
    headers: Mapping[str, str]


def init_app(app: Flask) -> None:
    """Let each process of `app` keep its `app.config["CACHED_PAGES"]` last used answers; with 0, change nothing."""
    size = app.config["CACHED_PAGES"]
    if not isinstance(size, int) or not 0 <= size <= MAX_CACHED_PAGES:
        raise SystemExit(f"EVERRUNS_CACHED_PAGES must be a whole number from 0 to {MAX_CACHED_PAGES}, not {size!r}")
    if size:
        app.extensions[_EXTENSION] = repeated = _Repeated(app.wsgi_app, db.reader(app), size)
        app.wsgi_app = repeated  # type: ignore[method-assign]  # Flask's documented place for a middleware


def etag(organization: auth.Organization, query: schemas.SessionsQuery | schemas.ActivityQuery) -> str:
    """The ETag, without quotes, of what `organization` gets for `query`: all that an answer depends on, hashed."""
    answered = f"{_PROGRAM} {organization.public_id} {organization.revision} {query}"
    return hashlib.sha256(answered.encode()).hexdigest()[:32]


def common_headers(etag: str) -> dict[str, str]:
    """The headers that a 304 has, and the 200 in whose place it stands."""
    return {"ETag": f'W/"{etag}"', "Cache-Control": "private, no-cache", "Vary": "Authorization"}


def keep(etag: str, answer: Answer) -> None:
    """Keep `answer`, and forget the one that was not used for longest; a very large one is not kept."""
    repeated: _Repeated | None = current_app.extensions.get(_EXTENSION)
    if repeated is not None and len(answer.body) <= MAX_BODY_BYTES:
        repeated.keep(etag, answer)


class _Repeated:
    """A WSGI application before another: answers what it has the answer to, and leaves everything else."""

    def __init__(self, application: "WSGIApplication", reader: db.Reader, size: int) -> None:
        self.application = application
        self.reader = reader
        self.size = size
        self.lock = threading.Lock()
        self.answers: OrderedDict[str, Answer] = OrderedDict()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "GET" and environ["PATH_INFO"] == "/v1/sessions":
            try:
                status, answer = self._find(environ)
            except (LookupError, ApiError, db.DatabaseUnavailable, sqlite3.Error):
                pass  # no answer, or none but an error: Flask gives it
            else:
                start_response(status, [*answer.headers.items(), ("X-Request-Id", request_id(environ))])
                return [answer.body]
        return self.application(environ, start_response)

    def _find(self, environ: "WSGIEnvironment") -> tuple[str, Answer]:
        with self.reader.reading() as connection:
            organization = auth.authenticate(connection, EnvironHeaders(environ))
        environ["everruns.organization"] = organization.public_id
        tag = etag(organization, schemas.sessions_query(environ["QUERY_STRING"].encode("latin-1")))
        if "HTTP_IF_NONE_MATCH" in environ and parse_etags(environ["HTTP_IF_NONE_MATCH"]).contains_weak(tag):
            return "304 NOT MODIFIED", Answer(b"", common_headers(tag))
        with self.lock:
            self.answers.move_to_end(tag)
            return "200 OK", self.answers[tag]

    def keep(self, tag: str, answer: Answer) -> None:
        with self.lock:
            self.answers[tag] = answer
            if len(self.answers) > self.size:
                self.answers.popitem(last=False)
