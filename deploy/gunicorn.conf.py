"""How gunicorn serves app:app: its size, its limits, its log, and its own refusals in our envelope."""

import json
import logging
import os
import re
import socket
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from gunicorn import util
from gunicorn.instrument.statsd import Statsd


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
worker_class = "gthread"
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
control_socket_disable = True
accesslog = "-"
statsd_host = _statsd()
statsd_prefix = "everruns"

_SHOWN_ARGUMENTS = {"agent_id", "offset", "limit", "days", "until"}
_KEY = re.compile(r"(evr_[A-Za-z0-9_-]{8})[A-Za-z0-9_-]+")


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
            "path": environ["PATH_INFO"],
            "query": [f"{name}={value}" if name in _SHOWN_ARGUMENTS else name for name, value in pairs],
            "status": resp.status_code,
            "bytes": resp.sent,
            "ms": round(request_time.total_seconds() * 1000, 3),
            "organization": environ.get("everruns.organization"),
            "key": key and key[1],
        }


logger_class = _Logger


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
