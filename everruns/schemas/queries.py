"""The query arguments of each resource, with their limits. The messages are in `fields.py`."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any
from urllib.parse import parse_qsl

from marshmallow import RAISE, Schema, ValidationError, post_load, validates_schema

from everruns.records import ActivityQuery, ListQuery, SessionsQuery
from everruns.schemas.fields import (
    Array,
    Choice,
    Day,
    Flag,
    PublicId,
    Text,
    Timestamp,
    WholeNumber,
    flatten,
    known_keys,
)
from everruns.schemas.resources import SESSION_STATUSES

MAX_OFFSET = 2147483647
MAX_LIMIT = 100
MAX_LISTED = 1000  # agents, harnesses and capabilities
MAX_SEARCH = 200


class _QuerySchema(Schema):
    """No arguments; the base of the others. Loads to a `record`, which is hashable."""

    record: type[Any] = tuple

    class Meta:
        unknown = RAISE

    def __init__(self) -> None:
        super().__init__()
        names = ", ".join(known_keys(self)) or "no arguments"
        self.error_messages["unknown"] = f"is not an argument; this path takes {names}"

    @post_load
    def _make_record(self, data: dict[str, Any], **kwargs: Any) -> Any:
        return self.record(**data)


class StatsQuerySchema(_QuerySchema):
    """The arguments of `GET /v1/sessions/stats`."""

    record = SessionsQuery
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

    @post_load
    def _make_record(self, data: dict[str, Any], **kwargs: Any) -> SessionsQuery:
        return SessionsQuery(**{**data, "tags": tuple(data["tags"])})


class ActivityQuerySchema(_QuerySchema):
    """The arguments of `GET /v1/sessions/activity`."""

    record = ActivityQuery
    agent_id = PublicId("agent", load_default=None, allow_none=False)
    days = WholeNumber(1, 366, load_default=28)
    until = Day(load_default=lambda: datetime.now(UTC).date())


class CapabilitiesQuerySchema(_QuerySchema):
    """The arguments of `GET /v1/capabilities`."""

    record = ListQuery
    search = Text(1, MAX_SEARCH, load_default=None)
    offset = WholeNumber(0, MAX_OFFSET, load_default=0)
    limit = WholeNumber(1, MAX_LISTED, load_default=MAX_LISTED)


class HarnessesQuerySchema(CapabilitiesQuerySchema):
    """The arguments of `GET /v1/harnesses`."""

    include_archived = Flag(load_default=False)


class AgentsQuerySchema(HarnessesQuerySchema):
    """The arguments of `GET /v1/agents`."""

    include = Choice("session_counts", load_default=None)


def _parse(schema: _QuerySchema, query_string: bytes) -> Any:
    """Return the record of the query string. Raises `ValidationError` with all errors, in the order given."""
    arguments: dict[str, list[str]] = {}
    text = query_string.decode("utf-8", "surrogateescape")  # invalid bytes become surrogates
    for name, value in parse_qsl(text, keep_blank_values=True, errors="surrogateescape"):
        arguments.setdefault(_replace_surrogates(name), []).append(value)
    several = {field.data_key for field in schema.fields.values() if isinstance(field, Array)}
    errors: dict[str, list[str]] = {}
    for name, values in arguments.items():
        if any(value != _replace_surrogates(value) for value in values):
            errors[name] = ["must be valid UTF-8"]
        elif len(values) > 1 and name not in several:
            errors[name] = [f"must be given once; got it {len(values)} times"]
    record = None
    try:
        record = schema.load({name: values if name in several else values[0] for name, values in arguments.items()})
    except ValidationError as error:
        for name, messages in error.messages_dict.items():
            errors.setdefault(name, [message for _, message in flatten(messages)])
    if errors:
        raise ValidationError({name: errors[name] for name in arguments if name in errors})
    return record


def _replace_surrogates(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


# Each takes the query string of a request: `sessions_query(b"limit=5").limit` is 5. Frequent ones are cached.
sessions_query = lru_cache(maxsize=256)(partial(_parse, SessionsQuerySchema()))
stats_query = partial(_parse, StatsQuerySchema())
activity_query = partial(_parse, ActivityQuerySchema())
agents_query = partial(_parse, AgentsQuerySchema())
harnesses_query = partial(_parse, HarnessesQuerySchema())
capabilities_query = partial(_parse, CapabilitiesQuerySchema())
no_query = lru_cache(maxsize=256)(partial(_parse, _QuerySchema()))
