"""Responses of the description: headers, errors, and the successful ones."""

from marshmallow import ValidationError

from everruns.api import errors
from everruns.api.bodies import MAX_BODY_BYTES
from tools import examples
from tools.schemas import Json, ref

# --- headers ---


def _header(description: str, schema: Json, example: object = None) -> Json:
    header = {"description": description, "required": True, "schema": schema}
    return header if example is None else {**header, "example": example}


HEADERS: Json = {
    "X-Request-Id": _header(
        "The id of the request: the one sent, or a new one.",
        {"type": "string", "pattern": f"^{errors.REQUEST_ID.pattern}$"},
        examples.REQUEST_ID,
    ),
    "ETag": _header("A hash of the content; send it back as `If-None-Match`.", {"type": "string"}, examples.ETAG),
    "Link": _header(
        "Links to other pages (RFC 8288): `first` and `last`, `prev` and `next` where they exist. They are query-only "
        "references, to be resolved against the URL of the request. Following `next` visits each session exactly once, "
        "even while new sessions are created.",
        {"type": "string"},
        examples.LINK,
    ),
    "Location": _header(
        "The address of what was created, relative to the URL of the request.",
        {"type": "string", "format": "uri-reference"},
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
    return {name: ref(name, "headers") for name in ("X-Request-Id", "Cache-Control", *names)}


# --- errors ---

# When each status is returned, and an example of each code.
# 414, 429, 431 and `unavailable` come from nginx, in the words of deploy/nginx.conf.
_ERRORS: list[tuple[str, list[errors.ApiError]]] = [
    (
        "Invalid arguments or body, a reference to an agent or harness that does not exist, or a malformed request. "
        "All errors are reported together.",
        [errors.invalid_request(ValidationError({"limit": ["must be from 1 to 100; got '0'"]}))],
    ),
    ("No API key, or one that is unknown, expired or revoked.", [errors.unauthorized()]),
    (
        "`X-Org-Id` is not the organization of the API key, or a write with a read-only key.",
        [errors.organization_mismatch(), errors.read_only_key()],
    ),
    (
        "No such path, or nothing with this id in the organization.",
        [errors.not_found("there is no session session_1 in this organization")],
    ),
    (
        "The path exists, but not with this method.",
        [
            errors.ApiError(
                405,
                "method_not_allowed",
                "the method must be one of GET, HEAD; got POST",
                headers={"Allow": "GET, HEAD"},
            )
        ],
    ),
    (
        "A session with this id exists.",
        [
            errors.ApiError(
                409, "conflict", f"{examples.SESSION_ID} exists; use PUT to replace it or PATCH to change it"
            )
        ],
    ),
    (
        f"The body has more than {MAX_BODY_BYTES} bytes.",
        [errors.ApiError(413, "request_entity_too_large", "the body must have at most 1 MiB")],
    ),
    (
        "Behind nginx: the request line is too long.",
        [errors.ApiError(414, "uri_too_long", "the request line must be at most 8 KiB")],
    ),
    (
        "The body is not JSON by its `Content-Type`, or is compressed.",
        [errors.ApiError(415, "unsupported_media_type", "Content-Type must be application/json")],
    ),
    (
        "Behind nginx: too many requests of this API key or this address.",
        [
            errors.ApiError(
                429, "too_many_requests", "too many requests; wait a second and retry", headers={"Retry-After": "1"}
            )
        ],
    ),
    (
        "Behind nginx: the headers are too long.",
        [
            errors.ApiError(
                431, "request_header_fields_too_large", "a header must be at most 8 KiB, and all headers 32 KiB"
            )
        ],
    ),
    ("An internal error, logged with the `request_id`.", [errors.internal_error()]),
    (
        "The database is missing, locked, full, corrupt or of another version; a write was sent to a replica; or, "
        "behind nginx, the service is overloaded or not running.",
        [
            errors.unavailable(),
            errors.read_only_replica(),
            errors.ApiError(
                503,
                "unavailable",
                "the service is unavailable or overloaded; retry in a few seconds",
                headers={"Retry-After": str(errors.RETRY_AFTER_SECONDS)},
            ),
        ],
    ),
]


def _error(description: str, codes: list[errors.ApiError]) -> Json:
    content = {
        "schema": ref("Error"),
        "examples": {error.code: {"value": error.envelope(examples.REQUEST_ID)} for error in codes},
    }
    return {
        "description": description,
        "headers": _headers(*codes[0].headers),
        "content": {"application/json": content},
    }


ERRORS: Json = {str(codes[0].status): _error(description, codes) for description, codes in _ERRORS}

OF_ANY_REQUEST = ("414", "429", "431", "500")
OF_LISTS = ("400", "401", "403", "503", *OF_ANY_REQUEST)
OF_ONE = ("404", *OF_LISTS)
OF_BODIES = ("413", "415", *OF_LISTS)


def error_responses(statuses: tuple[str, ...]) -> Json:
    """Return the references to these errors."""
    return {status: ref(status, "responses") for status in sorted(statuses)}


# --- successful responses ---


def _json(schema: str, example: object) -> Json:
    return {"application/json": {"schema": ref(schema), "example": example}}


def read(schema: str, example: object, *headers: str) -> Json:
    """Return the responses to GET: 200, and 304."""
    return document(_json(schema, example), "Vary", *headers)


def document(content: Json, *headers: str) -> Json:
    """Return the responses to GET of any content that has an `ETag`."""
    unchanged = [name for name in headers if name != "Link"]
    return {
        "200": {"description": "Found.", "headers": _headers("ETag", *headers), "content": content},
        "304": {
            "description": "Not modified: `If-None-Match` matches the `ETag`.",
            "headers": _headers("ETag", *unchanged),
        },
    }


def created(schema: str, example: object, links: Json) -> Json:
    """Return the response to a request that created something."""
    return {
        "201": {
            "description": "Created.",
            "headers": _headers("Location"),
            "content": _json(schema, example),
            "links": links,
        }
    }


def stored(schema: str, example: object) -> Json:
    """Return a response without an `ETag`."""
    return {"200": {"description": "Done.", "headers": _headers(), "content": _json(schema, example)}}


def removed() -> Json:
    """Return the response without content."""
    return {"204": {"description": "Done.", "headers": _headers()}}
