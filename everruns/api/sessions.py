"""HTTP routes of sessions that are not in `resources.py`: the list, numbers of sessions, and deleting."""

from datetime import UTC, datetime

from flask import Response, json, request

from everruns.api import cache
from everruns.api.auth import authenticate
from everruns.api.cache import Content
from everruns.api.database import database
from everruns.api.pagination import link, page_content
from everruns.api.resources import authenticate_write, not_found, write_transaction
from everruns.schemas import queries
from everruns.store import sessions


def list_sessions() -> Response:
    """A page of the organization's sessions, newest first."""
    with database().read() as connection:
        organization = authenticate(connection)
        query = queries.sessions_query(request.query_string)

        def make() -> Content:
            page = sessions.list_sessions(connection, organization, query)
            return page_content(page, query)._replace(headers={"Link": link(query, page.total, page.newest)})

        return cache.respond(connection, organization, query, make)


def list_activity() -> Response:
    """The number of sessions created on each of some UTC days, oldest first."""
    with database().read() as connection:
        organization = authenticate(connection)
        query = queries.activity_query(request.query_string)
        query = query._replace(until=query.until or datetime.now(UTC).date())

        def make() -> Content:
            days = sessions.count_by_day(connection, organization, query)
            activity = {
                "data": [{"day": day, "sessions": count} for day, count in days],
                "total": sum(count for _, count in days),
                "days": query.days,
                "until": str(query.until),
            }
            return Content(json.dumps(activity, separators=(",", ":")).encode() + b"\n", {})

        return cache.respond(connection, organization, query, make)


def stats() -> Response:
    """The numbers of sessions by status."""
    with database().read() as connection:
        organization = authenticate(connection)
        query = queries.stats_query(request.query_string)

        def make() -> Content:
            counts = sessions.count_by_status(connection, organization, query)
            return Content(json.dumps(counts, separators=(",", ":")).encode() + b"\n", {})

        return cache.respond(connection, organization, query, make)


def delete(public_id: str) -> Response:
    """Delete a session."""
    organization = authenticate_write()
    with write_transaction() as connection:
        if not sessions.delete_session(connection, organization, public_id):
            raise not_found("session", public_id)
    return Response(status=204)
