"""Every error, in one envelope: {"error": {"code", "message", "fields"?, "request_id"}}."""

import os
import re
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from flask import Flask, Response, current_app, json, request
from marshmallow import ValidationError
from werkzeug.exceptions import HTTPException

from everruns.api.database import database
from everruns.schemas.fields import flatten
from everruns.store import db

RETRY_AFTER_SECONDS = 5
OFFER = "this service has sessions, agents, harnesses and capabilities; see /api-doc/openapi.json"
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")

_PROGRAMMING_ERRORS = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISUSE, sqlite3.SQLITE_RANGE, sqlite3.SQLITE_MISMATCH}


class ApiError(Exception):
    """An error response; `message` says what was wrong and what is right."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        fields: Mapping[str, list[str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields
        self.headers = headers or {}

    def envelope(self, request_id: str) -> dict[str, object]:
        """Return the body of the response."""
        error: dict[str, object] = {"code": self.code, "message": self.message}
        if self.fields is not None:
            error["fields"] = self.fields
        error["request_id"] = request_id
        return {"error": error}


class InvalidRequest(ApiError):
    """400: `fields` maps each invalid argument or key of the body to its errors."""

    def __init__(self, errors: ValidationError) -> None:
        fields: dict[str, list[str]] = {}
        for path, message in flatten(errors.messages_dict):
            fields.setdefault(path, []).append(message)
        text = "; ".join(f"{path} {message}" for path, messages in fields.items() for message in messages)
        super().__init__(400, "invalid_request", text, fields)


class Unauthorized(ApiError):
    """401: no key, or one that is unknown, expired or revoked. The response does not say which."""

    def __init__(self) -> None:
        message = "a valid API key is required: send 'Authorization: Bearer evr_…'"
        super().__init__(401, "unauthorized", message, headers={"WWW-Authenticate": "Bearer"})


class OrganizationMismatch(ApiError):
    """403: `X-Org-Id` is not the organization of the key."""

    def __init__(self) -> None:
        message = "X-Org-Id must be the organization of this API key; correct it or leave it out"
        super().__init__(403, "organization_mismatch", message)


class ReadOnlyKey(ApiError):
    """403: a write with a read-only key."""

    def __init__(self) -> None:
        super().__init__(403, "read_only_key", "this API key is read-only; use another key to change anything")


class NotFound(ApiError):
    """404: nothing is at this path, or the organization has no such record."""

    def __init__(self, message: str) -> None:
        super().__init__(404, "not_found", message)


class Conflict(ApiError):
    """409: a session with this id exists."""

    def __init__(self, public_id: str) -> None:
        super().__init__(409, "conflict", f"{public_id} exists; use PUT to replace it or PATCH to change it")


class MethodNotAllowed(ApiError):
    """405: the path exists, the method must be one of `allowed`."""

    def __init__(self, method: str, allowed: Iterable[str]) -> None:
        methods = ", ".join(sorted(allowed))
        message = f"the method must be one of {methods}; got {method}"
        super().__init__(405, "method_not_allowed", message, headers={"Allow": methods})


class InternalError(ApiError):
    """500: a bug, of which the response says nothing."""

    def __init__(self) -> None:
        super().__init__(500, "internal_error", "an error of the service; it is logged with this request_id")


class Unavailable(ApiError):
    """503: the database cannot be used now."""

    def __init__(self, message: str = "the database cannot be used now; retry shortly") -> None:
        super().__init__(503, "database_unavailable", message, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


class ReadOnlyReplica(ApiError):
    """503: a write sent to a replica."""

    def __init__(self) -> None:
        message = "this is a read replica; send writes to the primary"
        super().__init__(503, "read_only_replica", message, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


def init_app(app: Flask) -> None:
    """Answer every error of `app` in the envelope, and add `X-Request-Id` to every response."""
    app.after_request(_add_common_headers)
    app.register_error_handler(ApiError, _respond)
    app.register_error_handler(ValidationError, lambda error: _respond(InvalidRequest(error)))
    app.register_error_handler(HTTPException, _respond_http)
    app.register_error_handler(db.ReadOnlyReplica, lambda _: _respond(ReadOnlyReplica()))
    app.register_error_handler(db.DatabaseUnavailable, _respond_unavailable)
    app.register_error_handler(sqlite3.Error, _respond_sqlite)
    app.register_error_handler(Exception, _respond_internal)


def request_id(environ: dict[str, Any]) -> str:
    """Return the request's `X-Request-Id` when it is 1 to 128 of `A-Za-z0-9._-`, otherwise a new id."""
    found: str | None = environ.get("everruns.request_id")
    if found is None:
        sent = environ.get("HTTP_X_REQUEST_ID", "")
        found = environ["everruns.request_id"] = sent if REQUEST_ID.fullmatch(sent) else os.urandom(16).hex()
    return found


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
        return _respond(NotFound(f"there is nothing at {request.path}; {OFFER}"))
    if status == 413:
        return _respond(ApiError(413, "request_entity_too_large", "the body must have at most 1 MiB"))
    if status == 405:
        return _respond(MethodNotAllowed(request.method, getattr(error, "valid_methods", None) or ()))
    code = "invalid_request" if status == 400 else error.name.lower().replace(" ", "_")
    return _respond(ApiError(status, code, error.description or error.name))


def _respond_unavailable(error: db.DatabaseUnavailable) -> Response:
    _log_unavailable(str(error))
    return _respond(Unavailable(str(error)) if isinstance(error, db.ReplicaStale) else Unavailable())


def _respond_sqlite(error: sqlite3.Error) -> Response:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE) & 0xFF
    if code in _PROGRAMMING_ERRORS:
        try:
            with database().read():  # opens the file again: tables may be missing because it was emptied
                return _respond_internal(error)
        except db.DatabaseUnavailable as unavailable:
            return _respond_unavailable(unavailable)
    _log_unavailable(db.explain(error, database().path))
    return _respond(Unavailable())


def _log_unavailable(reason: str) -> None:
    current_app.logger.error("database unavailable: %s (request_id %s)", reason, request_id(request.environ))


def _respond_internal(error: Exception) -> Response:
    current_app.logger.error("internal error (request_id %s)", request_id(request.environ), exc_info=error)
    return _respond(InternalError())
