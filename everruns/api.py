"""The one blueprint: who is asking, what do they ask, fetch, answer."""

from flask import Blueprint, Response, request

import everruns
from everruns import auth, db, schemas, sessions

api = Blueprint("api", __name__)


@api.get("/v1/sessions")
def list_sessions() -> Response:
    """The sessions of the asking organization, newest first, a page at a time."""
    with db.snapshot() as connection:
        organization = auth.authenticate(connection, request.headers)
        query = schemas.sessions_query(request.args)
        answer = sessions.list_sessions(connection, organization, query)
    headers = {"Cache-Control": "private, no-cache", "Vary": "Authorization"}
    return Response(answer, headers=headers, content_type="application/json")


@api.get("/health")
def health() -> dict[str, str]:
    """Whether the database can be read and is of the expected version; raises `DatabaseUnavailable` when not."""
    with db.snapshot() as connection:
        db.verify(connection)
        connection.execute("SELECT EXISTS (SELECT 1 FROM organizations)").fetchone()
    return {"status": "ok", "version": everruns.__version__}
