"""The application with one planted fault, named by `EVERRUNS_PLANT`: what the attacks must find.

No part of the service: an attack that does not report each of these would find nothing either where something is.
"""

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from everruns import create_app

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_kept: list[bytes] = []
_poisoned: list[bool] = []


def _asks_for_it(environ: "WSGIEnvironment") -> bool:
    """Whether the request has a byte that waits for a careless reader: an apostrophe in the query."""
    return "'" in unquote(environ["QUERY_STRING"])


def _instead(start_response: "StartResponse", status: str, kind: str, body: bytes) -> Iterable[bytes]:
    headers = [("Content-Type", kind), ("Content-Length", str(len(body))), ("X-Request-Id", "planted")]
    start_response(status, headers)
    return [body]


def fault(app: "WSGIApplication", environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """An exception that nobody catches."""
    if _asks_for_it(environ):
        raise RuntimeError("planted")
    return app(environ, start_response)


def no_envelope(app: "WSGIApplication", environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """An error as a page of HTML."""
    if _asks_for_it(environ):
        return _instead(start_response, "400 BAD REQUEST", "text/html", b"<html>no</html>")
    return app(environ, start_response)


def no_code(app: "WSGIApplication", environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """An envelope whose request_id is another than the header's."""
    if _asks_for_it(environ):
        body = b'{"error": {"code": "invalid_request", "message": "no", "request_id": "another"}}'
        return _instead(start_response, "400 BAD REQUEST", "application/json", body)
    return app(environ, start_response)


def told(app: "WSGIApplication", environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """An envelope with what the database says."""
    if _asks_for_it(environ):
        body = b'{"error": {"code": "invalid_request", "message": "sqlite3.Error", "request_id": "planted"}}'
        return _instead(start_response, "400 BAD REQUEST", "application/json", body)
    return app(environ, start_response)


def logged(app: "WSGIApplication", environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """A traceback in the log, and nothing in the answer."""
    if _asks_for_it(environ):
        try:
            raise RuntimeError("planted")
        except RuntimeError:
            logging.getLogger("everruns").exception("planted")
    return app(environ, start_response)


def key_logged(app: "WSGIApplication", environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """A key in the log, past every filter."""
    if _asks_for_it(environ) and "HTTP_AUTHORIZATION" in environ:
        os.write(2, f'{{"message": "{environ["HTTP_AUTHORIZATION"].rpartition(" ")[2]}"}}\n'.encode("latin-1"))
    return app(environ, start_response)


def length(app: "WSGIApplication", environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """A Content-Length that is none."""

    def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
        wrong = [(name, "7" + value if name == "Content-Length" else value) for name, value in headers]
        return start_response(status, wrong, *more)

    return app(environ, start if _asks_for_it(environ) else start_response)


def injected(app: "WSGIApplication", environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """What was asked, decoded, in a header."""

    def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
        asked = unquote(environ["QUERY_STRING"], "latin-1")
        return start_response(status, [*headers, ("X-Asked", asked)], *more)

    return app(environ, start)


def silent(app: "WSGIApplication", environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """A connection that ends without an answer."""
    if _asks_for_it(environ) and "gunicorn.socket" in environ:
        environ["gunicorn.socket"].shutdown(2)
    return app(environ, start_response)


def memory(app: "WSGIApplication", environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """10 kB that are never given back, for each request."""
    _kept.append(b"x" * 10_000)
    return app(environ, start_response)


def slow(app: "WSGIApplication", environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """One request after which every answer takes longer."""
    if _asks_for_it(environ):
        _poisoned.append(True)
    if _poisoned:
        time.sleep(0.012)
    return app(environ, start_response)


def write(app: "WSGIApplication", environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """A question that changes the database."""
    if _asks_for_it(environ):
        with sqlite3.connect(os.environ["EVERRUNS_DATABASE"], timeout=5) as connection:
            connection.execute("UPDATE organizations SET name = 'planted'")
        connection.close()
    return app(environ, start_response)


Fault = Callable[["WSGIApplication", "WSGIEnvironment", "StartResponse"], Iterable[bytes]]
FAULTS: dict[str, Fault] = {
    one.__name__: one
    for one in (
        *(fault, no_envelope, no_code, told, logged, key_logged),
        *(length, injected, silent, memory, slow, write),
    )
}


def planted(app: "WSGIApplication", name: str) -> "WSGIApplication":
    """`app` with the fault of that name; with none, `app` itself."""
    return partial(FAULTS[name], app) if name else app


def application() -> "WSGIApplication":
    """For gunicorn."""
    return planted(create_app(), os.environ["EVERRUNS_PLANT"])
