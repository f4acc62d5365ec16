"""Sessions, agents, harnesses and capabilities as they come in."""

from typing import Any

import pytest
from marshmallow import Schema, ValidationError

from everruns.schemas.fields import flatten
from everruns.schemas.resources import AgentSchema, CapabilitySchema, HarnessSchema, SessionSchema


def errors_of(schema: Schema, record: dict[str, Any]) -> list[str]:
    """Return the errors with which `schema` refuses `record`, one a line."""
    with pytest.raises(ValidationError) as raised:
        schema.load(record)
    return [f"{path} {message}" for path, message in flatten(raised.value.messages_dict)]


def test_session_loads_to_columns() -> None:
    record = {
        "id": "session_1",
        "harness_id": "harness_1",
        "agent_id": "agent_1",
        "title": "T",
        "tags": ["a", "a"],
        "model_id": "model_1",
        "capabilities": ["memory", {"ref": "openui", "config": {"a": 1}}],
        "status": "idle",
        "created_at": "2026-02-27T13:13:53+01:00",
        "updated_at": "2026-02-27T13:13:53Z",
    }
    assert SessionSchema().load(record) == {
        "public_id": "session_1",
        "harness_id": "harness_1",
        "agent_id": "agent_1",
        "title": "T",
        "tags": ["a", "a"],
        "model_id": "model_1",
        "capabilities": [{"ref": "memory"}, {"ref": "openui", "config": {"a": 1}}],
        "status": "idle",
        "created_at": "2026-02-27T12:13:53.000000Z",
        "updated_at": "2026-02-27T13:13:53.000000Z",
    }


@pytest.mark.parametrize(
    ("schema", "public_id"),
    [(SessionSchema(), "session_1"), (AgentSchema(), "agent_1"), (HarnessSchema(), "harness_1")],
)
def test_only_given_keys_are_loaded_and_unknown_ones_ignored(schema: Schema, public_id: str) -> None:
    record = {"id": public_id, "features": ["x"], "organization_id": 1, "unknown": {"a": "b"}}
    assert schema.load(record, partial=("name",)) == {"public_id": public_id}


def test_null_of_a_session_empties_what_may_be_empty() -> None:
    keys = ("harness_id", "agent_id", "title", "tags", "model_id", "capabilities", "status", "created_at", "updated_at")
    assert SessionSchema().load({"id": "session_1", **dict.fromkeys(keys)}) == {
        "public_id": "session_1",
        "harness_id": None,
        "agent_id": None,
        "title": None,
        "tags": [],
        "model_id": None,
        "capabilities": [],
    }


def test_null_of_an_agent_empties_what_may_be_empty() -> None:
    keys = ("harness_id", "display_name", "description", "system_prompt", "default_model_id", "archived_at")
    loaded = AgentSchema().load({"id": "agent_1", "name": "helper", **dict.fromkeys(keys)})
    assert loaded == {"public_id": "agent_1", "name": "helper", **dict.fromkeys(keys), "system_prompt": ""}


def test_all_errors_of_a_session_are_reported() -> None:
    record = {
        "id": "agent_1",
        "agent_id": "harness_1",
        "title": 5,
        "tags": "a",
        "capabilities": [{"config": {}}],
        "status": "running",
        "created_at": "now",
    }
    errors = errors_of(SessionSchema(), record)
    assert sorted(error.split(" ")[0] for error in errors) == [
        "agent_id",
        "capabilities[0].ref",
        "created_at",
        "id",
        "status",
        "tags",
        "title",
    ]
    assert "status must be started, active or idle; got 'running'" in errors
    assert "title must be a string or null; got a number" in errors


@pytest.mark.parametrize(("key", "value", "error"), [("id", None, "is missing"), ("tags", [None], "must be a string")])
def test_null_of_a_session_that_must_have_a_value_is_refused(key: str, value: object, error: str) -> None:
    assert error in errors_of(SessionSchema(), {"id": "session_1", key: value})[0]


def test_id_and_name_are_required() -> None:
    assert errors_of(SessionSchema(), {"title": "T"}) == ["id is missing"]
    assert sorted(errors_of(AgentSchema(), {})) == ["id is missing", "name is missing"]
    assert sorted(errors_of(HarnessSchema(), {})) == ["id is missing", "name is missing"]


def test_agent_loads_to_columns() -> None:
    record = {
        "id": "agent_1",
        "harness_id": None,
        "name": "helper",
        "display_name": "Helper",
        "description": None,
        "system_prompt": "Help.",
        "default_model_id": "model_1",
        "status": "archived",
        "archived_at": "2026-02-27T13:13:53Z",
    }
    expected = {**record, "public_id": "agent_1", "archived_at": "2026-02-27T13:13:53.000000Z"}
    del expected["id"]
    assert AgentSchema().load(record) == expected


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("", "name must not be empty"),
        ("x" * 201, "name must have at most 200 characters; got 201"),
        (None, "name must be a string; got null"),
    ],
)
def test_name_has_1_to_200_characters(name: str | None, error: str) -> None:
    for schema, public_id in ((AgentSchema(), "agent_1"), (HarnessSchema(), "harness_1")):
        assert schema.load({"id": public_id, "name": "x" * 200})
        assert errors_of(schema, {"id": public_id, "name": name}) == [error]


def test_capability_of_the_catalog() -> None:
    record = {
        "id": "a",
        "name": "A",
        "description": "",
        "category": None,
        "status": "available",
        "dependencies": ["b"],
        "features": [],
    }
    assert CapabilitySchema().load(record) == record
    assert CapabilitySchema().load({**record, "features": None}) == record
    assert errors_of(CapabilitySchema(), {"id": "", "name": "A", "status": "gone"}) == [
        "id must not be empty",
        "status must be available, coming_soon or retired; got 'gone'",
    ]
    missing = errors_of(CapabilitySchema(), {"dependencies": [""]})
    assert sorted(missing) == [
        "dependencies[0] must not be empty",
        "id is missing",
        "name is missing",
        "status is missing",
    ]
