"""The query arguments of each resource."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs

from marshmallow import RAISE, Schema, ValidationError, validates_schema

from everruns.records import ActivityQuery, ListQuery, SessionsQuery
from everruns.schemas.fields import Array, Choice, Day, Flag, PublicId, Text, Timestamp, WholeNumber, known_keys
from everruns.schemas.resources import SESSION_STATUSES

MAX_OFFSET = 2147483647
MAX_LIMIT = 100
MAX_LISTED = 1000  # agents, harnesses and capabilities
MAX_SEARCH = 200


class _QuerySchema(Schema):
    class Meta:
        unknown = RAISE

    def __init__(self) -> None:
        super().__init__()
        names = ", ".join(known_keys(self)) or "no arguments"
        self.error_messages["unknown"] = f"is not an argument; this path takes {names}"


class StatsQuerySchema(_QuerySchema):
    """The arguments of `GET /v1/sessions/stats`."""

    agent_id = PublicId("agent", load_default=None, allow_none=False)
    created_after = Timestamp(round_up=True, load_default=None)
    created_before = Timestamp(round_up=True, load_default=None)

    @validates_schema
    def _check_order(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        after, before = data["created_after"], data["created_before"]
        if after and before and before < after:
            raise ValidationError({"created_before": [f"must not be before created_after, {after}; got '{before}'"]})


class SessionsQuerySchema(StatsQuerySchema):
    """The arguments of `GET /v1/sessions`."""

    status = Choice(*SESSION_STATUSES, load_default=None)
    tags = Array(Text(1), data_key="tag", load_default=())
    search = Text(1, MAX_SEARCH, load_default=None)
    offset = WholeNumber(0, MAX_OFFSET, load_default=0)
    limit = WholeNumber(1, MAX_LIMIT, load_default=20)


class ActivityQuerySchema(_QuerySchema):
    """The arguments of `GET /v1/sessions/activity`."""

    agent_id = PublicId("agent", load_default=None, allow_none=False)
    days = WholeNumber(1, 366, load_default=28)
    until = Day(load_default=None)


class CapabilitiesQuerySchema(_QuerySchema):
    """The arguments of `GET /v1/capabilities`."""

    search = Text(1, MAX_SEARCH, load_default=None)
    offset = WholeNumber(0, MAX_OFFSET, load_default=0)
    limit = WholeNumber(1, MAX_LISTED, load_default=MAX_LISTED)


class HarnessesQuerySchema(CapabilitiesQuerySchema):
    """The arguments of `GET /v1/harnesses`."""

    include_archived = Flag(load_default=False)


class AgentsQuerySchema(HarnessesQuerySchema):
    """The arguments of `GET /v1/agents`."""

    include = Choice("session_counts", load_default=None)


_sessions_query = SessionsQuerySchema()
_stats_query = StatsQuerySchema()
_activity_query = ActivityQuerySchema()
_agents_query = AgentsQuerySchema()
_harnesses_query = HarnessesQuerySchema()
_capabilities_query = CapabilitiesQuerySchema()
_no_query = _QuerySchema()


@lru_cache(maxsize=256)
def sessions_query(query_string: bytes) -> SessionsQuery:
    """Validate the query string of `GET /v1/sessions`; raises `ValidationError` with all errors, as do the others.

    >>> sessions_query(b"limit=5").limit
    5
    """
    loaded = _load(_sessions_query, query_string)
    return SessionsQuery(**{**loaded, "tags": tuple(loaded["tags"])})


def stats_query(query_string: bytes) -> SessionsQuery:
    """Validate the query string of `GET /v1/sessions/stats`."""
    return SessionsQuery(**_load(_stats_query, query_string))


def activity_query(query_string: bytes) -> ActivityQuery:
    """Validate the query string of `GET /v1/sessions/activity`."""
    return ActivityQuery(**_load(_activity_query, query_string))


def agents_query(query_string: bytes) -> ListQuery:
    """Validate the query string of `GET /v1/agents`."""
    loaded = _load(_agents_query, query_string)
    return ListQuery(with_session_counts=loaded.pop("include") is not None, **loaded)


def harnesses_query(query_string: bytes) -> ListQuery:
    """Validate the query string of `GET /v1/harnesses`."""
    return ListQuery(**_load(_harnesses_query, query_string))


def capabilities_query(query_string: bytes) -> ListQuery:
    """Validate the query string of `GET /v1/capabilities`."""
    return ListQuery(**_load(_capabilities_query, query_string))


def no_query(query_string: bytes) -> None:
    """Validate the query string of a path that takes no arguments."""
    _load(_no_query, query_string)


def _load(schema: Schema, query_string: bytes) -> dict[str, Any]:
    arguments = parse_qs(query_string.decode("utf-8", "replace"), keep_blank_values=True)
    several = {field.data_key for field in schema.fields.values() if isinstance(field, Array)}
    errors: dict[str, Any] = {
        name: [f"must be given once; got it {len(values)} times"]
        for name, values in arguments.items()
        if len(values) > 1 and name not in several
    }
    loaded: dict[str, Any] = {}
    try:
        loaded = schema.load({name: values if name in several else values[0] for name, values in arguments.items()})
    except ValidationError as error:
        errors = {**error.messages_dict, **errors}
    if errors:
        raise ValidationError({name: errors[name] for name in arguments if name in errors})  # in the order given
    return loaded
