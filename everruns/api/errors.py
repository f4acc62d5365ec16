"""Every error, in one envelope: {"error": {"code", "message", "fields"?, "request_id"}}."""

import os
import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from flask import Flask, Response, current_app, json, request
from marshmallow import ValidationError
from werkzeug.exceptions import HTTPException

from everruns.schemas.fields import flatten
from everruns.store import db

RETRY_AFTER_SECONDS = 5
RETRY_AFTER = {"Retry-After": str(RETRY_AFTER_SECONDS)}
OFFER = "this service has sessions, agents, harnesses and capabilities; see /api-doc/openapi.json"
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")

# Errors of our statements, which a retry repeats.
_PROGRAMMING_ERRORS = {
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_MISUSE,
    sqlite3.SQLITE_RANGE,
}


@dataclass(eq=False)
class ApiError(Exception):
    """An error response; `message` says what is wrong and how to fix it."""

    status: int
    code: str
    message: str
    fields: Mapping[str, list[str]] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def envelope(self, request_id: str) -> dict[str, object]:
        """Return the body of the response."""
        fields = {"fields": self.fields} if self.fields else {}
        return {"error": {"code": self.code, "message": self.message, **fields, "request_id": request_id}}


# Errors whose status, code and mostly text are fixed: `raise not_found("there is no …")`.
unauthorized = partial(
    ApiError,
    401,
    "unauthorized",
    "a valid API key is required: send 'Authorization: Bearer evr_…'",
    headers={"WWW-Authenticate": "Bearer"},
)
organization_mismatch = partial(
    ApiError,
    403,
    "organization_mismatch",
    "X-Org-Id must be the organization of this API key; correct it or leave it out",
)
read_only_key = partial(ApiError, 403, "read_only_key", "this API key is read-only; use another key to change anything")
not_found = partial(ApiError, 404, "not_found")
internal_error = partial(ApiError, 500, "internal_error", "an error of the service; it is logged with this request_id")
unavailable = partial(
    ApiError, 503, "database_unavailable", message="the database cannot be used now; retry shortly", headers=RETRY_AFTER
)
read_only_replica = partial(
    ApiError, 503, "read_only_replica", "this is a read replica; send writes to the primary", headers=RETRY_AFTER
)


def invalid_request(error: ValidationError) -> ApiError:
    """Return the error for invalid arguments or keys of the body; `fields` maps each to its messages."""
    fields: dict[str, list[str]] = {}
    for path, message in flatten(error.messages_dict):
        fields.setdefault(path, []).append(message)
    text = "; ".join(f"{path} {message}" for path, messages in fields.items() for message in messages)
    return ApiError(400, "invalid_request", text, fields)


def init_app(app: Flask) -> None:
    """Register handlers that return every error in the envelope."""
    app.after_request(_add_common_headers)
    app.register_error_handler(ApiError, _respond)
    app.register_error_handler(ValidationError, lambda error: _respond(invalid_request(error)))
    app.register_error_handler(HTTPException, _respond_http)
    app.register_error_handler(db.ReadOnlyReplica, lambda _: _respond(read_only_replica()))
    app.register_error_handler(db.DatabaseUnavailable, _respond_unavailable)
    app.register_error_handler(sqlite3.Error, _respond_sqlite)
    app.register_error_handler(Exception, _respond_internal)


def request_id(environ: dict[str, Any]) -> str:
    """Return the request's `X-Request-Id` when it is 1 to 128 of `A-Za-z0-9._-`, otherwise a new id."""
    if "everruns.request_id" not in environ:
        sent = environ.get("HTTP_X_REQUEST_ID", "")
        environ["everruns.request_id"] = sent if REQUEST_ID.fullmatch(sent) else os.urandom(16).hex()
    return str(environ["everruns.request_id"])


def _add_common_headers(response: Response) -> Response:
    response.headers["X-Request-Id"] = request_id(request.environ)
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _respond(error: ApiError) -> Response:
    text = json.dumps(error.envelope(request_id(request.environ)), ensure_ascii=False) + "\n"
    return Response(text, error.status, error.headers, content_type="application/json")


def _respond_http(error: HTTPException) -> Response:
    status = error.code or 500
    if status >= 500:
        return _respond_internal(error)
    if status == 404:
        return _respond(not_found(f"there is nothing at {request.path}; {OFFER}"))
    if status == 413:
        return _respond(ApiError(413, "request_entity_too_large", "the body must have at most 1 MiB"))
    if status == 405:
        allowed = ", ".join(sorted(getattr(error, "valid_methods", None) or ()))
        message = f"the method must be one of {allowed}; got {request.method}"
        return _respond(ApiError(405, "method_not_allowed", message, headers={"Allow": allowed}))
    code = "invalid_request" if status == 400 else error.name.lower().replace(" ", "_")
    return _respond(ApiError(status, code, error.description or error.name))


def _respond_sqlite(error: sqlite3.Error) -> Response:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE) & 0xFF
    if code not in _PROGRAMMING_ERRORS:
        return _respond_unavailable(error)
    try:
        with current_app.extensions["everruns"].read():  # opens the file again: it may have been emptied
            return _respond_internal(error)
    except (db.DatabaseUnavailable, sqlite3.Error) as unavailable:
        return _respond_unavailable(unavailable)


def _respond_unavailable(error: db.DatabaseUnavailable | sqlite3.Error) -> Response:
    path = current_app.extensions["everruns"].path
    reason = db.explain(error, path) if isinstance(error, sqlite3.Error) else str(error)
    current_app.logger.error("database unavailable: %s (request_id %s)", reason, request_id(request.environ))
    return _respond(unavailable(message=reason) if isinstance(error, db.ReplicaStale) else unavailable())


def _respond_internal(error: Exception) -> Response:
    """500: an unexpected exception; details are only logged."""
    current_app.logger.error("internal error (request_id %s)", request_id(request.environ), exc_info=error)
    return _respond(internal_error())
