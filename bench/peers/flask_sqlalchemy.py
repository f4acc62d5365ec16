"""Flask + SQLAlchemy 2, for gunicorn."""

from flask import Flask, abort, request
from flask.json.provider import DefaultJSONProvider

from bench.peers import models
from everruns.values import BASE_HARNESS

MAX_OFFSET = 2147483647

app = Flask(__name__, static_folder=None)
assert isinstance(app.json, DefaultJSONProvider)  # noqa: S101 -- Flask's own default, for the type checker
app.json.sort_keys = False
app.json.compact = True
app.json.ensure_ascii = False


@app.get("/v1/sessions")
def list_sessions() -> dict[str, object]:
    """The sessions of the asking organization, newest first."""
    offset = request.args.get("offset", 0, type=int)
    limit = request.args.get("limit", 20, type=int)
    if not (0 <= offset <= MAX_OFFSET and 1 <= limit <= 100):
        abort(400)
    with models.SessionLocal() as session:
        organization = models.find_organization(session, request.headers.get("Authorization"))
        if organization is None:
            abort(401)
        total, found = models.find_page(session, organization, request.args.get("agent_id"), offset, limit)
        data = [
            {
                "id": item.public_id,
                "organization_id": organization.public_id,
                "harness_id": item.harness.public_id if item.harness else BASE_HARNESS,
                "agent_id": item.agent.public_id,
                "title": item.title,
                "tags": item.tags,
                "model_id": item.model_id,
                "capabilities": [
                    {"ref": capability.capability_id}
                    if capability.config is None
                    else {"ref": capability.capability_id, "config": capability.config}
                    for capability in item.capabilities
                ],
                "status": item.status,
                "features": models.features_of(item),
                "created_at": item.created_at,
                "updated_at": item.updated_at,
            }
            for item in found
        ]
    return {"data": data, "total": total, "offset": offset, "limit": limit}
