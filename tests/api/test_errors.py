"""Errors: one envelope, what was wrong and what is right, and nothing internal."""

import logging
import re
import sqlite3
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.exceptions import (
    BadGateway,
    BadRequest,
    HTTPException,
    ImATeapot,
    InternalServerError,
    RequestEntityTooLarge,
)

from everruns.store.db import Database

REQUEST_ID = "the-request"


def get_error(client: FlaskClient, url: str, **headers: str) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Return the status, the error without its request id, and the headers of this error alone."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    response = client.get(url, headers={"X-Request-Id": REQUEST_ID, **sent})
    body = response.get_json()
    assert list(body) == ["error"]
    assert body["error"].pop("request_id") == response.headers.pop("X-Request-Id") == REQUEST_ID
    assert response.headers.pop("Content-Type") == "application/json"
    assert response.headers.pop("Cache-Control") == "no-store"
    assert int(response.headers.pop("Content-Length")) == len(response.data)
    return response.status_code, body["error"], dict(response.headers)


def raising_url(app: Flask, error: Exception) -> str:
    """Add a view that raises `error`, and return its path."""

    @app.get("/raises")
    def raises() -> str:
        raise error

    return "/raises"


def test_missing_key(app: Flask) -> None:
    message = "a valid API key is required: send 'Authorization: Bearer evr_…'"
    status, error, headers = get_error(app.test_client(), "/v1/sessions")
    assert (status, error) == (401, {"code": "unauthorized", "message": message})
    assert headers == {"WWW-Authenticate": "Bearer"}
    assert "evr_…" in app.test_client().get("/v1/sessions").text  # not escaped


def test_other_organization(client: FlaskClient) -> None:
    message = "X-Org-Id must be the organization of this API key; correct it or leave it out"
    error = {"code": "organization_mismatch", "message": message}
    assert get_error(client, "/v1/sessions", X_Org_Id="org_2") == (403, error, {})


def test_invalid_arguments(client: FlaskClient) -> None:
    status, error, headers = get_error(client, "/v1/sessions?ofset=1&limit=0&x=1&a=1")
    limit = "must be from 1 to 100; got '0'"
    arguments = "agent_id, created_after, created_before, status, tag, search, offset, limit"
    unknown = f"is not an argument; this path takes {arguments}"
    assert (status, headers) == (400, {})
    assert list(error) == ["code", "message", "fields"]
    assert error["code"] == "invalid_request"
    assert error["message"] == f"ofset {unknown}; limit {limit}; x {unknown}; a {unknown}"  # in the order given
    assert error["fields"] == {"ofset": [unknown], "limit": [limit], "x": [unknown], "a": [unknown]}


def test_query_that_is_not_utf8(client: FlaskClient) -> None:
    message = "must be valid UTF-8"
    error = {"code": "invalid_request", "message": f"tag {message}", "fields": {"tag": [message]}}
    assert get_error(client, "/v1/sessions?tag=%FF") == (400, error, {})
    assert get_error(client, "/v1/sessions?%FF=1")[0] == 400


def test_path_that_does_not_exist(client: FlaskClient) -> None:
    status, error, headers = get_error(client, "/v2")
    assert (status, error["code"], headers) == (404, "not_found", {})
    assert error["message"].startswith("there is nothing at /v2; ")


@pytest.mark.parametrize("path", ["/v1", "/v1/sessions/", "/v1//sessions", "//v1/sessions", "/static/x", "/%ff"])
def test_other_paths_are_not_found(client: FlaskClient, path: str) -> None:
    status, error, _ = get_error(client, path)
    assert (status, error["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/sessions", "GET, HEAD, POST"),
        ("/v1/sessions/session_1", "DELETE, GET, HEAD, PATCH, PUT"),
        ("/v1/sessions/activity", "GET, HEAD"),
        ("/v1/sessions/stats", "GET, HEAD"),
        ("/v1/organization", "GET, HEAD"),
        ("/health", "GET, HEAD"),
        ("/", "GET, HEAD"),
        ("/web/icon.svg", "GET, HEAD"),
    ],
)
def test_other_methods_are_refused_with_allow(app: Flask, path: str, allowed: str) -> None:
    methods = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO"}
    for method in methods - set(allowed.split(", ")):
        response = app.test_client().open(path, method=method)
        assert (response.status_code, response.headers["Allow"]) == (405, allowed)
        error = response.get_json()["error"]
        assert error["code"] == "method_not_allowed"
        assert error["message"] == f"the method must be one of {allowed}; got {method}"


