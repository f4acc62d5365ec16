"""The package as a wheel, in an environment with nothing else."""

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

from tests.support.servers import ROOT, TIMEOUT, free_port, get, is_listening, wait_until


def test_the_wheel_works_in_an_empty_environment(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv")
    scripts = tmp_path / "venv" / "bin"
    install = [sys.executable, "-m", "pip", "--python", f"{scripts}/python", "install", "--quiet", "--no-compile"]
    subprocess.run([*install, str(ROOT)], check=True, capture_output=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EVERRUNS_")}

    def everruns(*arguments: str) -> str:
        command = [f"{scripts}/everruns", *arguments]
        ran = subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
        return ran.stdout.strip()

    everruns("init-db")
    key = everruns("demo", "--sessions", "10")
    port = free_port()
    gunicorn = [f"{scripts}/gunicorn", "--bind", f"127.0.0.1:{port}", "everruns:create_app()"]
    with subprocess.Popen(gunicorn, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL) as server:
        try:
            wait_until(lambda: is_listening(port), "gunicorn listens")
            assert get(port, "/v1/sessions", key).json()["total"] == 10
            page = get(port, "/").body.decode()
            files = [url for url in re.findall(r'(?:src|href)="([^"#:]+)"', page) if not url.startswith("//")]
            assert files
            for url in ["/" + url.lstrip("/") for url in files] + ["/api-doc/openapi.json", "/llms.txt"]:
                assert get(port, url).status == 200, url
        finally:
            server.terminate()
            server.wait(TIMEOUT)
