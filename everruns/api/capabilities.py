"""HTTP routes of the capability catalog."""

import sqlite3

from everruns.api.errors import not_found
from everruns.api.pagination import page_json
from everruns.api.views import read_view
from everruns.records import ListQuery, Organization
from everruns.schemas import queries
from everruns.store import catalog


@read_view(queries.capabilities_query)
def list_capabilities(connection: sqlite3.Connection, organization: Organization, query: ListQuery) -> str:
    """Return a page of the capabilities, by id."""
    return page_json(catalog.list_capabilities(connection, query), query)


@read_view()
def get_capability(
    connection: sqlite3.Connection, organization: Organization, query: object, capability_id: str
) -> str:
    """Return one capability."""
    capability = catalog.render(connection, capability_id)
    if capability is None:
        raise not_found(f"there is no capability {capability_id} in the catalog")
    return capability
