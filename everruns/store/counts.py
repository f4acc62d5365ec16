"""Counting sessions, and finding a page at any depth, from `session_counts`: the cost is the same at any size.

For queries without tags and search; the others are counted by `sessions.COUNT_MATCHES`. Within one day sessions are
counted one by one, so that the cost grows with that day.
"""

import sqlite3
from datetime import date, timedelta

from everruns.store.filters import BEGINNING, END, Filters

YEAR, MONTH, DAY = 4, 7, 10  # how many characters of a timestamp name the period

COUNT_ALL = """
SELECT coalesce(SUM(sessions), 0)
FROM session_counts
WHERE organization_id = :organization_id
  AND agent_id = :agent_id
  AND precision = 0
  AND (:status IS NULL OR status = :status)
"""

# The years before the year of a timestamp, the months of that year before its month, and the days of that month.
COUNT_PERIODS_BEFORE = """
WITH earlier (precision, first, before) AS (VALUES (4, '', :year), (7, :year, :month), (10, :month, :day))
SELECT coalesce(SUM(sessions), 0)
FROM earlier
CROSS JOIN session_counts
WHERE organization_id = :organization_id
  AND agent_id = :agent_id
  AND session_counts.precision = earlier.precision
  AND period >= earlier.first
  AND period < earlier.before
  AND (:status IS NULL OR status = :status)
"""

COUNT_IN_DAY = """
SELECT COUNT(*)
{matching}
"""

PERIODS_NEWEST_FIRST = """
SELECT period, SUM(sessions)
FROM session_counts
WHERE organization_id = :organization_id
  AND agent_id = :agent_id
  AND precision = :precision
  AND period >= :first
  AND period < :end
  AND (:status IS NULL OR status = :status)
GROUP BY period
ORDER BY period DESC
"""


def count(connection: sqlite3.Connection, filters: Filters) -> int:
    """Return how many sessions match `filters`."""
    before, after = filters.created_before, filters.created_after
    return count_before(connection, filters, before) - count_before(connection, filters, after)


def count_before(connection: sqlite3.Connection, filters: Filters, timestamp: str) -> int:
    """Return how many sessions created before `timestamp` match `filters`, whatever its period."""
    if timestamp == BEGINNING:
        return 0
    if timestamp == END:
        (sessions,) = connection.execute(COUNT_ALL, filters.values).fetchone()
        return int(sessions)
    year, month, day = (timestamp[:precision] for precision in (YEAR, MONTH, DAY))
    values = {**filters.values, "year": year, "month": month, "day": day}
    (earlier_periods,) = connection.execute(COUNT_PERIODS_BEFORE, values).fetchone()
    values |= {"created_after": day, "created_before": timestamp}
    (in_day,) = connection.execute(COUNT_IN_DAY.format(matching=filters.matching), values).fetchone()
    return int(earlier_periods + in_day)


def find_offset(connection: sqlite3.Connection, filters: Filters, offset: int) -> tuple[str, int]:
    """Find the session at `offset`, newest first, of all periods.

    Returns the end of its day, as an exclusive bound on `created_at`, and its offset among the sessions before that.
    """
    period = ""
    for precision in (YEAR, MONTH, DAY):
        values = {**filters.values, "precision": precision, "first": period, "end": period + END}
        for period, sessions in connection.execute(PERIODS_NEWEST_FIRST, values).fetchall():  # noqa: B007
            if offset < sessions:
                break
            offset -= sessions
    return period + END, offset


def count_by_day(connection: sqlite3.Connection, filters: Filters, first: date, days: int) -> list[tuple[str, int]]:
    """Return `days` UTC days from `first` on, oldest first, and how many sessions were created on each."""
    names = [(first + timedelta(days=number)).isoformat() for number in range(days)]
    values = {**filters.values, "precision": DAY, "first": names[0], "end": names[-1] + END}
    counted = dict(connection.execute(PERIODS_NEWEST_FIRST, values).fetchall())
    return [(name, counted.get(name, 0)) for name in names]
