"""Write everruns/web/openapi.json (OpenAPI 3.1) and everruns/web/llms.txt. Run by `make describe`.

Query arguments come from the schemas that validate them, most errors from the classes that are raised. Responses are
described in tools/responses.py. Tests compare both files with the running service.
"""

import json
from pathlib import Path
from typing import Any, cast

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import Schema, fields

import everruns
from everruns.api import errors
from everruns.ids import BASE_HARNESS, id_pattern
from everruns.schemas.fields import Day, PublicId, Timestamp, WholeNumber
from everruns.schemas.queries import ActivityQuerySchema, SessionsQuerySchema
from tools import llms, responses

OPENAPI_VERSION = "3.1.0"
WEB = Path(everruns.__file__).parent / "web"

Json = dict[str, Any]

ABOUT = """\
A part of the Everruns API, served from one SQLite file.

Every operation also accepts `HEAD`. Other methods get `405` with `Allow`, other paths `404`. All errors have the same
shape: rely on `code`, since the wording of `message` may change. Ignore keys that you do not know, since later versions
may add some."""

KEY = """\
`Authorization: Bearer evr_…`, the scheme in any letter case. `ApiKey evr_…` and the bare key are accepted too: the
official SDKs send the bare key. A key belongs to one organization and gives access to its sessions only."""

AGENT_ID = "agent_019c60b1e40c7000b1f7c2a86de0394f"
ORGANIZATION_ID = "org_00000000000000000000000000000001"
REQUEST_ID = "0a6d3f5c9b1e4f0e8d7c6b5a49382716"
ETAG = 'W/"5d41402abc4b2a76b9719d911017c592"'
LINK = (
    '<?offset=0&limit=20>; rel="first", '
    '<?created_before=2026-02-27T19:01:17.685983Z&offset=20&limit=20>; rel="next", '
    '<?created_before=2026-02-27T19:01:17.685983Z&offset=140&limit=20>; rel="last"'
)
SESSION = {
    "id": "session_f735efe608d180113e940bb452d31e1b",
    "organization_id": ORGANIZATION_ID,
    "harness_id": BASE_HARNESS,
    "agent_id": AGENT_ID,
    "title": "Why is checkout slow?",
    "tags": ["debugging", "urgent"],
    "model_id": "model_01933b5a000070008000000000000201",
    "capabilities": [{"ref": "memory", "config": {"scope": "session"}}, {"ref": "openui"}],
    "status": "idle",
    "features": ["file_system", "openui", "schedules"],
    "created_at": "2026-02-27T19:01:17.685982Z",
    "updated_at": "2026-02-27T20:00:46.685982Z",
}
ACTIVITY = {
    "data": [{"day": "2026-02-26", "sessions": 3}, {"day": "2026-02-27", "sessions": 0}],
    "total": 3,
    "days": 2,
    "until": "2026-02-27",
}


# --- parameters ---

# The description and an example of each query argument.
ARGUMENTS: dict[str, tuple[str, object]] = {
    "agent_id": (
        "Only sessions of this agent; an agent that does not exist gives an empty page. Dashes and letter case do not "
        "matter.",
        AGENT_ID,
    ),
    "created_after": (
        "Only sessions created at this time or later. ISO 8601 with a zone; write + as %2B.",
        "2026-02-01T00:00:00Z",
    ),
    "created_before": (
        "Only sessions created before this time, which must not be before created_after.",
        "2026-03-01T00:00:00Z",
    ),
    "offset": ("How many sessions to skip.", 20),
    "limit": ("How many sessions to return at most.", 10),
    "days": ("How many days to return.", 7),
    "until": ("The last day, in UTC; today unless given.", "2026-02-27"),
}


def _json_schema(_: Any, field: fields.Field[Any], **kwargs: Any) -> Json:
    """Return the JSON Schema of a field type that apispec does not know."""
    if isinstance(field, WholeNumber):
        return {"type": "integer", "minimum": field.minimum, "maximum": field.maximum}
    if isinstance(field, PublicId):
        return {"type": "string", "pattern": f"^{id_pattern(field.prefix)}$"}
    if isinstance(field, Timestamp):
        return {"type": "string", "format": "date-time"}
    if isinstance(field, Day):
        from_year_2 = "^(000[2-9]|00[1-9]|0[1-9]|[1-9])[0-9-]+$"
        return {"type": "string", "format": "date", "pattern": from_year_2}
    return {}


def _query_parameters(converter: OpenAPIConverter, schema: type[Schema]) -> list[Json]:
    """Return the query parameters that `schema` accepts."""
    parameters = []
    for name, field in schema().fields.items():
        rule = converter.field2property(field)
        if rule["default"] is None:
            del rule["default"]  # may be omitted, but not null
        description, example = ARGUMENTS[name]
        parameter = {"in": "query", "name": name, "description": description, "example": example}
        parameters.append({**parameter, "required": field.required, "schema": rule})
    return parameters


