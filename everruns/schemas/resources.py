"""The shapes of sessions, agents, harnesses and capabilities, as they come in by body or file.

Loading returns only the keys that were given, under the names of the columns.
"""

from typing import Any

from marshmallow import EXCLUDE, Schema, pre_load

from everruns.records import Record
from everruns.schemas.fields import Array, CapabilityReference, Choice, PublicId, Text, Timestamp

SESSION_STATUSES = ("started", "active", "idle")
AGENT_STATUSES = ("active", "archived")
CATALOG_STATUSES = ("available", "coming_soon", "retired")
# Null of these keys means empty, or the same as no key; null of others is stored or refused.
_NULL_IS_EMPTY = {"tags": [], "capabilities": [], "dependencies": [], "features": [], "system_prompt": ""}
NULL_IS_ABSENT = ("id", "status", "created_at", "updated_at")


class _Schema(Schema):
    class Meta:
        unknown = EXCLUDE

    @pre_load
    def _replace_null(self, data: Record, **kwargs: Any) -> Record:
        return {
            key: _NULL_IS_EMPTY.get(key) if value is None else value
            for key, value in data.items()
            if value is not None or key not in NULL_IS_ABSENT
        }


class _ResourceSchema(_Schema):
    tags = Array(Text(), allow_none=True)
    capabilities = Array(CapabilityReference(), allow_none=True)
    created_at = Timestamp(allow_none=True)
    updated_at = Timestamp(allow_none=True)


class SessionSchema(_ResourceSchema):
    """A session."""

    public_id = PublicId("session", required=True, data_key="id")
    harness_id = PublicId("harness", allow_none=True)
    agent_id = PublicId("agent", allow_none=True)
    title = Text(allow_none=True)
    model_id = Text(allow_none=True)
    status = Choice(*SESSION_STATUSES)


class HarnessSchema(_ResourceSchema):
    """A harness."""

    public_id = PublicId("harness", required=True, data_key="id")
    name = Text(1, 200, required=True)
    display_name = Text(allow_none=True)
    description = Text(allow_none=True)
    system_prompt = Text(allow_none=True)
    default_model_id = Text(allow_none=True)
    status = Choice(*AGENT_STATUSES)
    archived_at = Timestamp(allow_none=True)


class AgentSchema(HarnessSchema):
    """An agent: as a harness, with a harness of its own."""

    public_id = PublicId("agent", required=True, data_key="id")
    harness_id = PublicId("harness", allow_none=True)


class CapabilitySchema(_Schema):
    """A capability of the catalog."""

    id = Text(1, required=True)
    name = Text(1, required=True)
    description = Text()
    category = Text(allow_none=True)
    status = Choice(*CATALOG_STATUSES, required=True)
    dependencies = Array(Text(1), allow_none=True)
    features = Array(Text(1), allow_none=True)
