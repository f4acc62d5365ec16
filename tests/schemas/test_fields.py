"""The fields of the schemas, and how messages show a value."""

from typing import Any

import pytest
from marshmallow import Schema, ValidationError
from marshmallow.fields import Field

from everruns.schemas.fields import (
    MAX_CONFIG_DEPTH,
    Array,
    CapabilityReference,
    Choice,
    Flag,
    PublicId,
    Text,
    Timestamp,
    WholeNumber,
    escape,
    flatten,
    is_empty,
    json_type,
    shown,
)


def error_of(field: Field[Any], value: object) -> object:
    """Return the messages with which `field` refuses `value`."""
    with pytest.raises(ValidationError) as raised:
        field.deserialize(value)
    messages: object = raised.value.messages
    return messages


def nested(levels: int) -> dict[str, object]:
    """Return an object with this many levels, of objects and arrays in turn."""
    value: Any = {}
    for level in range(levels - 1):
        value = [value] if level % 2 else {"a": value}
    return value if isinstance(value, dict) else {"a": value[0]}


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "null"), (True, "a boolean"), (1, "a number"), (1.5, "a number"), ("", "a string"), ([], "an array")],
)
def test_json_type_has_its_article(value: object, expected: str) -> None:
    assert json_type(value) == expected
    assert json_type({}) == "an object"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a", "'a'"),
        ("查 é", "'查 é'"),
        ("\x1b[31m\n", "'\\u001b[31m\\u000a'"),
        ("x" * 40, f"'{'x' * 40}'"),
        ("x" * 41, f"'{'x' * 40}…' (41 characters)"),
        (None, "null"),
        ({"a": 1}, "an object"),
    ],
)
def test_shown_value_is_quoted_escaped_and_shortened(value: object, expected: str) -> None:
    assert shown(value) == expected


def test_control_characters_are_escaped() -> None:
    assert escape("a\x00\x9b\u202e b") == "a\\u0000\\u009b\\u202e b"


@pytest.mark.parametrize("value", [None, False, [], {}])
def test_empty_values(value: object) -> None:
    assert is_empty(value)


@pytest.mark.parametrize("value", [0, "", True, [None], {"a": None}, 0.0])
def test_values_that_are_not_empty(value: object) -> None:
    assert not is_empty(value)


def test_nested_messages_are_flattened_to_paths() -> None:
    messages = {"title": ["one", "two"], "capabilities": {2: {"ref": ["is missing"]}}, "tags": {0: ["three"]}}
    assert list(flatten(messages)) == [
        ("title", "one"),
        ("title", "two"),
        ("capabilities[2].ref", "is missing"),
        ("tags[0]", "three"),
    ]


def test_text_is_a_string_of_allowed_length() -> None:
    assert Text().deserialize("") == ""
    assert Text(1, 3).deserialize("abc") == "abc"
    assert Text(allow_none=True).deserialize(None) is None
    assert error_of(Text(), 1) == ["must be a string; got a number"]
    assert error_of(Text(), None) == ["must be a string; got null"]
    assert error_of(Text(allow_none=True), []) == ["must be a string or null; got an array"]
    assert error_of(Text(1), "") == ["must not be empty"]
    assert error_of(Text(1, 3), "abcd") == ["must have at most 3 characters; got 4"]
    assert error_of(Text(), "a\0") == ["must not contain the character U+0000; got 'a\\u0000'"]


def test_a_missing_key_and_null_have_messages_of_their_own() -> None:
    schema = Schema.from_dict({"name": Text(required=True), "title": Text(), "refs": Array(CapabilityReference())})()
    assert schema.validate({"title": None, "refs": [None]}) == {
        "name": ["is missing"],
        "title": ["must be a string; got null"],
        "refs": {0: ["must be a capability id or an object with ref; got null"]},
    }


def test_whole_number_has_limits() -> None:
    field = WholeNumber(1, 30)
    assert [field.deserialize(text) for text in ("1", "30", "007")] == [1, 30, 7]
    assert error_of(field, "0") == ["must be from 1 to 30; got '0'"]
    assert error_of(field, "31") == ["must be from 1 to 30; got '31'"]
    assert error_of(field, "x") == ["must be a whole number from 1 to 30; got 'x'"]


