"""HTTP routes of agents and harnesses that are not in `resources.py`: the list, and archiving."""

from flask import Response, request

from everruns.api import cache
from everruns.api.auth import authenticate
from everruns.api.database import database
from everruns.api.pagination import page_content
from everruns.api.resources import authenticate_write, not_found, refuse_base_harness, write_transaction
from everruns.schemas import queries
from everruns.store import tables
from everruns.transfer.kinds import AGENT, Kind


def list_by_name(kind: Kind) -> Response:
    """A page of the agents or harnesses, by name."""
    with database().read() as connection:
        organization = authenticate(connection)
        parse = queries.agents_query if kind is AGENT else queries.harnesses_query
        query = parse(request.query_string)
        return cache.respond(
            connection,
            organization,
            query,
            lambda: page_content(tables.list_by_name(connection, kind.table, organization, query), query),
        )


def archive(kind: Kind, public_id: str) -> Response:
    """Archive an agent or harness: its sessions stay and keep their features."""
    organization = authenticate_write()
    refuse_base_harness(public_id)
    with write_transaction() as connection:
        if not tables.archive(connection, kind.table, organization, public_id):
            raise not_found(kind.name, public_id)
    return Response(status=204)
