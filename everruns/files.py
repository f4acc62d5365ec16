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
    response.set_etag(hashlib.sha256(body).hexdigest()[:32])
    response.headers["Cache-Control"] = "no-cache"
    response.make_conditional(request)
    return response
