"""The JSON body of a request."""

from itertools import islice
from typing import Any

from flask import request
from marshmallow import ValidationError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge, UnsupportedMediaType

from everruns.hints import did_you_mean
from everruns.records import Record
from everruns.schemas.fields import json_type
from everruns.transfer.parser import parse_json
from everruns.transfer.resources import MAX_UNKNOWN_KEYS, Resource, unknown_keys

MAX_BODY_BYTES = 1024 * 1024


def load(resource: Resource, partial: tuple[str, ...] | bool) -> Record:
    """Return the validated body, with column names as keys; `partial` names the keys that may be absent, True: all.

    Raises `ValidationError` with all errors, among them the first keys that the service does not keep. Keys that it
    computes itself, and unknown ones with an empty value, are ignored.
    """
    body = _parse()
    errors: dict[str, Any] = {
        path + key: [f"is not kept by this service{did_you_mean(key, known)}"]
        for path, key, known in islice(unknown_keys(resource, body), MAX_UNKNOWN_KEYS)
    }
    loaded: Record = {}
    try:
        loaded = resource.schema.load(body, partial=partial)
    except ValidationError as error:
        errors |= error.messages_dict
    if errors:
        raise ValidationError(errors)
    return loaded


def _parse() -> dict[str, Any]:
    if request.mimetype != "application/json":
        raise UnsupportedMediaType("Content-Type must be application/json")
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise UnsupportedMediaType("the body must be sent without Content-Encoding")
    value, error = parse_json(_read())
    if not error and not isinstance(value, dict):
        error = f"must be an object; got {json_type(value)}"
    if error:
        raise ValidationError({"body": [error]})
    return dict(value)


def _read() -> bytes:
    try:
        raw = request.get_data()
    except HTTPException:
        raise
    except Exception:  # each WSGI server has exceptions of its own for a malformed or incomplete body
        raise ValidationError({"body": ["must be complete, and its chunks well-formed"]}) from None
    if len(raw) > MAX_BODY_BYTES:
        raise RequestEntityTooLarge
    return raw
