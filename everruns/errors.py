"""Every error, one envelope: {"error": {"code", "message", "fields"?, "request_id"}}."""

import os
import re
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from flask import Flask, Response, current_app, json, request
from werkzeug.exceptions import HTTPException

from everruns.db import DatabaseUnavailable, ReplicaStale

RETRY_AFTER_SECONDS = 5
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")

_IDENTIFIED = "everruns.request_id"
_OUR_FAULTS = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISUSE, sqlite3.SQLITE_RANGE, sqlite3.SQLITE_MISMATCH}


class ApiError(Exception):
    """An answer other than 200, for the reader: `message` says what was wrong and what would be right."""

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
        """The body of the answer."""
        error: dict[str, object] = {"code": self.code, "message": self.message}
        if self.fields is not None:
            error["fields"] = self.fields
        error["request_id"] = request_id
        return {"error": error}


class InvalidRequest(ApiError):
    """400: `fields` maps each refused argument to what is wrong with it and what would be right."""

    def __init__(self, fields: Mapping[str, list[str]]) -> None:
        message = "; ".join(f"{name} {fault}" for name, faults in fields.items() for fault in faults)
        super().__init__(400, "invalid_request", message, fields)


class Unauthorized(ApiError):
    """401: no key, or one that is unknown, expired or revoked. Which of these is never told."""

    def __init__(self) -> None:
        message = "a valid API key is needed: send 'Authorization: Bearer evr_…'"
        super().__init__(401, "unauthorized", message, headers={"WWW-Authenticate": "Bearer"})


class OrganizationMismatch(ApiError):
    """403: `X-Org-Id` is not the organization of the key."""

    def __init__(self) -> None:
        message = "X-Org-Id is not the organization of this API key; leave it out, or send that organization's id"
        super().__init__(403, "organization_mismatch", message)


class NotFound(ApiError):
    """404: nothing is at this path."""

    def __init__(self, path: str) -> None:
        super().__init__(404, "not_found", f"there is nothing at {path}; sessions are at /v1/sessions")


class MethodNotAllowed(ApiError):
    """405: the path is right, the method is not one of `allowed`."""

    def __init__(self, method: str, allowed: Iterable[str]) -> None:
        message = f"{method} is not possible here; use GET"
        super().__init__(405, "method_not_allowed", message, headers={"Allow": ", ".join(sorted(allowed))})


class InternalError(ApiError):
    """500: a fault of ours, of which nothing is told."""

    def __init__(self) -> None:
        message = "a fault of the service, not of your request; it is logged under this request_id"
        super().__init__(500, "internal_error", message)


class Unavailable(ApiError):
    """503: the database cannot be used now."""

    def __init__(self, message: str = "the database cannot be read at the moment; try again shortly") -> None:
        super().__init__(503, "database_unavailable", message, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


def init_app(app: Flask) -> None:
    """Answer every error of `app` in the envelope, and put `X-Request-Id` on every answer."""
    app.after_request(_finish)
    app.register_error_handler(ApiError, _answer)
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(DatabaseUnavailable, _answer_unavailable)
    app.register_error_handler(sqlite3.Error, _answer_sqlite)
    app.register_error_handler(Exception, _answer_fault)


def request_id(environ: dict[str, Any]) -> str:
    """The id of a request: `X-Request-Id` as it was sent, when that is 1 to 128 of `A-Za-z0-9._-`; else a new one."""
    found: str | None = environ.get(_IDENTIFIED)
    if found is None:
        sent = environ.get("HTTP_X_REQUEST_ID", "")
        found = environ[_IDENTIFIED] = sent if REQUEST_ID.fullmatch(sent) else os.urandom(16).hex()
    return found


def _finish(response: Response) -> Response:
    headers = response.headers
    headers["X-Request-Id"] = request_id(request.environ)
    if "Cache-Control" not in headers:
        headers["Cache-Control"] = "no-store"
    return response


def _answer(error: ApiError) -> Response:
    text = json.dumps(error.envelope(request_id(request.environ)), sort_keys=False, ensure_ascii=False) + "\n"
    return Response(text, error.status, error.headers, content_type="application/json")


def _answer_http(error: HTTPException) -> Response:
    status = error.code or 500
    if status >= 500:
        return _answer_fault(error)
    if status == 404:
        return _answer(NotFound(request.path))
    if status == 405:
        return _answer(MethodNotAllowed(request.method, getattr(error, "valid_methods", None) or ()))
    code = "invalid_request" if status == 400 else error.name.lower().replace(" ", "_")
    return _answer(ApiError(status, code, error.description or error.name))


def _answer_unavailable(error: Exception) -> Response:
    current_app.logger.error("database unavailable: %s (request_id %s)", error, request_id(request.environ))
    return _answer(Unavailable(str(error)) if isinstance(error, ReplicaStale) else Unavailable())


def _answer_sqlite(error: sqlite3.Error) -> Response:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE) & 0xFF
    return _answer_fault(error) if code in _OUR_FAULTS else _answer_unavailable(error)


def _answer_fault(error: Exception) -> Response:
    current_app.logger.error("internal error (request_id %s)", request_id(request.environ), exc_info=error)
    return _answer(InternalError())
