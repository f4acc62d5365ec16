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
    status = request.args.get("status")
    if not (0 <= offset <= 2147483647 and 1 <= limit <= 100 and status in (None, "started", "active", "idle")):
        abort(400)
    with models.SessionLocal() as session:
        organization = models.find_organization(session, request.headers.get("Authorization"))
        if organization is None:
            abort(401)
        agent_id, search = request.args.get("agent_id"), request.args.get("search")
        return models.find_page(session, organization, offset, limit, agent_id, status, search)


@app.post("/v1/sessions")
def create_session() -> tuple[dict[str, object], int]:
    """Create a session."""
    body = request.get_json()
    title, tags, agent_id = body.get("title"), body.get("tags", []), body.get("agent_id")
    if not (title is None or isinstance(title, str)) or not all(isinstance(tag, str) for tag in tags):
        abort(400)
    with models.SessionLocal() as session:
        organization = models.find_organization(session, request.headers.get("Authorization"))
        if organization is None:
            abort(401)
        agent = None if agent_id is None else models.find_agent(session, organization, agent_id)
        if agent is None and agent_id is not None:
            abort(400)
        return models.store_session(session, organization, agent, title, tags), 201
