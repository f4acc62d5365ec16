"""The page at `/`, for a browser: plain files, served with a Content-Security-Policy that lets nothing else in."""

import hashlib
from pathlib import Path

from flask import Response, request
from werkzeug.exceptions import NotFound

FOLDER = Path(__file__).with_name("page")
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FILES = {path.name: KINDS[path.suffix] for path in FOLDER.iterdir() if path.suffix in KINDS}

# Nothing inline, nothing from elsewhere; and a script cannot turn text into markup, by the browser's own check.
POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
)


def serve(name: str) -> Response:
    """The file `name` of the page, or a 304 when the reader has it; raises `NotFound` when there is no such file."""
    kind = FILES.get(name)
    if kind is None:
        raise NotFound
    body = (FOLDER / name).read_bytes()
    response = Response(body, content_type=f"{kind}; charset=utf-8")
    response.set_etag(hashlib.sha256(body).hexdigest()[:32])
    response.headers["Cache-Control"] = "no-cache"
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.make_conditional(request)
    return response
