"""Sessions per day, from the counted spans: a day costs the same however many sessions it has."""

import sqlite3
from datetime import date, timedelta

from everruns import sessions, spans
from everruns.auth import Organization
from everruns.schemas import ActivityQuery


def per_day(connection: sqlite3.Connection, organization: Organization, query: ActivityQuery) -> list[tuple[date, int]]:
    """Each day that `query` asks for, oldest first, and how many sessions were created on it, in UTC.

    `connection` is inside a read transaction, so that all counts are of one moment.
    """
    scope = sessions.find_scope(connection, organization, query.agent_id)
    counted = []
    newer = 0 if query.until == date.max else _since(connection, scope, query.until + timedelta(days=1))
    for back in range(query.days):
        day = query.until - timedelta(days=back)
        since = _since(connection, scope, day)
        counted.append((day, since - newer))
        newer = since
    return counted[::-1]


def _since(connection: sqlite3.Connection, scope: spans.Scope | None, day: date) -> int:
    return spans.count_since(connection, scope, f"{day}T00:00:00.000000Z") if scope else 0
