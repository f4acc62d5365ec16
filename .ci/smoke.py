"""Try `make run` as a newcomer would: start it, paste the printed curl, see sessions, press Ctrl-C; and once more."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PORT = "8765"


def run_and_try(environment: dict[str, str]) -> str:
    """Start it, run the printed command, stop it; gives the printed command."""
    with tempfile.TemporaryFile("w+") as output:
        make = subprocess.Popen(
            ["make", "run", f"PORT={PORT}"],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + 120
            while True:
                output.seek(0)
                text = output.read()
                if "Booting worker" in text:
                    break
                if make.poll() is not None or time.monotonic() > deadline:
                    sys.exit(f"make run does not come up:\n{text}")
                time.sleep(0.1)
            (curl,) = [line.strip() for line in text.splitlines() if line.startswith("  curl ")]
            got = subprocess.run(["bash", "-c", f"{curl} --silent --show-error"], capture_output=True, check=True)
            page = json.loads(got.stdout)
            assert page["total"] == 1000, page
            assert len(page["data"]) == page["limit"] == 2, page
            taken = subprocess.run(["make", "run", f"PORT={PORT}"], capture_output=True, text=True, env=environment)
            assert f"Port {PORT} is taken" in taken.stderr, taken
            assert "Traceback" not in taken.stderr, taken
        finally:
            os.killpg(make.pid, signal.SIGINT)
            make.wait(45)  # gunicorn gives its workers 30 seconds
        output.seek(0)
        text = output.read()
    assert "Traceback" not in text, text
    assert "Shutting down" in text, text
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(PORT))) != 0, "it still listens after Ctrl-C"
    return curl


with tempfile.TemporaryDirectory() as folder:
    environment = {**os.environ, "EVERRUNS_DATABASE": str(Path(folder, "smoke.db"))}
    first = run_and_try(environment)
    second = run_and_try(environment)
    assert first == second, "the second run has another key"
print("smoke test of make run: passed")
