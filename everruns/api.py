"""The one blueprint: who is asking, what do they ask, fetch, answer."""

import hashlib

from flask import Blueprint, Response, request

import everruns
from everruns import auth, db, pages, schemas, sessions
from everruns.links import link

api = Blueprint("api", __name__)


@api.get("/v1/sessions")
def list_sessions() -> Response:
    """The sessions of the asking organization, newest first, a page at a time."""
    with db.snapshot() as connection:
        organization = auth.authenticate(connection, request.headers)
        query = schemas.sessions_query(request.query_string)
        etag = _etag(organization, query)
        headers = {"ETag": f'W/"{etag}"', "Cache-Control": "private, no-cache", "Vary": "Authorization"}
        if "If-None-Match" in request.headers and request.if_none_match.contains_weak(etag):
            return Response(status=304, headers=headers)
        answer = pages.get(etag)
        if answer is None:
            page = sessions.list_sessions(connection, organization, query)
            body = f'{{"data":{page.sessions},"total":{page.total},"offset":{query.offset},"limit":{query.limit}}}\n'
            answer = pages.Answer(body.encode("utf-8"), link(query, page.total, page.newest))
            pages.keep(etag, answer)
    return Response(answer.body, headers={**headers, "Link": answer.link}, content_type="application/json")


@api.get("/health")
def health() -> dict[str, str]:
    """Whether the database can be read and is of the expected version; raises `DatabaseUnavailable` when not."""
    with db.snapshot() as connection:
        db.verify(connection)
        connection.execute("SELECT EXISTS (SELECT 1 FROM organizations)").fetchone()
    return {"status": "ok", "version": everruns.__version__}


def _etag(organization: auth.Organization, query: schemas.SessionsQuery) -> str:
    """What an answer depends on: the program, the data, the question."""
    return hashlib.sha256(f"{everruns.__version__} {organization.revision} {query}".encode()).hexdigest()[:32]
