"""The plain types that travel between the layers."""

from datetime import date
from typing import Any, Literal, NamedTuple

# A session, agent, harness or capability: as parsed, as validated (under names of columns), or as stored.
Record = dict[str, Any]

Outcome = Literal["new", "changed", "unchanged", "older"]


class Organization(NamedTuple):
    """An organization: `id` is internal, `public_id` is what users see."""

    id: int
    public_id: str
    name: str


class ApiKey(NamedTuple):
    """Metadata of an API key; the key itself is not stored. Timestamps are in the stored form."""

    prefix: str
    name: str
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    access: str | None  # "read-only", or None


class SessionsQuery(NamedTuple):
    """The query arguments of `GET /v1/sessions`; timestamps are in the stored form."""

    agent_id: str | None = None
    created_after: str | None = None
    created_before: str | None = None
    offset: int = 0
    limit: int = 20
    status: str | None = None
    tags: tuple[str, ...] = ()
    search: str | None = None


class ActivityQuery(NamedTuple):
    """The query arguments of `GET /v1/sessions/activity`: `days` UTC days, the last one `until`."""

    agent_id: str | None
    days: int
    until: date


class ListQuery(NamedTuple):
    """The query arguments of the lists of agents, harnesses and capabilities."""

    search: str | None
    offset: int
    limit: int
    include_archived: bool = False
    include: str | None = None


class Page(NamedTuple):
    """A page of results: JSON objects with commas between, the number of all matches, and the newest `created_at`."""

    data: str
    total: int
    newest: str | None = None
