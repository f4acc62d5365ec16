"""The one blueprint: who is asking, what do they ask, fetch, answer."""

from typing import TYPE_CHECKING

from flask import Blueprint, Response, current_app, request
from werkzeug.datastructures import Headers

import everruns
from everruns import auth, db, heartbeat, pages, schemas, sessions
from everruns.links import link

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

api = Blueprint("api", __name__)


class _Whole(Response):
    """An answer whose headers are whole, so that none needs to be worked out from the others."""

    def get_wsgi_headers(self, environ: "WSGIEnvironment") -> Headers:
        return self.headers


@api.get("/v1/sessions")
def list_sessions() -> Response:
    """The sessions of the asking organization, newest first, a page at a time."""
    with db.snapshot() as connection:
        organization = auth.authenticate(connection, request.headers)
        request.environ["everruns.organization"] = organization.public_id
        query = schemas.sessions_query(request.query_string)
        etag = pages.etag(organization, query)
        headers = pages.common_headers(etag)
        if "If-None-Match" in request.headers and request.if_none_match.contains_weak(etag):
            return Response(status=304, headers=headers)
        page = sessions.list_sessions(connection, organization, query)
    text = f'{{"data":{page.sessions},"total":{page.total},"offset":{query.offset},"limit":{query.limit}}}\n'
    body = text.encode("utf-8")
    headers["Link"] = link(query, page.total, page.newest)
    headers["Content-Type"] = "application/json"
    headers["Content-Length"] = str(len(body))
    pages.keep(etag, pages.Answer(body, headers))
    return _Whole([body], headers=headers)


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
