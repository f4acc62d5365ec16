"""gunicorn's settings for `app:app`, and its log as JSON."""

import json
import logging
import os
import re
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from gunicorn.instrument.statsd import Statsd

LOGGED_ARGUMENTS = {"agent_id", "status", "offset", "limit", "days", "until"}


def setting(name: str, default: str, pattern: str, rule: str) -> str:
    """Return the environment variable `name`; exit with one line when it does not match `pattern`."""
    text = os.environ.get(name) or default
    if not re.fullmatch(pattern, text):
        raise SystemExit(f"{name} must be {rule}; got {text!r}")
    return text


HOST_AND_PORT = r"([^\s:,]+|\[[0-9a-fA-F:]+\]):[0-9]{1,5}"
cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1

bind = setting("EVERRUNS_BIND", "127.0.0.1:8000", rf"{HOST_AND_PORT}|unix:/\S+", "host:port or unix:/path")
workers = int(setting("EVERRUNS_WORKERS", str(cores), "[1-9][0-9]{0,2}", "a whole number from 1 to 999"))
worker_class = "gthread"
threads = 4
timeout = 30
graceful_timeout = 30
keepalive = 75  # longer than nginx keeps an idle connection, so that only nginx closes one
# In memory, because a slow disk would look like a stuck worker.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 # nosec B108
limit_request_line = 8190
limit_request_fields = 100
limit_request_field_size = 8190
forwarded_allow_ips = "127.0.0.1,::1"
forwarder_headers = ""  # by default a client on this machine can send SCRIPT_NAME and get 500
control_socket_disable = True
accesslog = "-"
statsd_host = setting("EVERRUNS_STATSD", "", f"({HOST_AND_PORT})?", "host:port") or None
statsd_prefix = "everruns"


def on_exit(server: Any) -> None:
    """Move the write-ahead log into the database file; workers that exit at the same moment leave that undone."""
    from everruns import config
    from everruns.store.db import Database, DatabaseUnavailable

    with suppress(DatabaseUnavailable, SystemExit):
        settings = config.load()
        if not settings.read_only:
            Database(settings.database).checkpoint()


class JsonFormatter(logging.Formatter):
    """Formats a request or a message as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of `record`, without its line break."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {"time": time.replace("+00:00", "Z")}
        if record.name == "gunicorn.access" and isinstance(record.args, dict):
            line |= record.args
        else:
            line |= {"level": record.levelname.lower(), "message": record.getMessage(), "process": record.process}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


class JsonLogger(Statsd):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's logger, statsd included, with `JsonFormatter` for all loggers of the process."""

    atoms_wrapper_class = dict

    def setup(self, cfg: Any) -> None:
        """Give the handlers of gunicorn and of the application their format."""
        super().setup(cfg)
        logging.basicConfig(force=True)
        for log in (self.error_log, self.access_log, logging.getLogger()):
            for handler in log.handlers:
                handler.setFormatter(JsonFormatter())

    def atoms(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> dict[str, Any]:
        """Return what is logged of a request: no header, and of an API key only its prefix."""
        arguments = parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        return {
            "id": dict(resp.headers).get("X-Request-Id"),
            "method": environ["REQUEST_METHOD"],
            "path": environ.get("PATH_INFO", req.path),  # PATH_INFO is missing when gunicorn refuses a request
            "query": [f"{name}={value}" if name in LOGGED_ARGUMENTS else name for name, value in arguments],
            "status": int(resp.status.split()[0]),
            "bytes": resp.sent,
            "ms": round(request_time.total_seconds() * 1000, 3),
            "organization": environ.get("everruns.organization"),
            "key": environ.get("everruns.key_prefix"),
        }


logger_class = JsonLogger
