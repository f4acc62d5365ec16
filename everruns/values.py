"""What a public id and an instant look like: how they are recognized, compared and stored."""

import re
from datetime import UTC, datetime, timedelta

# The harness of a session that names none: as Everruns has it, and without capabilities. `schema.sql` knows it too.
BASE_HARNESS = "harness_01933b5a000070008000000000000601"

_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.(?P<fraction>[0-9]+))?)?(?P<zone>[Zz]|[+-][0-9]{2}:?[0-5][0-9])?"
)


STORED_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")


def is_id(text: str, prefix: str) -> bool:
    """Whether `text` is a public id: `prefix`, then `_` and 1 to 64 of `0-9 A-Z a-z -`.

    >>> is_id("agent_01234567-89ab", "agent")
    True
    """
    return re.fullmatch(id_pattern(prefix), text) is not None


def id_pattern(prefix: str) -> str:
    """The regular expression of a public id."""
    return prefix + "_[0-9A-Za-z-]{1,64}"


def same_id(public_id: str) -> str:
    """The form in which public ids are compared, as the indexes in `schema.sql` have it.

    >>> same_id("agent_01234567-89AB") == same_id("agent_0123456789ab")
    True
    """
    return public_id.replace("-", "").lower()


def now() -> str:
    """This moment, as instants are stored."""
    return instant(datetime.now(UTC))


def instant(moment: datetime) -> str:
    """`moment`, which has a zone, as instants are stored: `2026-02-27T13:13:53.000000Z`.

    Raises `OverflowError` when it falls outside the years 1 to 9999 in UTC.
    """
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def is_stored_instant(text: str) -> bool:
    """Whether `text` is an instant in the very form in which instants are stored."""
    if STORED_INSTANT.fullmatch(text) is None:
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def after(stored: str) -> str:
    """The microsecond after an instant, both as instants are stored; raises `OverflowError` at the end of time.

    >>> after("2026-02-27T13:13:53.000000Z")
    '2026-02-27T13:13:53.000001Z'
    """
    moment = datetime.fromisoformat(stored[:-1]) + timedelta(microseconds=1)
    return moment.isoformat(timespec="microseconds") + "Z"


def parse_instant(text: str, round_up: bool = False) -> str:
    """ISO 8601 with a zone, any precision and offset, as instants are stored.

    Of digits past the microsecond, the instant is cut, or with `round_up` the next microsecond.

    Raises `ValueError` with a message that says what would be right.

    >>> parse_instant("2026-02-01T00:00:00+02:00")
    '2026-01-31T22:00:00.000000Z'
    """
    match = _INSTANT.fullmatch(text)
    if match is None:
        raise ValueError("must be an ISO 8601 time with a zone, for example 2026-02-27T13:13:53Z")
    if match["zone"] is None:
        raise ValueError("has no zone; add Z for UTC, or an offset, for example 2026-02-27T13:13:53Z")
    try:
        stored = instant(datetime.fromisoformat(text.upper()))
        return after(stored) if round_up and (match["fraction"] or "")[6:].strip("0") else stored
    except (ValueError, OverflowError):
        raise ValueError("is no time that exists, from year 1 to year 9999 in UTC, seconds from 00 to 59") from None