def test_public_id_has_its_prefix() -> None:
    field = PublicId("agent", allow_none=True)
    for valid in ("agent_1", "agent_" + "-aZ0" * 16, None):
        assert field.deserialize(valid) == valid
    rule = "must be agent_ and 1 to 64 of 0-9 A-Z a-z - or null"
    assert error_of(field, "session_1") == [f"{rule}; got 'session_1'"]
    assert error_of(field, 1) == [f"{rule}; got a number"]
    assert error_of(PublicId("org"), "org_1\n") == [r"must be org_ and 1 to 64 of 0-9 A-Z a-z -; got 'org_1\u000a'"]


def test_choice_is_one_of_its_values() -> None:
    field = Choice("a", "b", "c")
    assert field.deserialize("b") == "b"
    assert error_of(field, "A") == ["must be a, b or c; got 'A'"]
    assert error_of(field, ["a"]) == ["must be a, b or c; got an array"]
    assert error_of(Choice("a"), "b") == ["must be a; got 'b'"]


def test_flag_is_true_or_false() -> None:
    assert [Flag().deserialize(text) for text in ("true", "false")] == [True, False]
    assert error_of(Flag(), "TRUE") == ["must be true or false; got 'TRUE'"]


def test_timestamp_is_converted_to_the_stored_form() -> None:
    text = "2026-02-27T13:13:53.1234569+01:00"
    assert Timestamp().deserialize(text) == "2026-02-27T12:13:53.123456Z"
    assert Timestamp(round_up=True).deserialize(text) == "2026-02-27T12:13:53.123457Z"
    rule = "must be an ISO 8601 time with a zone, such as 2026-02-27T13:13:53Z"
    assert error_of(Timestamp(), "yesterday") == [f"{rule}; got 'yesterday'"]
    assert error_of(Timestamp(), 1772198033) == ["must be a string; got a number"]


def test_array_of_items() -> None:
    field = Array(Text(1))
    assert field.deserialize(["a", "b", "a"]) == ["a", "b", "a"]
    assert Array(Text(), allow_none=True).deserialize(None) is None
    assert error_of(field, {}) == ["must be an array; got an object"]
    assert error_of(field, ["a", 1, ""]) == {1: ["must be a string; got a number"], 2: ["must not be empty"]}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("memory", {"ref": "memory"}),
        ({"ref": "memory"}, {"ref": "memory"}),
        ({"ref": "memory", "config": None}, {"ref": "memory"}),
        ({"ref": "memory", "config": {}}, {"ref": "memory", "config": {}}),
        ({"config": {"a": [1]}, "ref": "memory", "other": 1}, {"ref": "memory", "config": {"a": [1]}}),
    ],
)
def test_capability_reference_is_an_id_or_an_object(value: object, expected: object) -> None:
    assert CapabilityReference().deserialize(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, ["must be a capability id or an object with ref; got a number"]),
        ({}, {"ref": ["is missing"]}),
        ({"ref": ""}, {"ref": ["must be a capability id; got ''"]}),
        ("", {"ref": ["must be a capability id; got ''"]}),
        ({"ref": 1}, {"ref": ["must be a capability id; got a number"]}),
        ({"ref": "a", "config": []}, {"config": ["must be an object; got an array"]}),
    ],
)
def test_invalid_capability_reference_is_refused(value: object, expected: object) -> None:
    assert error_of(CapabilityReference(), value) == expected


def test_config_has_a_limited_depth() -> None:
    deepest = {"ref": "a", "config": nested(MAX_CONFIG_DEPTH)}
    assert CapabilityReference().deserialize(deepest) == deepest
    too_deep = {"ref": "a", "config": {"a": deepest["config"]}}
    assert error_of(CapabilityReference(), "openui\0") == {"ref": ["must be a capability id; got 'openui\\u0000'"]}
    assert error_of(CapabilityReference(), too_deep) == {"config": ["must have at most 100 levels"]}