HEADER_PARAMETERS: Json = {
    "X-Org-Id": {
        "description": "The id of the key's organization, as a check. Dashes and letter case are ignored.",
        "schema": {"type": "string", "pattern": f"^{id_pattern('org')}$"},
        "example": ORGANIZATION_ID,
    },
    "X-Request-Id": {
        "description": "An id for the response and the log: 1 to 128 of `A-Za-z0-9._-`. Replaced by a new one if "
        "invalid or absent.",
        "schema": {"type": "string"},
        "example": REQUEST_ID,
    },
    "If-None-Match": {
        "description": "The `ETag` of an earlier response, a list of such, or `*`. If one matches, the response is "
        "`304`.",
        "schema": {"type": "string"},
        "example": ETAG,
    },
}


# --- responses ---


def _header(description: str, schema: Json, example: object = None) -> Json:
    header = {"description": description, "required": True, "schema": schema}
    return header if example is None else {**header, "example": example}


RESPONSE_HEADERS: Json = {
    "X-Request-Id": _header(
        "The id of the request: the one sent, or a new one.",
        {"type": "string", "pattern": f"^{errors.REQUEST_ID.pattern}$"},
        REQUEST_ID,
    ),
    "ETag": _header("A hash of the content; send it back as `If-None-Match`.", {"type": "string"}, ETAG),
    "Link": _header(
        "Links to other pages (RFC 8288): `first` and `last`, `prev` and `next` where they exist. They are query-only "
        "references, to be resolved against the URL of the request. Following `next` visits each session exactly once, "
        "even while new sessions are created.",
        {"type": "string"},
        LINK,
    ),
    "Cache-Control": _header("How the response may be cached.", {"type": "string"}),
    "Vary": _header("The response depends on the API key.", {"type": "string"}, "Authorization"),
    "WWW-Authenticate": _header("The authentication scheme.", {"type": "string"}, "Bearer"),
    "Allow": _header("The allowed methods.", {"type": "string"}, "GET, HEAD"),
    "Retry-After": _header(
        "Seconds to wait before a retry.", {"type": "integer", "minimum": 1}, errors.RETRY_AFTER_SECONDS
    ),
}


def _headers(*names: str) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


# When each error is returned, and an example. 414, 429 and 431 come from nginx, in the words of deploy/nginx.conf.
_ERRORS: list[tuple[str, errors.ApiError]] = [
    (
        "Invalid arguments, or a malformed request. All errors are reported together.",
        errors.InvalidRequest({"limit": ["must be from 1 to 100; got '0'"]}),
    ),
    ("No API key, or one that is unknown, expired or revoked.", errors.Unauthorized()),
    ("`X-Org-Id` is not the organization of the API key.", errors.OrganizationMismatch()),
    ("No such path.", errors.NotFound("/v1/session")),
    ("The method is not GET or HEAD.", errors.MethodNotAllowed("POST", ["GET", "HEAD"])),
    (
        "Behind nginx: the request line is too long.",
        errors.ApiError(414, "uri_too_long", "the request line is longer than 8 KiB"),
    ),
    (
        "Behind nginx: too many requests of this API key or this address.",
        errors.ApiError(
            429,
            "too_many_requests",
            "too many requests; wait a second, and send If-None-Match to make each cheaper",
            headers={"Retry-After": "1"},
        ),
    ),
    (
        "Behind nginx: the headers are too long.",
        errors.ApiError(
            431, "request_header_fields_too_large", "a header is longer than 8 KiB, or all together are too long"
        ),
    ),
    ("An internal error, logged with the `request_id`.", errors.InternalError()),
    (
        "The database is missing, locked, corrupt or of another version; or, behind nginx and with the code "
        "`unavailable`, the service is overloaded or not running.",
        errors.Unavailable(),
    ),
]
ERRORS = {str(error.status): (description, error) for description, error in _ERRORS}
ERRORS_OF_ANY_REQUEST = ("414", "429", "431", "500")
ERRORS_OF_KEYS = ("400", "401", "403", "503")


def _content(schema: type[Schema], example: Json) -> Json:
    return {"application/json": {"schema": schema, "example": example}}


def _error_response(description: str, error: errors.ApiError) -> Json:
    headers = _headers("X-Request-Id", "Cache-Control", *error.headers)
    content = _content(responses.ErrorSchema, error.envelope(REQUEST_ID))
    return {"description": description, "headers": headers, "content": content}


def _responses(description: str, content: Json, headers: tuple[str, ...], *statuses: str) -> Json:
    """Return the responses of an operation by status: 200, 304 if it has an ETag, and errors."""
    headers = ("X-Request-Id", "Cache-Control", *headers)
    by_status: Json = {"200": {"description": description, "headers": _headers(*headers), "content": content}}
    if "ETag" in headers:
        by_status["304"] = {
            "description": "Not modified: `If-None-Match` matches the `ETag`.",
            "headers": _headers(*(name for name in headers if name != "Link")),
        }
    return by_status | {status: status for status in sorted((*statuses, *ERRORS_OF_ANY_REQUEST))}


