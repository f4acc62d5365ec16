"""HTTP routes of the service itself: organization, web page, health, descriptions of the API."""

import sqlite3
from pathlib import Path

from flask import Response, send_from_directory

import everruns
from everruns.api.views import database, read_view
from everruns.records import Organization
from everruns.store import heartbeat, organizations
from everruns.store.tables import as_json

HERE = Path(__file__).parent
WEB = HERE.parent / "web"

# At a sub-path whose proxy does not tell it, only the browser can add the missing last slash: references are relative.
SLASH_SCRIPT = "sha256-fVuRDD+oWWNlFQyLvT0H4WZPpVqV7/OxcoTH/X6mg98="

# Nothing inline but that script, and nothing from elsewhere; scripts cannot turn text into markup.
CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        f"script-src 'self' '{SLASH_SCRIPT}'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
)


def web_page(name: str = "index.html") -> Response:
    """The web page, which uses the API, and its files."""
    response = send_from_directory(WEB, name)
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def health() -> dict[str, object]:
    """Whether the database can be read; on a replica also the age of its data, null when unknown."""
    body: dict[str, object] = {"status": "ok", "version": everruns.__version__}
    with database().read() as connection:
        organizations.find_organization(connection, "")
        if database().replica:
            body["replica_lag_seconds"] = heartbeat.lag_seconds(connection)
    return body


@read_view()
def organization(connection: sqlite3.Connection, organization: Organization, query: None) -> str:
    """Return the organization of the API key."""
    return as_json({"id": organization.public_id, "name": organization.name})


def openapi() -> Response:
    """The API described by OpenAPI 3.1."""
    return send_from_directory(HERE, "openapi.json")


def llms() -> Response:
    """The API described for language models."""
    return send_from_directory(HERE, "llms.txt")
