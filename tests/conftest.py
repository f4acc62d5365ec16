"""Fixtures: a real database file, the application on it, the command line, and running servers."""

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import Phase, settings
from werkzeug.test import TestResponse

from everruns import create_app
from everruns.cli import main

# For `make mutation`, where it counts only that a test fails: no time goes into the smallest example.
settings.register_profile("unshrunk", phases=[Phase.explicit, Phase.generate], database=None)

PACKAGES = {
    "nginx": "nginx-light",
    "systemd-analyze": "systemd",
    "faketime": "faketime",
    "chromium": "chromium",
    "gcc": "gcc libc6-dev",
}
missing: dict[str, int] = {}


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        for program in mark.args:
            if shutil.which(program) is None:
                missing[program] = missing.get(program, 0) + 1
                pytest.skip(f"{program} is not installed")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if missing:
        packages = " ".join(PACKAGES[program] for program in missing)
        what = ", ".join(f"{count} tests that need {program}" for program, count in missing.items())
        terminalreporter.line(f"skipped: {what}. To run them too: apt-get install {packages}")


ROOT = Path(__file__).parent.parent
AGENT = "agent_00000000000000000000000000000001"


class World:
    """A database with the built-in catalog, and everything a user does with it, by the same commands."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        monkeypatch.setenv("EVERRUNS_DATABASE", str(path))
        self.app: Flask = create_app({"DATABASE_TIMEOUT": 0.2})
        self.client: FlaskClient = self.app.test_client()
        self.folder = path.parent

    def everruns(self, *arguments: str, stdin: bytes | str = b"", status: int = 0) -> "Ran":
        """Run a command and see that it ends with `status`."""
        result = CliRunner().invoke(main, arguments, input=stdin)
        ran = Ran(result.exit_code, result.stdout, result.stderr)
        assert result.exit_code == status, (arguments, ran, result.exception)
        return ran

    def organization(self, public_id: str | None = None) -> tuple[str, str]:
        """A new organization: its id and a key of it."""
        org = self.everruns("create-org", "Acme", *(["--id", public_id] if public_id else [])).stdout.strip()
        return org, self.everruns("create-key", org).stdout.strip()

    def load(self, org: str, *records: Any, status: int = 0) -> "Ran":
        """Import records, as NDJSON by standard input."""
        lines = "".join(json.dumps(record) + "\n" for record in records)
        return self.everruns("import", "--org", org, "-", stdin=lines, status=status)

    def get(self, key: str | None = None, url: str = "/v1/sessions", **headers: str) -> TestResponse:
        """GET `url` with the key."""
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        return self.client.get(url, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def json(self, key: str | None = None, url: str = "/v1/sessions") -> Any:
        """The decoded body of a GET."""
        return self.get(key, url).json

    def sql(self, statement: str, *values: object) -> list[Any]:
        """Plain SQL on the file, as any other program could."""
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("PRAGMA foreign_keys = ON")
            return connection.execute(statement, values).fetchall()


class Ran:
    """What a command left: exit status, standard output, standard error."""

    def __init__(self, status: int, stdout: str, stderr: str) -> None:
        self.status = status
        self.stdout = stdout
        self.stderr = stderr

    def __repr__(self) -> str:
        return f"exit {self.status}\n{self.stdout}\n{self.stderr}"


def agent(public_id: str = AGENT, **more: object) -> dict[str, object]:
    """An agent's record."""
    return {"id": public_id, "name": "helper", **more}


def session(number: int | str = 1, **more: object) -> dict[str, object]:
    """A session's record."""
    return {
        "id": f"session_{number}",
        "agent_id": AGENT,
        "created_at": "2026-02-27T13:13:53Z",
        **more,
    }


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(tmp_path / "everruns.db", monkeypatch)
    world.everruns("init-db")
    return world


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 2 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount a small tmpfs")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def fetch(url: str, key: str | None = None) -> tuple[int, Any]:
    """GET over a real socket: status and decoded body."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@contextmanager
def serving(database: Path, *arguments: str, cwd: Path = ROOT) -> Iterator[str]:
    """A real gunicorn on `database`; gives its address."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", *arguments]
    command += [] if arguments else ["--config", "deploy/gunicorn.conf.py", "app:app"]
    environment = {**os.environ, "EVERRUNS_DATABASE": str(database), "EVERRUNS_DATABASE_TIMEOUT": "0.5"}
    with subprocess.Popen(command, cwd=cwd, env=environment, stderr=subprocess.PIPE) as process:
        try:
            deadline = time.monotonic() + 20
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    assert time.monotonic() < deadline, "gunicorn does not start"
                    assert process.poll() is None, process.stderr and process.stderr.read()
                    time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.communicate(timeout=20)


@pytest.fixture
def server(world: World) -> Iterator[str]:
    with serving(world.path) as address:
        yield address
