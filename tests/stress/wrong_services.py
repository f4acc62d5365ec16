"""Ways in which a service would be wrong, to test that the stress tests find them."""

import json
import time
from collections.abc import Callable

from flask import Flask, Response, request

from everruns import create_app


def accept_invalid_keys(app: Flask) -> None:
    """Return the last page of a key that is no longer valid."""
    pages: dict[str, bytes] = {}

    @app.after_request
    def alter(response: Response) -> Response:
        key = request.headers.get("Authorization", "")
        if response.status_code == 200 and request.path == "/v1/sessions":
            pages[key] = response.data
        elif response.status_code == 401 and key in pages:
            response.status_code, response.data = 200, pages[key]
        return response


def mix_snapshots(app: Flask) -> None:
    """Return the total of the previous response with the data of this one."""
    totals: dict[str, int] = {}

    @app.after_request
    def alter(response: Response) -> Response:
        if response.status_code == 200 and request.path == "/v1/sessions":
            body = response.get_json()
            total, totals[request.full_path] = totals.get(request.full_path, body["total"]), body["total"]
            response.data = json.dumps(body | {"total": total})
        return response


def keep_pages(app: Flask) -> None:
    """Return a page that was made up to half a second ago, whoever asks and whatever was written since."""
    pages: dict[str, tuple[float, bytes]] = {}

    @app.after_request
    def alter(response: Response) -> Response:
        if response.status_code == 200 and request.path == "/v1/sessions":
            made, body = pages.get(request.full_path, (0.0, b""))
            if time.monotonic() - made < 0.5:
                response.data = body
            else:
                pages[request.full_path] = time.monotonic(), response.data
        return response


def serve(name: str) -> Flask:
    """Return the application with the error `name`, for gunicorn."""
    app = create_app()
    wrong: Callable[[Flask], None] = globals()[name]
    wrong(app)
    return app
