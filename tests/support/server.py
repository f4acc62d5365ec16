"""The service in a process of its own, by gunicorn."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support import ROOT

TIMEOUT_SECONDS = 30.0


def wait_until(condition: Callable[[], object], what: str, timeout: float = TIMEOUT_SECONDS) -> None:
    """Return when `condition()` is true; `what` names it in the failure."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.02)


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Return whether something accepts connections on a port of 127.0.0.1."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def fetch(url: str, key: str | None = None) -> tuple[int, Any]:
    """Request `url`; return the status and the decoded body."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@contextmanager
def serve(database_path: Path, *arguments: str, cwd: Path = ROOT, **environment: str) -> Iterator[str]:
    """Run gunicorn on the database with `deploy/gunicorn.conf.py`, or with `arguments`; yield its URL."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}"]
    command += arguments or ["--config", "deploy/gunicorn.conf.py", "app:app"]
    environment = {**os.environ, "EVERRUNS_DATABASE": str(database_path), **environment}
    with subprocess.Popen(command, cwd=cwd, env=environment, stderr=subprocess.PIPE) as process:
        try:
            wait_until(lambda: listens(port) or process.poll() is not None, "gunicorn listens")
            assert process.poll() is None, process.stderr and process.stderr.read()
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.communicate(timeout=TIMEOUT_SECONDS)
