"""The blueprint: which function serves which path."""

from flask import Blueprint

from everruns.api import service, sessions

api = Blueprint("api", __name__, static_folder="../web", static_url_path="/web")

api.add_url_rule("/v1/sessions", view_func=sessions.list_sessions)
api.add_url_rule("/v1/sessions/activity", view_func=sessions.list_activity)

api.add_url_rule("/", view_func=service.web_page)
api.add_url_rule("/health", view_func=service.health)
api.add_url_rule("/api-doc/openapi.json", view_func=service.openapi)
api.add_url_rule("/llms.txt", view_func=service.llms)
api.after_request(service.add_security_headers)