@pytest.mark.parametrize(
    ("error", "status", "code", "message"),
    [
        (BadRequest("a description"), 400, "invalid_request", "a description"),
        (RequestEntityTooLarge(), 413, "request_entity_too_large", "the body must have at most 1 MiB"),
        (ImATeapot(), 418, "i'm_a_teapot", "This server is a teapot, not a coffee machine"),
    ],
)
def test_http_errors_have_the_envelope(
    app: Flask, client: FlaskClient, error: Exception, status: int, code: str, message: str
) -> None:
    assert get_error(client, raising_url(app, error)) == (status, {"code": code, "message": message}, {})


def test_http_error_without_a_description_has_its_name(app: Flask, client: FlaskClient) -> None:
    class Teapot(HTTPException):
        code = 418

    _, error, _ = get_error(client, raising_url(app, Teapot()))
    assert error == {"code": "i'm_a_teapot", "message": "I'm a teapot"}


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("secret"),
        InternalServerError("secret"),
        BadGateway("secret"),
        sqlite3.ProgrammingError("secret"),
    ],
)
def test_internal_error_is_logged_and_says_nothing(
    app: Flask, client: FlaskClient, key: str, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    message = "an error of the service; it is logged with this request_id"
    body = {"code": "internal_error", "message": message}
    assert get_error(client, raising_url(app, error)) == (500, body, {})
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.ERROR, f"internal error (request_id {REQUEST_ID})")
    assert record.exc_info
    assert record.exc_info[1] is error
    assert "secret" in caplog.text
    assert key not in caplog.text


@pytest.mark.parametrize(
    "code", ["SQLITE_ERROR", "SQLITE_MISUSE", "SQLITE_RANGE", "SQLITE_MISMATCH", "SQLITE_CONSTRAINT"]
)
def test_sqlite_errors_of_our_statements_are_internal(app: Flask, client: FlaskClient, code: str) -> None:
    error = sqlite3.OperationalError("secret")
    error.sqlite_errorcode = getattr(sqlite3, code) | 0x100  # an extended code
    assert get_error(client, raising_url(app, error))[0] == 500


def test_sqlite_error_of_our_statement_is_unavailable_if_the_file_is_unusable(
    app: Flask, client: FlaskClient, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    error = sqlite3.OperationalError("no such table: sessions")
    error.sqlite_errorcode = sqlite3.SQLITE_ERROR
    database.path.write_bytes(b"x" * 8192)
    status, body, _ = get_error(client, raising_url(app, error))
    assert (status, body["code"]) == (503, "database_unavailable")
    assert f"{database.path} is damaged" in caplog.text


@pytest.mark.parametrize("code", ["SQLITE_BUSY", "SQLITE_CORRUPT", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_FULL"])
def test_sqlite_errors_of_the_file_are_unavailable(
    app: Flask, client: FlaskClient, caplog: pytest.LogCaptureFixture, code: str
) -> None:
    error = sqlite3.OperationalError("secret")
    error.sqlite_errorcode = getattr(sqlite3, code)
    unavailable = {"code": "database_unavailable", "message": "the database cannot be used now; retry shortly"}
    assert get_error(client, raising_url(app, error)) == (503, unavailable, {"Retry-After": "5"})
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert re.fullmatch(rf"database unavailable: .+ \(request_id {REQUEST_ID}\)", record.getMessage())


def test_missing_database_is_logged_with_its_path(
    app: Flask, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    database.path.unlink()
    status, error, headers = get_error(app.test_client(), "/health")
    assert (status, error["code"], headers) == (503, "database_unavailable", {"Retry-After": "5"})
    assert str(database.path) not in error["message"]
    assert f"{database.path} does not exist; run 'everruns init-db' (request_id {REQUEST_ID})" in caplog.text


def test_request_id_is_echoed_when_well_formed_and_created_otherwise(client: FlaskClient) -> None:
    longest = "a.B_9-" + "x" * 122
    assert client.get("/health", headers={"X-Request-Id": longest}).headers["X-Request-Id"] == longest
    invalid = ("", "a b", "x" * 129, "é", "a,b")
    created = {client.get("/health", headers={"X-Request-Id": sent}).headers["X-Request-Id"] for sent in invalid}
    assert len(created) == len(invalid)
    assert all(re.fullmatch("[0-9a-f]{32}", request_id) for request_id in created)
