"""Timestamps: ISO 8601 with a zone in, UTC text with microseconds in the database and out."""

import re
from datetime import UTC, datetime, timedelta

STORED_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")

_TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.(?P<fraction>[0-9]+))?)?"
    r"(?P<zone>[Zz]|[+-][0-9]{2}(:?[0-5][0-9])?)?"
)
_EXAMPLE = "2026-02-27T13:13:53Z"


def now() -> str:
    """Return the current time in the stored form."""
    return format_timestamp(datetime.now(UTC))


def format_timestamp(moment: datetime) -> str:
    """Return `moment`, which has a zone, in the stored form: `2026-02-27T13:13:53.000000Z`.

    Raises `OverflowError` outside the years 1 to 9999 in UTC.
    """
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def next_microsecond(stored: str) -> str:
    """Return the timestamp one microsecond later, both in the stored form.

    Raises `OverflowError` at the end of year 9999 and `ValueError` for a date that does not exist.

    >>> next_microsecond("2026-02-27T13:13:53.000000Z")
    '2026-02-27T13:13:53.000001Z'
    """
    return format_timestamp(datetime.fromisoformat(stored) + timedelta(microseconds=1))


def parse_timestamp(text: str, round_up: bool = False) -> str:
    """Return an ISO 8601 time with a zone in the stored form.

    Digits after the microsecond are cut off; `round_up` takes the next microsecond instead. Raises `ValueError` with
    the rule that `text` breaks.

    >>> parse_timestamp("2026-02-01T00:00:00+02:00")
    '2026-01-31T22:00:00.000000Z'
    """
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        raise ValueError(f"must be an ISO 8601 time with a zone, such as {_EXAMPLE}")
    if match["zone"] is None:
        raise ValueError(f"must have a zone: Z for UTC or an offset, such as {_EXAMPLE}")
    try:
        stored = format_timestamp(datetime.fromisoformat(text.upper()))
        return next_microsecond(stored) if round_up and (match["fraction"] or "")[6:].strip("0") else stored
    except (ValueError, OverflowError):
        raise ValueError("must be a valid time (years 1 to 9999, UTC)") from None
