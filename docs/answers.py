"""What the answers look like, for the description of the API alone: SQL makes them, and no schema at run time."""

from typing import Any

from marshmallow import Schema, fields, validate

from everruns.errors import REQUEST_ID
from everruns.schemas import STATUSES
from everruns.values import STORED_INSTANT, id_pattern


def _id(prefix: str, description: str) -> fields.String:
    rule = validate.Regexp(f"^{id_pattern(prefix)}$")
    return fields.String(required=True, validate=rule, metadata={"description": description})


def _instant(description: str) -> fields.String:
    rule = validate.Regexp(f"^{STORED_INSTANT.pattern}$")
    return fields.String(required=True, validate=rule, metadata={"description": description, "format": "date-time"})


def _number(least: int, most: int | None, description: str) -> fields.Integer:
    rule = validate.Range(least, most)
    return fields.Integer(required=True, strict=True, validate=rule, metadata={"description": description})


def _text(description: str, **more: Any) -> fields.String:
    return fields.String(required=True, metadata={"description": description}, **more)


class CapabilityRefSchema(Schema):
    """A capability of a session, as it was given."""

    ref = _text("The capability's id.", validate=validate.Length(min=1))
    config = fields.Dict(metadata={"description": "There only where one was given."})


class SessionSchema(Schema):
    """A session: every key is always there."""

    id = _id("session", "The session's id, as it was stored.")
    organization_id = _id("org", "The organization of the key.")
    harness_id = _id("harness", "The session's harness; the base harness where it names none.")
    agent_id = _id("agent", "The agent assigned to the session.")
    title = _text("The title.", allow_none=True)
    tags = fields.List(fields.String(), required=True, metadata={"description": "In the order given."})
    model_id = _text("The model, where the session overrides its agent's.", allow_none=True)
    capabilities = fields.List(
        fields.Nested(CapabilityRefSchema),
        required=True,
        metadata={"description": "The session's own, besides its harness's and its agent's, in the order given."},
    )
    status = _text("What the session is doing.", validate=validate.OneOf(STATUSES))
    features = fields.List(
        fields.String(),
        required=True,
        metadata={
            "description": "What all active capabilities contribute: the harness's, the agent's, the session's, "
            "and all that these need. Computed when asked, sorted.",
            "uniqueItems": True,
        },
    )
    created_at = _instant("When it was created, in UTC.")
    updated_at = _instant("When it was last updated, in UTC.")


class SessionsPageSchema(Schema):
    """A page of sessions."""

    data = fields.List(
        fields.Nested(SessionSchema),
        required=True,
        metadata={"description": "By `created_at`, newest first; of the same instant, the last stored first."},
    )
    total = _number(0, None, "How many sessions match, on all pages; of the same moment as `data`.")
    offset = _number(0, None, "As asked for.")
    limit = _number(1, None, "As asked for.")


class DaySchema(Schema):
    """A day of activity."""

    day = fields.Date(required=True, metadata={"description": "In UTC."})
    sessions = _number(0, None, "How many sessions were created on it.")


class ActivitySchema(Schema):
    """Sessions per day."""

    data = fields.List(
        fields.Nested(DaySchema), required=True, metadata={"description": "Each of the days, oldest first."}
    )
    total = _number(0, None, "How many sessions were created on all these days.")
    days = _number(1, None, "As asked for.")
    until = fields.Date(required=True, metadata={"description": "The last day."})


class HealthSchema(Schema):
    """The state of the service."""

    status = _text("The database can be read and is of the expected version.", validate=validate.OneOf(["ok"]))
    version = _text("The version of the service.")
    replica_lag_seconds = fields.Float(
        allow_none=True,
        validate=validate.Range(min=0),
        metadata={"description": "Only on a replica: how old its data is; null as long as it cannot know."},
    )


class FaultSchema(Schema):
    """What went wrong."""

    code = _text("What kind of error it is: does not change.")
    message = _text("What was wrong and what would be right, for a person.")
    fields_ = fields.Dict(
        keys=fields.String(),
        values=fields.List(fields.String(), validate=validate.Length(min=1)),
        data_key="fields",
        metadata={"description": "Only where arguments were refused: each of them, and what was wrong with it."},
    )
    request_id = fields.String(
        required=True,
        validate=validate.Regexp(f"^{REQUEST_ID.pattern}$"),
        metadata={"description": "The same as `X-Request-Id`."},
    )


class ErrorSchema(Schema):
    """The envelope of every error."""

    error = fields.Nested(FaultSchema, required=True)
