"""The fields of the schemas. Messages have the form `must be <rule>; got <value>`."""

import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from marshmallow import Schema, ValidationError, fields

from everruns.ids import id_pattern
from everruns.timestamps import parse_timestamp

MAX_CONFIG_DEPTH = 100
MAX_SHOWN_CHARACTERS = 40
REFERENCE_KEYS = ("ref", "config")  # of a capability

_JSON_TYPES = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
}
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_Data = Mapping[str, Any] | None


def json_type(value: object) -> str:
    """Return the JSON type of `value`, with its article: `a number`."""
    return _JSON_TYPES[type(value)]


def escape(text: str) -> str:
    """Escape characters that are not printable, such as those that control a terminal."""
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)


def shown(value: object) -> str:
    """Return `value` as a message shows it: a string quoted, escaped and shortened, anything else by its type."""
    if not isinstance(value, str):
        return json_type(value)
    if len(value) <= MAX_SHOWN_CHARACTERS:
        return f"'{escape(value)}'"
    return f"'{escape(value[:MAX_SHOWN_CHARACTERS])}…' ({len(value)} characters)"


def is_empty(value: object) -> bool:
    """Return whether `value` is null, false, `[]` or `{}`, as clients send for keys that they do not use."""
    return value is None or value is False or value in ([], {})


def flatten(messages: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield Marshmallow's nested error messages with their paths: `("capabilities[2].ref", "is missing")`."""
    if isinstance(messages, dict):
        for key, inner in messages.items():
            step = f"[{key}]" if isinstance(key, int) else f".{key}" if path else key
            yield from flatten(inner, path + step)
    else:
        for message in messages:
            yield path, message


class Text(fields.Field[str]):
    """A JSON string of `minimum` to `maximum` characters. Null is allowed with `allow_none`."""

    def __init__(self, minimum: int = 0, maximum: int | None = None, **kwargs: Any) -> None:
        super().__init__(error_messages={"required": "is missing", "null": "must be a string; got null"}, **kwargs)
        self.minimum = minimum
        self.maximum = maximum

    def _deserialize(self, value: Any, attr: str | None, data: _Data, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError(f"must be a string{' or null' if self.allow_none else ''}; got {json_type(value)}")
        if len(value) < self.minimum:
            raise ValidationError("must not be empty")
        if self.maximum is not None and len(value) > self.maximum:
            raise ValidationError(f"must have at most {self.maximum} characters; got {len(value)}")
        if "\0" in value:  # SQLite's text functions and its full-text index stop there
            raise ValidationError(f"must not contain the character U+0000; got {shown(value)}")
        return value


class PublicId(Text):
    """A public id with this prefix."""

    def __init__(self, prefix: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.prefix = prefix
        self.pattern = re.compile(id_pattern(prefix))

    def _deserialize(self, value: Any, attr: str | None, data: _Data, **kwargs: Any) -> str:
        if not isinstance(value, str) or not self.pattern.fullmatch(value):
            rule = f"must be {self.prefix}_ and 1 to 64 of 0-9 A-Z a-z -"
            raise ValidationError(f"{rule}{' or null' if self.allow_none else ''}; got {shown(value)}")
        return value


class Choice(Text):
    """One of `choices`."""

    def __init__(self, *choices: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.choices = choices

    def _deserialize(self, value: Any, attr: str | None, data: _Data, **kwargs: Any) -> str:
        if value not in self.choices:
            *others, last = self.choices
            rule = f"{', '.join(others)} or {last}" if others else last
            raise ValidationError(f"must be {rule}; got {shown(value)}")
        return str(value)


class Timestamp(Text):
    """ISO 8601 with a zone; loads to the stored form.

    Digits after the microsecond are cut off; with `round_up`, as for bounds, they mean the next microsecond.
    """

    def __init__(self, round_up: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.round_up = round_up

    def _deserialize(self, value: Any, attr: str | None, data: _Data, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        try:
            return parse_timestamp(text, self.round_up)
        except ValueError as error:
            raise ValidationError(f"{error}; got {shown(text)}") from None


class WholeNumber(fields.Field[int]):
    """Plain ASCII decimal digits, as in a query, from `minimum` to `maximum`."""

    def __init__(self, minimum: int, maximum: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.minimum = minimum
        self.maximum = maximum

    def _deserialize(self, value: Any, attr: str | None, data: _Data, **kwargs: Any) -> int:
        if not re.fullmatch("[0-9]+", value):
            raise ValidationError(f"must be a whole number from {self.minimum} to {self.maximum}; got {shown(value)}")
        number = int(value.lstrip("0")[:11] or "0")  # enough digits to see that it is too large
        if not self.minimum <= number <= self.maximum:
            raise ValidationError(f"must be from {self.minimum} to {self.maximum}; got {shown(value)}")
        return number


class Flag(fields.Field[bool]):
    """`true` or `false`, as in a query."""

    def _deserialize(self, value: Any, attr: str | None, data: _Data, **kwargs: Any) -> bool:
        if value not in ("true", "false"):
            raise ValidationError(f"must be true or false; got {shown(value)}")
        return bool(value == "true")


class Day(fields.Field[date]):
    """A calendar day, from year 2 on, so that there is always a day before it."""

    def _deserialize(self, value: Any, attr: str | None, data: _Data, **kwargs: Any) -> date:
        try:
            day = date.fromisoformat(value if _DAY.fullmatch(value) else "")
        except ValueError:
            day = date.min
        if day.year == 1:
            raise ValidationError(
                f"must be a day from 0002-01-01 to 9999-12-31, such as 2026-02-27; got {shown(value)}"
            )
        return day


class Array(fields.List[Any]):
    """A JSON array of `items`."""

    def _deserialize(self, value: Any, attr: str | None, data: _Data, **kwargs: Any) -> list[Any]:
        if not isinstance(value, list):
            raise ValidationError(f"must be an array; got {json_type(value)}")
        return super()._deserialize(value, attr, data, **kwargs)


class CapabilityReference(fields.Field[dict[str, Any]]):
    """A capability id, or `{"ref": id, "config": object}`; loads to an object, with `config` only where given."""

    def __init__(self) -> None:
        super().__init__(error_messages={"null": "must be a capability id or an object with ref; got null"})

    def _deserialize(self, value: Any, attr: str | None, data: _Data, **kwargs: Any) -> dict[str, Any]:
        reference = {"ref": value} if isinstance(value, str) else value
        if not isinstance(reference, dict):
            raise ValidationError(f"must be a capability id or an object with ref; got {json_type(value)}")
        if "ref" not in reference:
            raise ValidationError({"ref": ["is missing"]})
        ref, config = reference["ref"], reference.get("config")
        if not isinstance(ref, str) or not ref or "\0" in ref:
            raise ValidationError({"ref": [f"must be a capability id; got {shown(ref)}"]})
        if config is None:
            return {"ref": ref}
        if not isinstance(config, dict):
            raise ValidationError({"config": [f"must be an object; got {json_type(config)}"]})
        if _is_deeper(config, MAX_CONFIG_DEPTH):
            raise ValidationError({"config": [f"must have at most {MAX_CONFIG_DEPTH} levels"]})
        return {"ref": ref, "config": config}


def _is_deeper(value: object, levels: int) -> bool:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels == 0 or any(_is_deeper(child, levels - 1) for child in children)


def known_keys(schema: Schema) -> list[str]:
    """Return the names of the keys that `schema` takes."""
    return [field.data_key or name for name, field in schema.fields.items()]