# --- operations ---


def _list_sessions(converter: OpenAPIConverter) -> Json:
    example = {"data": [SESSION], "total": 150, "offset": 0, "limit": 20}
    return {
        "operationId": "list_sessions",
        "tags": ["sessions"],
        "summary": "List sessions",
        "description": "Return a page of sessions, newest first, and the exact total of all that match. An unknown, "
        "repeated or empty argument is refused. An offset past the end returns no data and the true total.",
        "parameters": [
            *_query_parameters(converter, SessionsQuerySchema),
            "X-Org-Id",
            "X-Request-Id",
            "If-None-Match",
        ],
        "responses": _responses(
            "The page.",
            _content(responses.SessionsPageSchema, example),
            ("ETag", "Link", "Vary"),
            *ERRORS_OF_KEYS,
        ),
    }


def _list_activity(converter: OpenAPIConverter) -> Json:
    return {
        "operationId": "list_activity",
        "tags": ["sessions"],
        "summary": "Count sessions per day",
        "description": "Return the number of sessions created on each of the given days, in UTC, oldest first. An "
        "unknown, repeated or empty argument is refused.",
        "parameters": [
            *_query_parameters(converter, ActivityQuerySchema),
            "X-Org-Id",
            "X-Request-Id",
            "If-None-Match",
        ],
        "responses": _responses(
            "The days.", _content(responses.ActivitySchema, ACTIVITY), ("ETag", "Vary"), *ERRORS_OF_KEYS
        ),
    }


def _get_health() -> Json:
    example = {"status": "ok", "version": everruns.__version__}
    return {
        "operationId": "get_health",
        "tags": ["service"],
        "summary": "Check that the service works",
        "security": [],
        "parameters": ["X-Request-Id"],
        "responses": _responses("The service works.", _content(responses.HealthSchema, example), (), "503"),
    }


def _get_document(operation_id: str, summary: str, content_type: str, schema: Json) -> Json:
    return {
        "operationId": operation_id,
        "tags": ["service"],
        "summary": summary,
        "security": [],
        "parameters": ["X-Request-Id", "If-None-Match"],
        "responses": _responses("The document.", {content_type: {"schema": schema}}, ("ETag",)),
    }


# --- documents ---


def _schema_name(schema: type[Schema] | Schema) -> str:
    schema_type = schema if isinstance(schema, type) else type(schema)
    return schema_type.__name__.removesuffix("Schema")


def openapi() -> Json:
    """Return the OpenAPI 3.1 document."""
    plugin = MarshmallowPlugin(_schema_name)
    spec = APISpec(
        title="Everruns Sessions",
        version=everruns.__version__,
        openapi_version=OPENAPI_VERSION,
        plugins=[plugin],
        info={
            "summary": "The agent sessions of an organization, newest first, with exact totals.",
            "description": ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        servers=[{"url": "../"}],  # relative to /api-doc/openapi.json, so that it holds under any prefix
        security=[{"key": []}],
        tags=[
            {"name": "sessions", "description": "Sessions of the API key's organization."},
            {"name": "service", "description": "The service itself. No API key is needed."},
        ],
    )
    converter = cast(OpenAPIConverter, plugin.converter)  # set when the plugin joins the specification
    converter.add_attribute_function(_json_schema)  # type: ignore[no-untyped-call]
    spec.components.security_scheme(
        "key", {"type": "http", "scheme": "bearer", "bearerFormat": "evr_…", "description": KEY}
    )
    for name, parameter in HEADER_PARAMETERS.items():
        spec.components.parameter(name, "header", parameter)
    for name, header in RESPONSE_HEADERS.items():
        spec.components.header(name, header)
    for status, (description, error) in ERRORS.items():
        spec.components.response(status, _error_response(description, error))
    openapi_json = _get_document("get_openapi", "Get this OpenAPI document", "application/json", {"type": "object"})
    llms_txt = _get_document(
        "get_llms_txt", "Get a short description for language models", "text/plain; charset=utf-8", {"type": "string"}
    )
    spec.path("/v1/sessions", operations={"get": _list_sessions(converter)})
    spec.path("/v1/sessions/activity", operations={"get": _list_activity(converter)})
    spec.path("/health", operations={"get": _get_health()})
    spec.path("/api-doc/openapi.json", operations={"get": openapi_json})
    spec.path("/llms.txt", operations={"get": llms_txt})
    return {"openapi": OPENAPI_VERSION, **spec.to_dict()}


def documents() -> dict[str, str]:
    """Return the text of each file by its name in everruns/web/."""
    description = openapi()
    return {
        "openapi.json": json.dumps(description, indent=2, ensure_ascii=False) + "\n",
        "llms.txt": llms.text(description),
    }


if __name__ == "__main__":
    for name, text in documents().items():
        (WEB / name).write_text(text, "utf-8")
