"""The blueprint: which function serves which path and method."""

from flask import Blueprint
from werkzeug.routing import BaseConverter

from everruns.api import agents, capabilities, resources, service, sessions
from everruns.transfer.resources import RESOURCES


class PublicIdConverter(BaseConverter):
    """A segment with `_`, as in every public id; excludes `stats` and `activity`."""

    regex = "[^/]*_[^/]*"


api = Blueprint("api", __name__)

for resource in RESOURCES.values():
    path, one, chosen = f"/v1/{resource.plural}", f"/v1/{resource.plural}/<id:public_id>", {"resource": resource}
    api.add_url_rule(path, f"create_{resource.name}", resources.create, methods=["POST"], defaults=chosen)
    api.add_url_rule(one, f"get_{resource.name}", resources.get, defaults=chosen)
    api.add_url_rule(one, f"replace_{resource.name}", resources.replace, methods=["PUT"], defaults=chosen)
    api.add_url_rule(one, f"change_{resource.name}", resources.change, methods=["PATCH"], defaults=chosen)
    api.add_url_rule(one, f"remove_{resource.name}", resources.remove, methods=["DELETE"], defaults=chosen)

api.add_url_rule("/v1/sessions", view_func=sessions.list_sessions)
api.add_url_rule("/v1/sessions/activity", view_func=sessions.list_activity)
api.add_url_rule("/v1/sessions/stats", view_func=sessions.stats)
api.add_url_rule("/v1/agents", view_func=agents.list_agents)
api.add_url_rule("/v1/harnesses", view_func=agents.list_harnesses)
api.add_url_rule("/v1/capabilities", view_func=capabilities.list_capabilities)
api.add_url_rule("/v1/capabilities/<path:capability_id>", view_func=capabilities.get_capability)
api.add_url_rule("/v1/organization", view_func=service.organization)

api.add_url_rule("/", view_func=service.web_page, strict_slashes=False)  # no redirect of an empty path
api.add_url_rule("/web/<path:filename>", "web_file", service.web_page)
api.add_url_rule("/health", view_func=service.health)
api.add_url_rule("/api-doc/openapi.json", "openapi", service.description, defaults={"filename": "openapi.json"})
api.add_url_rule("/llms.txt", "llms", service.description, defaults={"filename": "llms.txt"})
