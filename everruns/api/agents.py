"""HTTP routes of the lists of agents and harnesses."""

import sqlite3

from everruns.api.pagination import page_json
from everruns.api.views import read_view
from everruns.records import ListQuery, Organization
from everruns.schemas import queries
from everruns.store import agents, harnesses, tables


@read_view(queries.agents_query)
def list_agents(connection: sqlite3.Connection, organization: Organization, query: ListQuery) -> str:
    """Return a page of the agents, by name."""
    return page_json(tables.list_by_name(connection, agents.TABLE, organization, query), query)


@read_view(queries.harnesses_query)
def list_harnesses(connection: sqlite3.Connection, organization: Organization, query: ListQuery) -> str:
    """Return a page of the harnesses, by name."""
    return page_json(tables.list_by_name(connection, harnesses.TABLE, organization, query), query)
