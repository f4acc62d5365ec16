"""What may come in: the query arguments, the records of an import, the entries of a catalog."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from marshmallow import EXCLUDE, RAISE, Schema, ValidationError, fields, validates_schema

from everruns.errors import InvalidRequest
from everruns.values import BASE_HARNESS, id_pattern, is_id, is_stored_instant, parse_instant, same_id

STATUSES = ("started", "active", "idle")
CATALOG_STATUSES = ("available", "coming_soon", "retired")
MAX_CONFIG_DEPTH = 100
ID_RULE = "{}_ and then 1 to 64 of 0-9 A-Z a-z -"

# A capability id, and its config as JSON text.
CapabilityReference = tuple[str, str | None]

as_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

_DIGITS = re.compile(r"[0-9]+")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_SESSION_ID = re.compile(id_pattern("session"))
_AGENT_ID = re.compile(id_pattern("agent"))
_HARNESS_ID = re.compile(id_pattern("harness"))
_TEXT_OR_NULL = (str, type(None))
_ARRAY_OR_NULL = (list, type(None))
_KINDS = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
}


class SessionsQuery(NamedTuple):
    """The validated query arguments of `GET /v1/sessions`; instants are as they are stored."""

    agent_id: str | None
    created_after: str | None
    created_before: str | None
    offset: int
    limit: int


class ActivityQuery(NamedTuple):
    """The validated query arguments of `GET /v1/sessions/activity`: `days` days, the last of them `until`, in UTC."""

    agent_id: str | None
    days: int
    until: date


def kind(value: object) -> str:
    """What JSON calls the type of `value`, with its article: `a number`."""
    return _KINDS.get(type(value), "something else")


def escaped(text: str) -> str:
    """`text` for a message, with what cannot be seen escaped: a terminal would obey it, or take it for a line's end."""
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)


def shown(text: str) -> str:
    """`text` quoted and escaped for a message, cut when long."""
    return f"'{escaped(text)}'" if len(text) <= 40 else f"'{escaped(text[:40])}…' ({len(text)} characters)"


# --- query arguments -------------------------------------------------------------------------------------------


