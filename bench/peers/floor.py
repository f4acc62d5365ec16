"""The floors: a page from our SQL without a framework, and our bytes from memory without a database."""

import os
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from flask import Flask, Response
from werkzeug.datastructures import Headers

from everruns import auth, create_app, db, schemas, sessions

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_ours = create_app({"CACHED_PAGES": 0})
_first = schemas.sessions_query(b"")


class _Connection(threading.local):
    """One connection a thread, opened as the service opens it and then kept past its context."""

    def __init__(self) -> None:
        with _ours.app_context(), db.snapshot() as connection:
            self.connection = connection


_opened = _Connection()


def page(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """A bare WSGI function: authentication and a page by the very SQL of the service, and nothing else."""
    arguments = parse_qs(environ["QUERY_STRING"])
    query = _first._replace(offset=int(arguments["offset"][0])) if "offset" in arguments else _first
    connection = _opened.connection
    connection.execute("BEGIN")
    try:
        organization = auth.authenticate(connection, Headers([("Authorization", environ["HTTP_AUTHORIZATION"])]))
        found = sessions.list_sessions(connection, organization, query)
    finally:
        connection.execute("COMMIT")
    body = f'{{"data":{found.sessions},"total":{found.total},"offset":{query.offset},"limit":{query.limit}}}\n'.encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


memory = Flask(__name__, static_folder=None)


def _first_page() -> bytes:
    headers = {"Authorization": f"Bearer {os.environ['BENCH_KEY']}"}
    answer = _ours.test_client().get("/v1/sessions", headers=headers)
    assert answer.status_code == 200, answer.text  # noqa: S101 -- else the floor would be an error page
    body: bytes = answer.data
    return body


_bytes = _first_page() if "BENCH_KEY" in os.environ else b""


@memory.get("/v1/sessions")
def from_memory() -> Response:
    """The bytes of the first page, fetched once at start."""
    return Response(_bytes, content_type="application/json")
