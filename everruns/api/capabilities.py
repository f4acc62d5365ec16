"""HTTP routes of the capability catalog."""

from flask import Response, request

from everruns.api import cache
from everruns.api.auth import authenticate
from everruns.api.cache import Content
from everruns.api.database import database
from everruns.api.errors import NotFound
from everruns.api.pagination import page_content
from everruns.schemas import queries
from everruns.store import catalog


def list_capabilities() -> Response:
    """A page of the capabilities, by id."""
    with database().read() as connection:
        organization = authenticate(connection)
        query = queries.capabilities_query(request.query_string)
        return cache.respond(
            connection,
            organization,
            query,
            lambda: page_content(catalog.list_capabilities(connection, query), query),
        )


def get(capability_id: str) -> Response:
    """One capability."""
    with database().read() as connection:
        organization = authenticate(connection)
        queries.no_query(request.query_string)

        def make() -> Content:
            text = catalog.render(connection, capability_id)
            if text is None:
                raise NotFound(f"there is no capability {capability_id} in the catalog")
            return Content(text.encode() + b"\n", {})

        return cache.respond(connection, organization, capability_id, make)
