"""Test `make run`: start it, run the printed curl command, press Ctrl-C; then do it again with the same database."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

PORT = "8765"
START_SECONDS = 120  # the first start installs the package
STOP_SECONDS = 45  # gunicorn gives its workers 30


def wait_for_start(make: subprocess.Popen[bytes], output: IO[str]) -> str:
    """Return the output of `make run` once the service runs; exit if it stops or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        output.seek(0)
        text = output.read()
        if "Booting worker" in text:
            return text
        if make.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"make run did not start:\n{text}")
        time.sleep(0.1)


def check_page(curl: str) -> None:
    """Run the printed command and check the page that it returns."""
    ran = subprocess.run(["bash", "-c", f"{curl} --silent --show-error"], capture_output=True, check=True)
    page = json.loads(ran.stdout)
    assert page["total"] == 1000, page
    assert len(page["data"]) == page["limit"] == 2, page


def check_second_start(environment: dict[str, str]) -> None:
    """Check that a second `make run` on the same port is refused with a clear message."""
    second = subprocess.run(["make", "run", f"PORT={PORT}"], capture_output=True, text=True, env=environment)
    assert f"Port {PORT} is taken" in second.stderr, second
    assert "Traceback" not in second.stderr, second


def check_make_run(environment: dict[str, str]) -> str:
    """Start the service, check it, stop it, and return the printed curl command."""
    with tempfile.TemporaryFile("w+") as output:
        make = subprocess.Popen(
            ["make", "run", f"PORT={PORT}"],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        try:
            text = wait_for_start(make, output)
            (curl,) = [line.strip() for line in text.splitlines() if line.startswith("  curl ")]
            check_page(curl)
            check_second_start(environment)
        finally:
            os.killpg(make.pid, signal.SIGINT)
            make.wait(STOP_SECONDS)
        output.seek(0)
        text = output.read()
    assert "Traceback" not in text, text
    assert "Shutting down" in text, text
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(PORT))) != 0, "the service still listens after Ctrl-C"
    return curl


with tempfile.TemporaryDirectory() as folder:
    environment = {**os.environ, "EVERRUNS_DATABASE": str(Path(folder, "smoke.db"))}
    first = check_make_run(environment)
    second = check_make_run(environment)
    assert first == second, "the second start printed another API key"
print("make run: passed")
