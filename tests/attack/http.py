"""A strict reader of HTTP answers, and what each answer of the service must be."""

import json
import re
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

CODES = {
    400: {"invalid_request"},
    401: {"unauthorized"},
    403: {"organization_mismatch"},
    404: {"not_found"},
    405: {"method_not_allowed"},
    413: {"request_entity_too_large"},
    414: {"uri_too_long"},
    417: {"expectation_failed"},
    429: {"too_many_requests"},
    431: {"request_header_fields_too_large"},
    503: {"database_unavailable", "unavailable"},
}

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2}) [\t\x20-\x7e\x80-\xff]*")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\x20-\x7e\t\x80-\xff]*?)[ \t]*")
_KIND = re.compile(rb"application/json|text/[a-z]+(; ?charset=utf-8)?|image/[a-z+]+")
_ONCE = (b"content-length", b"content-type", b"x-request-id", b"etag", b"connection", b"transfer-encoding")
_TELLING = (b"traceback", b"sqlite", b'file "', b"site-packages", b"everruns/", b"gunicorn/", b"<html", b".py")


class Broken(Exception):
    """A promise is broken; the message says which."""


class Answer(NamedTuple):
    """An answer: header names in lower case."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes
    head_only: bool

    @property
    def closes(self) -> bool:
        """Whether the server ends the connection after it."""
        return self.headers.get(b"connection", b"").lower() == b"close"


def answers(data: bytes, may_be_head: bool, ended: bool = True) -> tuple[list[Answer], int]:
    """All final answers in `data`, and how many bytes they take; raises `Broken` for what is no HTTP.

    An answer to HEAD has no body whatever its length says. Who sent bytes at random does not know which of them were
    HEAD: with `may_be_head`, where the next answer or nothing stands in the place of a body, there is none. Without
    `ended`, an answer of which a part is missing is left.
    """
    found: list[Answer] = []
    at = 0
    while at < len(data):
        end = data.find(b"\r\n\r\n", at)
        if end < 0:
            if ended:
                raise Broken(f"an answer's head is cut off: {data[at : at + 200]!r}")
            break
        status, headers = _head(data[at:end])
        at_body = end + 4
        if status < 200:
            at = at_body
            continue
        head_only = may_be_head and data[at_body : at_body + 5] in (b"", b"HTTP/")
        length = 0 if head_only else _length(status, headers)
        if at_body + length > len(data):
            if ended:
                raise Broken(f"a body has {len(data) - at_body} bytes of {length}: {data[at : at + 300]!r}")
            break
        found.append(Answer(status, headers, data[at_body : at_body + length], head_only))
        at = at_body + length
    return found, at


def _head(head: bytes) -> tuple[int, dict[bytes, bytes]]:
    line, *fields = head.split(b"\r\n")
    matched = _STATUS_LINE.fullmatch(line)
    if matched is None:
        raise Broken(f"no status line: {line[:200]!r}")
    headers: dict[bytes, bytes] = {}
    for field in fields:
        pair = _FIELD.fullmatch(field)
        if pair is None:
            raise Broken(f"no header: {field[:200]!r}")
        name = pair[1].lower()
        if name in headers and name in _ONCE:
            raise Broken(f"{name!r} is there twice")
        headers[name] = pair[2]
    return int(matched[1]), headers


def _length(status: int, headers: dict[bytes, bytes]) -> int:
    if b"transfer-encoding" in headers:
        raise Broken(f"no answer of ours needs {headers[b'transfer-encoding']!r}")
    if status in (204, 304):
        return 0
    length = headers.get(b"content-length")
    if length is None or not length.isdigit():
        raise Broken(f"Content-Length is {length!r}")
    return int(length)


def judge(answer: Answer, sent: bytes) -> None:
    """Raise `Broken` unless `answer` keeps every promise; `sent` is what it answers, which it may show."""
    if answer.status >= 500:
        raise Broken(f"{answer.status}: {answer.body[:300]!r}")
    identity = answer.headers.get(b"x-request-id")
    if identity is None or not re.fullmatch(rb"[A-Za-z0-9._-]{1,128}", identity):
        raise Broken(f"X-Request-Id is {identity!r}")
    if answer.status == 304 or answer.head_only:
        if answer.body:
            raise Broken(f"{answer.status} has a body")
        return
    kind = answer.headers.get(b"content-type", b"")
    if answer.status not in (200, *CODES) or not _KIND.fullmatch(kind):
        raise Broken(f"{answer.status}, and Content-Type is {kind!r}: {answer.body[:200]!r}")
    if answer.status == 200 and kind != b"application/json":
        return  # the page to look at, and the like
    decoded = _json(answer.body)
    if answer.status >= 400:
        envelope(answer.status, decoded, identity.decode())
        _tells_nothing(answer.body, sent)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8", "strict"))
    except ValueError as error:
        raise Broken(f"the body is no JSON ({error}): {body[:300]!r}") from None


def envelope(status: int, decoded: Any, identity: str) -> None:
    """Raise `Broken` unless `decoded` is the one envelope of an error."""
    error = decoded.get("error") if isinstance(decoded, dict) and len(decoded) == 1 else None
    if not isinstance(error, dict) or not {"code", "message", "request_id"} <= set(error) <= {
        "code",
        "message",
        "fields",
        "request_id",
    }:
        raise Broken(f"{status} is not in the envelope: {str(decoded)[:300]}")
    if error["code"] not in CODES.get(status, ()):
        raise Broken(f"{status} has the code {error['code']!r}")
    if not isinstance(error["message"], str) or not error["message"]:
        raise Broken(f"{status} has no message")
    if error["request_id"] != identity:
        raise Broken(f"request_id is {error['request_id']!r}, and X-Request-Id {identity!r}")


def _tells_nothing(body: bytes, sent: bytes) -> None:
    lowered = body.lower()
    for word in _TELLING:
        if word in lowered and word not in sent.lower() and word not in unquote_to_bytes(sent).lower():
            raise Broken(f"the body tells {word!r}: {body[:300]!r}")
