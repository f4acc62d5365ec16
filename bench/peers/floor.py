"""The floors: the same SQL without a framework and validation, and the same bytes without a database."""

import json
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Flask, Response

from bench.dataset import KEY
from everruns import create_app
from everruns.ids import new_id
from everruns.schemas import queries
from everruns.store import db, keys, sessions
from everruns.store.tables import as_json
from everruns.timestamps import now

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

PATH = Path(os.environ["EVERRUNS_DATABASE"])
FIRST_PAGE = queries.sessions_query(b"")
HEADERS = {"Authorization": f"Bearer {KEY}"}
BODY = create_app().test_client().get("/v1/sessions", headers=HEADERS).get_data()


class _Reader(threading.local):
    def __init__(self) -> None:
        self.connection = db.connect(PATH, 5)


_reader = _Reader()
_database = db.Database(PATH)


def same_sql(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Bare WSGI: authentication and the first page by the SQL of the service, in one read transaction."""
    key = environ["HTTP_AUTHORIZATION"].removeprefix("Bearer ")
    connection = _reader.connection
    connection.execute("BEGIN")
    found = keys.find_by_key(connection, key)
    assert found is not None  # noqa: S101
    organization, _ = found
    page = sessions.list_sessions(connection, organization, FIRST_PAGE)
    connection.execute("COMMIT")
    body = f'{{"data":[{page.data}],"total":{page.total},"offset":0,"limit":20}}\n'.encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def constant(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Bare WSGI: the bytes of the first page, made once."""
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(BODY)))])
    return [BODY]


flask = Flask(__name__, static_folder=None)


@flask.get("/v1/sessions")
def same_bytes() -> Response:
    """Flask: the bytes of the first page, made once."""
    return Response(BODY, content_type="application/json")


def same_insert(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Bare WSGI: a session stored by the INSERT of the service, committed as the service commits."""
    record = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    at = now()
    row = {**sessions.TABLE.defaults, "id": None, "organization_id": 1, "agent_id": 1, "public_id": new_id("session")}
    row |= {"title": record["title"], "tags": as_json(record["tags"]), "created_at": at, "updated_at": at}
    with _database.write() as connection:
        connection.execute(sessions.TABLE.insert, row)
    body = f'{{"id":"{row["public_id"]}"}}\n'.encode()
    start_response("201 Created", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
