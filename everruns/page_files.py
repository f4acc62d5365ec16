"""The page at `/`, for a browser: plain files, served with a Content-Security-Policy that lets nothing else in."""

from flask import Response
from werkzeug.exceptions import NotFound

from everruns import files

FOLDER = files.HERE / "page"
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
    response = files.answer(FOLDER / name, f"{kind}; charset=utf-8")
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
