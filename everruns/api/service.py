"""HTTP routes of the service itself: organization, web page, health, descriptions of the API."""

import sqlite3
from pathlib import Path

from flask import Response, request, send_from_directory

import everruns
from everruns.api.views import database, read_view
from everruns.records import Organization
from everruns.store import heartbeat, organizations
from everruns.store.tables import as_json

HERE = Path(__file__).parent
WEB = HERE.parent / "web"

# References are relative, so a sub-path needs its final slash. This is the hash of the inline script that adds it.
SLASH_SCRIPT = "sha256-fVuRDD+oWWNlFQyLvT0H4WZPpVqV7/OxcoTH/X6mg98="
WEB_HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; script-src 'self' '{SLASH_SCRIPT}'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def web_page(filename: str = "index.html") -> Response:
    """Return a file of the web page, which uses the API."""
    response = _file(WEB, filename)
    response.headers.update(WEB_HEADERS)
    return response


def description(filename: str) -> Response:
    """Return a description of the API: OpenAPI, or text for language models."""
    return _file(HERE, filename)


def _file(directory: Path, filename: str) -> Response:
    request.environ.pop("HTTP_IF_MATCH", None)  # the API ignores it; Werkzeug would respond with 412
    return send_from_directory(directory, filename)


def health() -> dict[str, object]:
    """Return 200 if the database can be read; on a replica with the age of its data, null if unknown."""
    body: dict[str, object] = {"status": "ok", "version": everruns.__version__}
    with database().read() as connection:
        organizations.find_organization(connection, "")  # reads a page, so that a damaged file is noticed
        if database().replica:
            body["replica_lag_seconds"] = heartbeat.lag_seconds(connection)
    return body


@read_view()
def organization(connection: sqlite3.Connection, organization: Organization, query: object) -> str:
    """Return the organization of the API key."""
    return as_json({"id": organization.public_id, "name": organization.name})
