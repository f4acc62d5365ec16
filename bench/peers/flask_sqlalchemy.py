"""Flask + SQLAlchemy 2, for gunicorn."""

from flask import Flask, abort, request

from bench.peers import models

app = Flask(__name__, static_folder=None)
app.json.sort_keys = False


@app.get("/v1/sessions")
def list_sessions() -> dict[str, object]:
    """A page of the organization's sessions, newest first."""
    offset = request.args.get("offset", 0, type=int)
    limit = request.args.get("limit", 20, type=int)
    if not (0 <= offset <= 2147483647 and 1 <= limit <= 100):
        abort(400)
    with models.SessionLocal() as session:
        organization = models.find_organization(session, request.headers.get("Authorization"))
        if organization is None:
            abort(401)
        return models.find_page(session, organization, request.args.get("agent_id"), offset, limit)
