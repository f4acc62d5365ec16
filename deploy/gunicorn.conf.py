"""How gunicorn serves app:app: its size, its limits, its log, its patience, and its own refusals in our envelope."""

import json
import logging
import os
import re
import socket
import sys
import time
import uuid
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from gunicorn import util
from gunicorn.instrument.statsd import Statsd
from gunicorn.workers import gthread


def _workers() -> int:
    """`EVERRUNS_WORKERS`, or as many as there are cores."""
    text = os.environ.get("EVERRUNS_WORKERS") or str(len(os.sched_getaffinity(0)))
    if not re.fullmatch("[1-9][0-9]{0,2}", text):
        raise SystemExit(f"EVERRUNS_WORKERS must be a whole number from 1 to 999, not {text!r}")
    return int(text)


def _statsd() -> str | None:
    """`EVERRUNS_STATSD`, where numbers are sent."""
    text = os.environ.get("EVERRUNS_STATSD") or None
    if text and not re.fullmatch(r"[^\s:]+:[0-9]{1,5}|\[[0-9a-fA-F:]+\]:[0-9]{1,5}", text):
        raise SystemExit(f"EVERRUNS_STATSD must be host:port, not {text!r}")
    return text


bind = os.environ.get("EVERRUNS_BIND", "127.0.0.1:8000")  # or unix:/path; systemd's socket goes before both
workers = _workers()
threads = 4
timeout = 30
graceful_timeout = 30
keepalive = 75  # longer than nginx keeps an idle connection: it is nginx that closes, and so knows
# In memory: a slow disk must not look like a stuck worker.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 # nosec B108
# The longest that gunicorn allows: what is longer than a page of sessions ever needs is told by us, not by it.
limit_request_line = 8190
limit_request_fields = 100
limit_request_field_size = 8190
forwarded_allow_ips = "127.0.0.1,::1"
forwarder_headers = ""  # no header may say where the application is: a SCRIPT_NAME that is none would be a 500
control_socket_disable = True
accesslog = "-"
statsd_host = _statsd()
statsd_prefix = "everruns"

REQUEST_SECONDS = 10.0  # a request has arrived, and its answer is taken, in this time
PARTING_SECONDS = 1.0  # for a client that is still sending, and would not see its answer; others are not waited for

_REFUSALS = {  # where gunicorn's own words help nobody
    417: "Expect can only be 100-continue; leave it out",
    431: f"a header is longer than {limit_request_field_size} bytes, or there are more than {limit_request_fields}",
    500: "a fault of the service, not of your request",
}
_SHOWN_ARGUMENTS = {"agent_id", "offset", "limit", "days", "until"}
_KEY = re.compile(r"(evr(?:_|%(?:25)*5[Ff])[A-Za-z0-9_-]{8})[A-Za-z0-9_-]+")


class _Lines(logging.Formatter):
    """A line a record: JSON, or words for a person at a terminal. No API key is ever whole."""

    def __init__(self, for_a_person: bool) -> None:
        super().__init__()
        self.for_a_person = for_a_person

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).replace(tzinfo=None)
        line: dict[str, Any] = {"time": time.isoformat(timespec="milliseconds") + "Z"}
        if isinstance(record.args, dict) and record.name == "gunicorn.access":
            line |= record.args
        else:
            line |= {"level": record.levelname.lower(), "message": record.getMessage(), "process": record.process}
            if record.exc_info:
                line["traceback"] = self.formatException(record.exc_info)
        return _KEY.sub(r"\1...", self._told(line) if self.for_a_person else json.dumps(line))

    def _told(self, line: dict[str, Any]) -> str:
        if "status" in line:
            question = "&".join(line["query"])
            # As in JSON: what was asked for must not draw on a terminal, nor pass for a line of its own.
            url = json.dumps(line["path"] + ("?" + question if question else ""))[1:-1]
            words = f"{line['method']} {url} {line['status']} {line['bytes']} B {line['ms']} ms"
            words += f" {line['organization'] or line['key'] or '-'} {line['id']}"
        else:
            words = "\n".join(filter(None, [f"{line['level']}: {line['message']}", line.get("traceback")]))
        return f"{line['time'][11:23]} {words}"