class WholeNumber(fields.Field[int]):
    """Plain ASCII decimal digits, from `least` to `most`."""

    def __init__(self, least: int, most: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.least = least
        self.most = most

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        text = _only(value)
        if _DIGITS.fullmatch(text):
            significant = text.lstrip("0")[:11]  # enough to see that it is too large, and never too long for int()
            number = int(significant or "0")
            if self.least <= number <= self.most:
                return number
        raise ValidationError(f"must be a whole number from {self.least} to {self.most}, not {shown(text)}")


class AgentId(fields.Field[str]):
    """An agent's public id."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        text = _only(value)
        if not is_id(text, "agent"):
            raise ValidationError(f"must be {ID_RULE.format('agent')}, not {shown(text)}")
        return text


class Bound(fields.Field[str]):
    """A bound on `created_at`: ISO 8601 with a zone; loads to the form in which instants are stored.

    Between two microseconds it means the later one, whether it is inclusive or exclusive.
    """

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        text = _only(value)
        try:
            return parse_instant(text, round_up=True)
        except ValueError as error:
            hint = "; in a URL a + is written %2B" if " " in text else ""
            raise ValidationError(f"{error}; it is {shown(text)}{hint}") from None


class Day(fields.Field[date]):
    """A calendar day."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> date:
        text = _only(value)
        try:
            day = date.fromisoformat(text if _DAY.fullmatch(text) else "")
            if day.year == 1:
                raise ValueError  # so that a year before it can be told of
        except ValueError:
            hint = "must be a day from 0002-01-01 to 9999-12-31, for example 2026-02-27"
            raise ValidationError(f"{hint}, not {shown(text)}") from None
        return day


def _only(values: list[str]) -> str:
    """An argument arrives as the list of all its values, of which there must be one."""
    if len(values) > 1:
        raise ValidationError(f"was given {len(values)} times; give it once")
    return values[0]


class _Query(Schema):
    class Meta:
        unknown = RAISE

    def __init__(self) -> None:
        super().__init__()
        *names, last = self.fields
        self.error_messages["unknown"] = f"is not an argument here; there are {', '.join(names)} and {last}"


OF_AGENT = {
    "description": "Only sessions of this agent; one that the organization does not have has none. "
    "Dashes and letter case do not matter.",
    "example": "agent_019c60b1e40c7000b1f7c2a86de0394f",
}


class SessionsQuerySchema(_Query):
    """The arguments of `GET /v1/sessions`."""

    agent_id = AgentId(load_default=None, metadata=OF_AGENT)
    created_after = Bound(
        load_default=None,
        metadata={
            "description": "Only sessions created at this instant or later. ISO 8601 with a zone; write + as %2B.",
            "example": "2026-02-01T00:00:00Z",
        },
    )
    created_before = Bound(
        load_default=None,
        metadata={
            "description": "Only sessions created before this instant, which must not be before created_after.",
            "example": "2026-03-01T00:00:00Z",
        },
    )
    offset = WholeNumber(
        0, 2147483647, load_default=0, metadata={"description": "How many sessions to skip.", "example": 20}
    )
    limit = WholeNumber(
        1, 100, load_default=20, metadata={"description": "How many sessions to return at most.", "example": 10}
    )

    @validates_schema
    def _in_order(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        if data["created_after"] and data["created_before"] and data["created_before"] < data["created_after"]:
            fault = f"must not be before created_after, which is {data['created_after']}"
            raise ValidationError({"created_before": [fault]})


class ActivityQuerySchema(_Query):
    """The arguments of `GET /v1/sessions/activity`."""

    agent_id = AgentId(load_default=None, metadata=OF_AGENT)
    days = WholeNumber(1, 366, load_default=28, metadata={"description": "How many days to tell of.", "example": 7})
    until = Day(
        load_default=None,
        metadata={"description": "The last of the days; today, in UTC, unless given.", "example": "2026-02-27"},
    )


_sessions_query = SessionsQuerySchema()
_activity_query = ActivityQuerySchema()


@lru_cache(maxsize=256)
def sessions_query(query_string: bytes) -> SessionsQuery:
    """Validate the query string of `GET /v1/sessions`; raises `InvalidRequest` that names every fault.

    >>> sessions_query(b"limit=5").limit
    5
    """
    return SessionsQuery(**_load(_sessions_query, query_string))


def activity_query(query_string: bytes, today: date) -> ActivityQuery:
    """Validate the query string of `GET /v1/sessions/activity`; raises `InvalidRequest` that names every fault.

    >>> activity_query(b"days=7", date(2026, 2, 27)).until
    datetime.date(2026, 2, 27)
    """
    arguments = _load(_activity_query, query_string)
    return ActivityQuery(arguments["agent_id"], arguments["days"], arguments["until"] or today)


def _load(schema: Schema, query_string: bytes) -> dict[str, Any]:
    arguments = parse_qs(query_string.decode("utf-8", "replace"), keep_blank_values=True)
    try:
        loaded: dict[str, Any] = schema.load(arguments)
    except ValidationError as error:
        faults = error.messages_dict
        raise InvalidRequest({name: faults[name] for name in arguments if name in faults}) from None
    return loaded


# --- records ---------------------------------------------------------------------------------------------------


class Text(fields.Field[str]):
    """A JSON string, not empty; null too with `allow_none`. Of public id shape when `id_of` names the prefix."""

    def __init__(self, id_of: str | None = None, allow_empty: bool = False, **kwargs: Any) -> None:
        super().__init__(error_messages={"required": "is missing", "null": "must be a string, not null"}, **kwargs)
        self.id_of = id_of
        self.allow_empty = allow_empty

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError(f"must be a string{' or null' if self.allow_none else ''}, not {kind(value)}")
        if self.id_of and not is_id(value, self.id_of):
            raise ValidationError(f"must be {ID_RULE.format(self.id_of)}, not {shown(value)}")
        if not value and not self.allow_empty:
            raise ValidationError("must not be empty")
        return value


class Choice(Text):
    """One of `choices`."""

    def __init__(self, *choices: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.choices = choices

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        if text not in self.choices:
            *others, last = self.choices
            raise ValidationError(f"must be {', '.join(others)} or {last}, not {shown(text)}")
        return text


class Instant(Text):
    """ISO 8601 with a zone; loads to the form in which instants are stored."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        try:
            return parse_instant(text)
        except ValueError as error:
            raise ValidationError(f"{error}; it is {shown(text)}") from None


class Many(fields.List[Any]):
    """A JSON array of `inner`; absent or null, as what the API serves may be, loads to None."""

    def __init__(self, inner: fields.Field[Any]) -> None:
        super().__init__(inner, load_default=None, allow_none=True)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> list[Any]:
        if not isinstance(value, list):
            raise ValidationError(f"must be an array, not {kind(value)}")
        return super()._deserialize(value, attr, data, **kwargs)


class CapabilityRef(fields.Field[CapabilityReference]):
    """A capability id, or `{"ref": id, "config": object}`."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> CapabilityReference:
        return self.reference(value)

    @staticmethod
    def reference(value: Any) -> CapabilityReference:
        """What `value` refers to; raises `ValidationError`."""
        reference = {"ref": value} if isinstance(value, str) else value
        if not isinstance(reference, dict):
            raise ValidationError(f"must be a capability id or an object with ref, not {kind(value)}")
        ref, config = reference.get("ref"), reference.get("config")
        if not isinstance(ref, str) or not ref:
            raise ValidationError({"ref": ["must be a capability id" if "ref" in reference else "is missing"]})
        if config is None:
            return ref, None
        if not isinstance(config, dict):
            raise ValidationError({"config": [f"must be an object, not {kind(config)}"]})
        text = as_json(config)
        if len(text) >= 2 * MAX_CONFIG_DEPTH and _deeper(config, MAX_CONFIG_DEPTH):  # a level takes two characters
            raise ValidationError({"config": [f"must not be nested deeper than {MAX_CONFIG_DEPTH} levels"]})
        return ref, text


def _deeper(value: object, levels: int) -> bool:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels == 0 or any(_deeper(child, levels - 1) for child in children)


class _Record(Schema):
    class Meta:
        unknown = EXCLUDE


class _OwnerSchema(_Record):
    name = Text(load_default=None, allow_none=True, allow_empty=True)
    capabilities = Many(CapabilityRef())


class HarnessSchema(_OwnerSchema):
    """A harness of an import."""

    id = Text("harness", required=True)

    @validates_schema
    def _base_has_none(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        if is_base_harness(data["id"]) and data["capabilities"]:
            fault = "must be empty: the base harness is built in and has none; give a harness of your own another id"
            raise ValidationError({"capabilities": [fault]})


class AgentSchema(_OwnerSchema):
    """An agent of an import."""

    id = Text("agent", required=True)


class SessionSchema(_Record):
    """A session of an import."""

    id = Text("session", required=True)
    harness_id = Text("harness", load_default=None, allow_none=True)
    agent_id = Text("agent", required=True)
    title = Text(load_default=None, allow_none=True, allow_empty=True)
    tags = Many(Text(allow_empty=True))
    model_id = Text(load_default=None, allow_none=True, allow_empty=True)
    capabilities = Many(CapabilityRef())
    status = Choice(*STATUSES, load_default="started")
    created_at = Instant(load_default=None, allow_none=True)
    updated_at = Instant(load_default=None, allow_none=True)


_harness = HarnessSchema()
_agent = AgentSchema()
_session = SessionSchema()


class OwnerRecord(NamedTuple):
    """A harness or an agent of an import, validated."""

    id: str
    name: str | None
    capabilities: list[CapabilityReference]


class SessionRecord(NamedTuple):
    """A session of an import, validated: tags as JSON text, instants as they are stored, None for the base harness."""

    id: str
    harness_id: str | None
    agent_id: str
    title: str | None
    tags: str
    model_id: str | None
    capabilities: list[CapabilityReference]
    status: str
    created_at: str | None
    updated_at: str | None


def is_base_harness(public_id: str) -> bool:
    """Whether this is the public id of the base harness."""
    return same_id(public_id) == BASE_HARNESS


def harness(record: dict[str, Any]) -> OwnerRecord:
    """Validate a harness of an import; raises `ValidationError`."""
    return _owner(_harness.load(record))


def agent(record: dict[str, Any]) -> OwnerRecord:
    """Validate an agent of an import; raises `ValidationError`."""
    return _owner(_agent.load(record))


def _owner(loaded: dict[str, Any]) -> OwnerRecord:
    return OwnerRecord(loaded["id"], loaded["name"], loaded["capabilities"] or [])


def session(record: dict[str, Any]) -> SessionRecord:
    """Validate a session of an import; raises `ValidationError`."""
    session = _plain_session(record)
    if session is None:
        loaded = _session.load(record)
        capabilities, tags = loaded.pop("capabilities") or [], loaded.pop("tags") or []
        session = SessionRecord(**loaded, capabilities=capabilities, tags=as_json(tags))
    if session.harness_id and is_base_harness(session.harness_id):
        return session._replace(harness_id=None)
    return session


def _plain_session(record: dict[str, Any]) -> SessionRecord | None:
    """What `SessionSchema` would load, when that can be seen at a glance, ten times as fast; else None."""
    get = record.get
    title, model_id, tags, capabilities = get("title"), get("model_id"), get("tags"), get("capabilities")
    status, created_at, updated_at = get("status", "started"), get("created_at"), get("updated_at")
    harness_id = get("harness_id")
    try:
        if (
            _SESSION_ID.fullmatch(record["id"])
            and (harness_id is None or _HARNESS_ID.fullmatch(harness_id))
            and _AGENT_ID.fullmatch(record["agent_id"])
            and type(title) in _TEXT_OR_NULL
            and type(model_id) in _TEXT_OR_NULL
            and type(tags) in _ARRAY_OR_NULL
            and type(capabilities) in _ARRAY_OR_NULL
            and all(type(tag) is str for tag in tags or ())
            and status in STATUSES
            and (created_at is None or is_stored_instant(created_at))
            and (updated_at is None or is_stored_instant(updated_at))
        ):
            return SessionRecord(
                record["id"],
                harness_id,
                record["agent_id"],
                title,
                as_json(tags) if tags else "[]",
                model_id,
                [CapabilityRef.reference(value) for value in capabilities or ()],
                status,
                created_at,
                updated_at,
            )
    except (KeyError, TypeError, ValidationError):
        pass  # SessionSchema says what is wrong
    return None


class CapabilitySchema(_Record):
    """A capability of a catalog."""

    id = Text(required=True)
    name = Text(required=True)
    category = Text(load_default=None, allow_none=True)
    status = Choice(*CATALOG_STATUSES, required=True)
    dependencies = Many(Text())
    features = Many(Text())


def faults(error: ValidationError) -> Iterator[str]:
    """The faults of a record, a line each: `capabilities[2].ref: is missing`."""
    return _flatten("", error.messages_dict)


def _flatten(path: str, messages: Any) -> Iterator[str]:
    if isinstance(messages, dict):
        for key, inner in messages.items():
            step = f"[{key}]" if isinstance(key, int) else f".{key}" if path else key
            yield from _flatten(path + step, inner)
    else:
        for message in messages:
            yield f"{path}: {message}"
