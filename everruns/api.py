"""The one blueprint: who is asking, what do they ask, fetch, answer."""

import sqlite3
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flask import Blueprint, Response, current_app, json, request
from werkzeug.datastructures import Headers

import everruns
from everruns import activity, auth, db, files, heartbeat, page_files, pages, schemas, sessions
from everruns.links import link

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

api = Blueprint("api", __name__)


class _Whole(Response):
    """An answer whose headers are whole, so that none needs to be worked out from the others."""

    def get_wsgi_headers(self, environ: "WSGIEnvironment") -> Headers:
        return self.headers


@api.get("/")
def page() -> Response:
    """The page to look at; it asks for the sessions itself."""
    return page_files.serve("index.html")


@api.get("/page/<name>")
def page_file(name: str) -> Response:
    """What the page consists of."""
    return page_files.serve(name)


@api.get("/v1/sessions")
def list_sessions() -> Response:
    """The sessions of the asking organization, newest first, a page at a time."""
    with db.snapshot() as connection:
        organization = _who(connection)
        query = schemas.sessions_query(request.query_string)
        etag = pages.etag(organization, query)
        headers = pages.common_headers(etag)
        if _has(etag):
            return Response(status=304, headers=headers)
        page = sessions.list_sessions(connection, organization, query)
    text = f'{{"data":{page.sessions},"total":{page.total},"offset":{query.offset},"limit":{query.limit}}}\n'
    body = text.encode("utf-8")
    headers["Link"] = link(query, page.total, page.newest)
    headers["Content-Type"] = "application/json"
    headers["Content-Length"] = str(len(body))
    pages.keep(etag, pages.Answer(body, headers))
    return _Whole([body], headers=headers)


@api.get("/v1/sessions/activity")
def list_activity() -> Response:
    """How many sessions of the asking organization were created on each of some days, oldest first."""
    with db.snapshot() as connection:
        organization = _who(connection)
        query = schemas.activity_query(request.query_string, datetime.now(UTC).date())
        etag = pages.etag(organization, query)
        headers = pages.common_headers(etag)
        if _has(etag):
            return Response(status=304, headers=headers)
        counted = activity.per_day(connection, organization, query)
    answer = {
        "data": [{"day": day.isoformat(), "sessions": sessions} for day, sessions in counted],
        "total": sum(sessions for _, sessions in counted),
        "days": query.days,
        "until": query.until.isoformat(),
    }
    text = json.dumps(answer, sort_keys=False, separators=(",", ":")) + "\n"
    return Response(text, headers=headers, content_type="application/json")


def _who(connection: sqlite3.Connection) -> auth.Organization:
    organization = auth.authenticate(connection, request.headers)
    request.environ["everruns.organization"] = organization.public_id  # for the log
    return organization


def _has(etag: str) -> bool:
    return "If-None-Match" in request.headers and request.if_none_match.contains_weak(etag)


@api.get("/health")
def health() -> dict[str, object]:
    """Whether the database can be read and is of the expected version; raises `DatabaseUnavailable` when not.

    A replica also tells how old its data is, in seconds; null as long as it cannot know.
    """
    answer: dict[str, object] = {"status": "ok", "version": everruns.__version__}
    with db.snapshot() as connection:
        db.verify(connection)
        connection.execute("SELECT EXISTS (SELECT 1 FROM organizations)").fetchone()
        if current_app.config["READ_ONLY"]:
            answer["replica_lag_seconds"] = heartbeat.lag_seconds(connection)
    return answer


@api.get("/api-doc/openapi.json")
def openapi() -> Response:
    """The API as OpenAPI 3.1 describes it."""
    return files.answer(files.find("openapi.json", "docs"), "application/json")


@api.get("/llms.txt")
def llms() -> Response:
    """What a language model needs in order to call the API right."""
    return files.answer(files.find("llms.txt", "docs"), "text/plain; charset=utf-8")
