"""Files that come with the program: where they are, and answers that are such a file."""

import hashlib
from pathlib import Path

from flask import Response, request

HERE = Path(__file__).parent


def find(name: str, folder: str = "") -> Path:
    """Where the file `name` is: beside this one in a wheel, in `folder` of a checkout.

    >>> find("schema.sql").name
    'schema.sql'
    """
    packaged = HERE / name
    return packaged if packaged.exists() else HERE.parent / folder / name


def answer(path: Path, content_type: str) -> Response:
    """The file at `path`, or a 304 when the reader has it: its ETag is a hash, so that every replica tells the same."""
    body = path.read_bytes()
    response = Response(body, content_type=content_type)
    etag = hashlib.sha256(body).hexdigest()[:32]
    response.set_etag(etag)
    response.headers["Cache-Control"] = "no-cache"
    # Not make_conditional: it answers If-Match by 412, which the API does not have.
    if request.if_none_match.contains_weak(etag):
        response.status_code = 304
    return response
