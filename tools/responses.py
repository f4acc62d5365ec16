"""Schemas of the response bodies, only for the description of the API: the service builds its responses in SQL."""

from typing import Any

from marshmallow import Schema, fields, validate

from everruns.api.errors import REQUEST_ID
from everruns.ids import id_pattern
from everruns.schemas.resources import SESSION_STATUSES
from everruns.timestamps import STORED_TIMESTAMP


def _public_id(prefix: str, description: str, **kwargs: Any) -> fields.String:
    return _string(description, validate=validate.Regexp(f"^{id_pattern(prefix)}$"), **kwargs)


def _timestamp(description: str) -> fields.String:
    rule = validate.Regexp(f"^{STORED_TIMESTAMP.pattern}$")
    return fields.String(required=True, validate=rule, metadata={"description": description, "format": "date-time"})


def _integer(minimum: int, description: str) -> fields.Integer:
    rule = validate.Range(min=minimum)
    return fields.Integer(required=True, strict=True, validate=rule, metadata={"description": description})


def _string(description: str, **kwargs: Any) -> fields.String:
    return fields.String(required=True, metadata={"description": description}, **kwargs)


class CapabilityRefSchema(Schema):
    """A capability of a session."""

    ref = _string("The id of the capability.", validate=validate.Length(min=1))
    config = fields.Dict(metadata={"description": "Its configuration; absent if none was given."})


class SessionSchema(Schema):
    """A session. Every key is always present."""

    id = _public_id("session", "The id of the session, as stored.")
    organization_id = _public_id("org", "The organization of the API key.")
    harness_id = _public_id("harness", "The harness of the session; the base harness unless another was given.")
    agent_id = _public_id("agent", "The agent of the session; null for a session without an agent.", allow_none=True)
    title = _string("The title.", allow_none=True)
    tags = fields.List(fields.String(), required=True, metadata={"description": "The tags, in the given order."})
    model_id = _string("The model, if the session overrides that of its agent.", allow_none=True)
    capabilities = fields.List(
        fields.Nested(CapabilityRefSchema),
        required=True,
        metadata={"description": "The session's own capabilities, in the given order."},
    )
    status = _string("The current status.", validate=validate.OneOf(SESSION_STATUSES))
    features = fields.List(
        fields.String(),
        required=True,
        metadata={
            "description": "The features of the available capabilities of the session, its agent and its harness, "
            "and of all their dependencies. Computed at read time, sorted.",
            "uniqueItems": True,
        },
    )
    created_at = _timestamp("The time of creation, in UTC.")
    updated_at = _timestamp("The time of the last update, in UTC.")


class SessionsPageSchema(Schema):
    """A page of sessions."""

    data = fields.List(
        fields.Nested(SessionSchema),
        required=True,
        metadata={"description": "By `created_at`, newest first; equal timestamps by order of storing, newest first."},
    )
    total = _integer(0, "The number of matching sessions on all pages, from the same snapshot as `data`.")
    offset = _integer(0, "The `offset` of the request.")
    limit = _integer(1, "The `limit` of the request.")


class DaySchema(Schema):
    """A day of activity."""

    day = fields.Date(required=True, metadata={"description": "The day, in UTC."})
    sessions = _integer(0, "The number of sessions created on this day.")


class ActivitySchema(Schema):
    """Sessions per day."""

    data = fields.List(
        fields.Nested(DaySchema), required=True, metadata={"description": "One entry for each day, oldest first."}
    )
    total = _integer(0, "The number of sessions created on these days.")
    days = _integer(1, "The `days` of the request.")
    until = fields.Date(required=True, metadata={"description": "The last day."})


class HealthSchema(Schema):
    """The state of the service."""

    status = _string("The database is readable and has the expected version.", validate=validate.OneOf(["ok"]))
    version = _string("The version of the service.")
    replica_lag_seconds = fields.Float(
        allow_none=True,
        validate=validate.Range(min=0),
        metadata={"description": "Only on a replica: the age of its data, or null if unknown."},
    )


class ErrorDetailSchema(Schema):
    """The error."""

    code = _string("The kind of error, for programs.")
    message = _string("The error and how to fix it, for people; the wording may change.")
    fields_ = fields.Dict(
        keys=fields.String(),
        values=fields.List(fields.String(), validate=validate.Length(min=1)),
        data_key="fields",
        metadata={"description": "The errors of each invalid argument; present only if arguments are invalid."},
    )
    request_id = fields.String(
        required=True,
        validate=validate.Regexp(f"^{REQUEST_ID.pattern}$"),
        metadata={"description": "The value of `X-Request-Id`."},
    )


class ErrorSchema(Schema):
    """The body of every error response."""

    error = fields.Nested(ErrorDetailSchema, required=True)
