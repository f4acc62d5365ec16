"""HTTP routes of the list of sessions, and of numbers of sessions."""

import sqlite3

from everruns.api.pagination import link, page_json
from everruns.api.views import read_view
from everruns.records import ActivityQuery, Organization, SessionsQuery
from everruns.schemas import queries
from everruns.store import sessions
from everruns.store.tables import as_json


@read_view(queries.sessions_query)
def list_sessions(
    connection: sqlite3.Connection, organization: Organization, query: SessionsQuery
) -> tuple[str, dict[str, str]]:
    """Return a page of the organization's sessions, newest first."""
    page = sessions.list_sessions(connection, organization, query)
    return page_json(page, query), {"Link": link(query, page.total, page.newest)}


@read_view(queries.activity_query)
def list_activity(connection: sqlite3.Connection, organization: Organization, query: ActivityQuery) -> str:
    """Return the number of sessions created on each of some UTC days, oldest first."""
    days = sessions.count_by_day(connection, organization, query)
    return as_json(
        {
            "data": [{"day": day, "sessions": count} for day, count in days],
            "total": sum(count for _, count in days),
            "days": query.days,
            "until": str(query.until),
        }
    )


@read_view(queries.stats_query)
def stats(connection: sqlite3.Connection, organization: Organization, query: SessionsQuery) -> str:
    """Return the numbers of sessions by status."""
    return as_json(sessions.count_by_status(connection, organization, query))
