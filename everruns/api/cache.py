"""ETags, and the recent responses that each thread keeps. After a commit, none of them is found."""

import hashlib
import sqlite3
import threading
from collections.abc import Callable
from typing import NamedTuple

from flask import Response, current_app, request

from everruns.records import Organization
from everruns.store import db

MAX_BODY_BYTES = 128 * 1024  # larger responses are not kept

ViewResult = str | tuple[str, dict[str, str]]  # JSON, and headers that depend on it


class Content(NamedTuple):
    """The body of a response, and its headers."""

    body: bytes
    headers: dict[str, str]
    etag: str


class Cache(threading.local):
    """The last `size` responses that a thread made."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.contents: dict[tuple[object, ...], Content] = {}


def respond(
    connection: sqlite3.Connection, organization: Organization, key: object, make: Callable[[], ViewResult]
) -> Response:
    """Return 304 if `If-None-Match` matches, else the content of `make`.

    `key` identifies it within organization, path and database version.
    """
    cache: Cache = current_app.extensions["everruns.cache"]
    version = (connection, db.data_version(connection))  # the numbers of two connections cannot be compared
    cache_key = (version, organization.id, request.path, key)
    content = cache.contents.get(cache_key)
    if content is None:
        content = _content(make())
        if len(content.body) <= MAX_BODY_BYTES:
            cache.contents[cache_key] = content
        if len(cache.contents) > cache.size:
            del cache.contents[next(iter(cache.contents))]  # the oldest
    if "HTTP_IF_NONE_MATCH" in request.environ and request.if_none_match.contains_weak(content.etag):
        headers = {name: content.headers[name] for name in ("ETag", "Cache-Control", "Vary")}
        return Response(status=304, headers=headers, content_type="")
    return Response(content.body, headers=content.headers)


def _content(result: ViewResult) -> Content:
    text, headers = result if isinstance(result, tuple) else (result, {})
    body = text.encode() + b"\n"
    etag = hashlib.sha256(body).hexdigest()[:32]
    common = {"ETag": f'W/"{etag}"', "Cache-Control": "private, no-cache", "Vary": "Authorization"}
    return Content(body, {"Content-Type": "application/json", **common, **headers}, etag)