class _Logger(Statsd):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's log and the application's in one form; numbers to statsd where one is configured."""

    atoms_wrapper_class = dict

    def setup(self, cfg: Any) -> None:
        """Give every log its form."""
        super().setup(cfg)
        application = logging.getLogger("everruns")
        application.handlers = [logging.StreamHandler(sys.stderr)]
        application.propagate = False
        for log in (self.error_log, self.access_log, application):
            for handler in log.handlers:
                stream = getattr(handler, "stream", None)
                handler.setFormatter(_Lines(for_a_person=stream is not None and stream.isatty()))

    def atoms(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> dict[str, Any]:
        """What is told of a request."""
        key = _KEY.search(environ.get("HTTP_AUTHORIZATION", ""))
        pairs = parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        return {
            "id": dict(resp.headers).get("X-Request-Id"),
            "method": environ["REQUEST_METHOD"],
            "path": environ.get("PATH_INFO", req.path),  # where gunicorn refuses the headers, there is less
            "query": [f"{name}={value}" if name in _SHOWN_ARGUMENTS else name for name, value in pairs],
            "status": int(resp.status.split()[0]),
            "bytes": resp.sent,
            "ms": round(request_time.total_seconds() * 1000, 3),
            "organization": environ.get("everruns.organization"),
            "key": key and key[1],
        }


logger_class = _Logger


class _Worker(gthread.ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's worker, of which no client holds a thread for long, nor the one thread that accepts all others."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.deadlines: dict[Any, float] = {}

    def handle(self, conn: Any) -> Any:
        """Answer one request of a connection, in a thread; a connection that says nothing yet does not get one."""
        if self.alive and not conn.initialized and not conn.wait_for_data(0):
            return gthread._DEFER
        self.deadlines[conn] = time.monotonic() + REQUEST_SECONDS
        try:
            kept = super().handle(conn)
            if kept is gthread._DEFER:  # it stops, and has waited
                kept = False
            if not kept:
                _part(conn.sock)
            return kept
        finally:
            del self.deadlines[conn]

    def finish_request(self, conn: Any, fs: Any) -> None:
        """What comes after that, in the thread that accepts; who connected right before a stop is still answered."""
        if not self.alive and not fs.cancelled() and not fs.exception() and fs.result() is gthread._DEFER:
            self.enqueue_req(conn)
        else:
            super().finish_request(conn, fs)

    def murder_keepalived(self, force: bool = False) -> None:
        """Once a second: end what has lasted too long; the thread that waits there finds the connection closed."""
        super().murder_keepalived(force)
        for conn, deadline in list(self.deadlines.items()):
            if time.monotonic() > deadline:
                with suppress(OSError):
                    conn.sock.shutdown(socket.SHUT_RDWR)


worker_class = _Worker


def pre_request(worker: _Worker, req: Any) -> None:
    """Answer a later HTTP/1 in the version that we speak: gunicorn would say of itself what the client said."""
    req.version = min(req.version, (1, 1))


def _part(sock: socket.socket) -> None:
    """End a connection when what is on its way has come: gunicorn would wait longer, and accept nobody meanwhile."""
    deadline = time.monotonic() + PARTING_SECONDS
    with suppress(OSError):
        sock.shutdown(socket.SHUT_WR)
        sock.settimeout(PARTING_SECONDS / 20)
        while sock.recv(65536) and time.monotonic() < deadline:
            pass
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _write_error(sock: socket.socket, status: int, reason: str, message: str) -> None:
    if status == 501:  # a transfer coding that there is not: no fault of the service
        status, reason = 400, "Bad Request"
    error = {
        "code": {400: "invalid_request", 500: "internal_error"}.get(status, reason.lower().replace(" ", "_")),
        "message": _REFUSALS.get(status, message),
        "request_id": uuid.uuid4().hex,
    }
    logging.getLogger("gunicorn.error").info("refused with %s (request_id %s)", status, error["request_id"])
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
