"""How gunicorn serves app:app. Its own refusals (a line too long, a malformed header) come in our envelope."""

import json
import socket
import uuid

from gunicorn import util

worker_class = "gthread"
workers = 2
threads = 4
# The longest that gunicorn allows: what is longer than a page of sessions ever needs is told by us, not by it.
limit_request_line = 8190
control_socket_disable = True


def _write_error(sock: socket.socket, status: int, reason: str, message: str) -> None:
    error = {
        "code": {400: "invalid_request", 500: "internal_error"}.get(status, reason.lower().replace(" ", "_")),
        "message": message or "a fault of the service, not of your request",
        "request_id": uuid.uuid4().hex,
    }
    body = json.dumps({"error": error}).encode("ascii") + b"\n"
    head = (
        f"HTTP/1.1 {status} {reason}\r\n"
        "Connection: close\r\n"
        "Content-Type: application/json\r\n"
        "Cache-Control: no-store\r\n"
        f"X-Request-Id: {error['request_id']}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    util.write_nonblock(sock, head.encode("ascii") + body)


util.write_error = _write_error
