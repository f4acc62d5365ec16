"""Every error in the one envelope, word for word: what was wrong, what would be right, and nothing internal."""

import json
import logging
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from werkzeug.exceptions import BadGateway, HTTPException, ImATeapot, InternalServerError, RequestEntityTooLarge
from werkzeug.exceptions import BadRequest as NoRequest

from everruns import create_app
from everruns.errors import ApiError
from tests.conftest import World

ID = "the-request"


def refused(
    world: World, url: str, key: str | None = None, **headers: str
) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Status, the error without its request id, and the headers that are this error's own."""
    response = world.get(key, url, X_Request_Id=ID, **headers)
    answer = json.loads(response.data)
    assert list(answer) == ["error"]
    assert answer["error"].pop("request_id") == response.headers.pop("X-Request-Id") == ID
    assert response.headers.pop("Content-Type") == "application/json"
    assert response.headers.pop("Cache-Control") == "no-store"
    assert int(response.headers.pop("Content-Length")) == len(response.data)
    assert response.data.endswith(b"}}\n")
    return response.status_code, answer["error"], dict(response.headers)


def raising(world: World, error: Exception) -> str:
    """The address of a view that raises `error`."""

    @world.app.get("/raises")
    def raises() -> str:
        raise error

    return "/raises"


def test_no_key(world: World) -> None:
    message = "a valid API key is needed: send 'Authorization: Bearer evr_…'"
    error = {"code": "unauthorized", "message": message}
    assert refused(world, "/v1/sessions") == (401, error, {"WWW-Authenticate": "Bearer"})
    assert "evr_…" in world.get(None).text  # as it is, not as an escape


def test_another_organization(world: World) -> None:
    _, key = world.organization()
    message = "X-Org-Id is not the organization of this API key; leave it out, or send that organization's id"
    error = {"code": "organization_mismatch", "message": message}
    assert refused(world, "/v1/sessions", key, X_Org_Id="org_2") == (403, error, {})


def test_arguments(world: World) -> None:
    _, key = world.organization()
    status, error, headers = refused(world, "/v1/sessions?ofset=1&limit=0&x=1&a=1", key)
    limit = "must be a whole number from 1 to 100, not '0'"
    unknown = "is not an argument here; there are agent_id, created_after, created_before, offset and limit"
    assert (status, headers) == (400, {})
    assert list(error) == ["code", "message", "fields"]
    assert error["code"] == "invalid_request"
    assert error["message"] == f"ofset {unknown}; limit {limit}; x {unknown}; a {unknown}"  # in the order given
    assert error["fields"] == {"ofset": [unknown], "limit": [limit], "x": [unknown], "a": [unknown]}


def test_nothing_there(world: World) -> None:
    error = {"code": "not_found", "message": "there is nothing at /v2; sessions are at /v1/sessions"}
    assert refused(world, "/v2") == (404, error, {})


def test_another_method(world: World) -> None:
    response = world.client.delete("/v1/sessions")
    assert response.status_code == 405
    assert response.headers["Allow"] == "GET, HEAD"
    error = response.get_json()["error"]
    assert (error["code"], error["message"]) == ("method_not_allowed", "DELETE is not possible here; use GET")


@pytest.mark.parametrize(
    ("error", "status", "code", "message"),
    [
        (NoRequest("a word on it"), 400, "invalid_request", "a word on it"),
        (
            RequestEntityTooLarge(),
            413,
            "request_entity_too_large",
            "The data value transmitted exceeds the capacity limit.",
        ),
        (ImATeapot(), 418, "i'm_a_teapot", "This server is a teapot, not a coffee machine"),
        (ApiError(409, "conflict", "so it is", headers={"X-More": "1"}), 409, "conflict", "so it is"),
    ],
)
def test_whatever_else_a_request_may_raise(
    world: World, error: Exception, status: int, code: str, message: str
) -> None:
    headers = {"X-More": "1"} if status == 409 else {}
    assert refused(world, raising(world, error)) == (status, {"code": code, "message": message}, headers)


def test_an_error_that_has_no_words_says_its_name(world: World) -> None:
    class Bare(HTTPException):
        code = 418

    assert refused(world, raising(world, Bare()))[1] == {"code": "i'm_a_teapot", "message": "I'm a teapot"}


OURS = "a fault of the service, not of your request; it is logged under this request_id"


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("inner"),
        InternalServerError("inner"),
        BadGateway("inner"),
        sqlite3.ProgrammingError("inner"),
    ],
)
def test_a_fault_of_ours(world: World, caplog: pytest.LogCaptureFixture, error: Exception) -> None:
    assert refused(world, raising(world, error)) == (500, {"code": "internal_error", "message": OURS}, {})
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.ERROR, f"internal error (request_id {ID})")
    assert record.exc_info
    assert record.exc_info[1] is error


@pytest.mark.parametrize("code", ["SQLITE_ERROR", "SQLITE_MISUSE", "SQLITE_RANGE", "SQLITE_MISMATCH"])
def test_what_sqlite_says_of_our_sql_is_a_fault_of_ours(world: World, code: str) -> None:
    error = sqlite3.OperationalError("inner")
    error.sqlite_errorcode = getattr(sqlite3, code) | 0x100  # an extended code means what its basic one does
    assert refused(world, raising(world, error))[0] == 500


@pytest.mark.parametrize("code", ["SQLITE_BUSY", "SQLITE_CORRUPT", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_FULL"])
def test_what_sqlite_says_of_the_file_is_unavailable(world: World, caplog: pytest.LogCaptureFixture, code: str) -> None:
    error = sqlite3.OperationalError("inner")
    error.sqlite_errorcode = getattr(sqlite3, code)
    unavailable = {
        "code": "database_unavailable",
        "message": "the database cannot be read at the moment; try again shortly",
    }
    assert refused(world, raising(world, error)) == (503, unavailable, {"Retry-After": "5"})
    (record,) = caplog.records
    assert record.getMessage() == f"database unavailable: inner (request_id {ID})"
    assert record.levelno == logging.ERROR


def test_no_database(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.path.unlink()
    status, error, headers = refused(world, "/health")
    assert (status, error["code"], headers) == (503, "database_unavailable", {"Retry-After": "5"})
    assert str(world.path) not in error["message"]
    assert f"{world.path} does not exist; run 'everruns init-db' first (request_id {ID})" in caplog.text


def test_an_error_is_never_kept_by_anyone(world: World) -> None:
    for url in ("/v1/sessions", "/nothing"):
        assert world.get(None, url).headers["Cache-Control"] == "no-store"


def test_each_setting_is_taken_as_it_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    given = {
        "DATABASE": "15",
        "DATABASE_TIMEOUT": "0.5",
        "READ_ONLY": "1",
        "MAX_REPLICA_LAG": "60",
        "CACHED_PAGES": "7",
    }
    for name, text in given.items():
        monkeypatch.setenv(f"EVERRUNS_{name}", text)
    config = create_app().config
    assert [config[name] for name in given] == [tmp_path / "15", 0.5, True, 60, 7]


def test_a_path_with_two_slashes_is_no_other_path(world: World) -> None:
    assert world.get(None, "//v1/sessions").status_code == 404
    assert world.get(None, "/v1//sessions").status_code == 404
