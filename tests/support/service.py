"""Everruns Sessions as a user runs it: a database file, the commands, and gunicorn on a free port."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from everruns.cli import main

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Organization:
    """An organization: its id and an API key."""

    id: str
    key: str


class Service:
    """Service with a new, empty database in `folder`. Its port stays the same when it is restarted."""

    def __init__(self, folder: Path) -> None:
        self.environment = {"EVERRUNS_DATABASE": str(folder / "everruns.db")}
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.command("init-db")

    @property
    def address(self) -> str:
        """URL without a path."""
        return f"http://127.0.0.1:{self.port}"

    def command(self, *arguments: str, stdin: str = "") -> str:
        """Run an `everruns` command, require exit status 0, and return its standard output."""
        result = CliRunner().invoke(main, arguments, input=stdin, env=self.environment)
        assert result.exit_code == 0, f"everruns {' '.join(arguments)}: {result.output}"
        return result.stdout.strip()

    def create_organization(self, *records: dict[str, object], public_id: str | None = None) -> Organization:
        """Create an organization with a key, and import its records."""
        org_id = self.command("create-org", "Acme", *(["--id", public_id] if public_id else []))
        organization = Organization(org_id, self.command("create-key", org_id))
        if records:
            self.import_records(organization, *records)
        return organization

    def import_records(self, organization: Organization, *records: dict[str, object]) -> None:
        """Import records in the order of storing."""
        lines = "".join(json.dumps(record) + "\n" for record in records)
        self.command("import", organization.id, "-", stdin=lines)

    def start(self) -> None:
        """Start gunicorn, and wait until it responds: the listening socket queues the request until then."""
        with socket.create_server(("127.0.0.1", self.port)) as listener:
            self.port = listener.getsockname()[1]
            options = f"--log-level warning --threads 4 --bind fd://{listener.fileno()}"
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", *options.split(), "app:app"],
                cwd=ROOT,
                env=os.environ | self.environment,
                pass_fds=[listener.fileno()],
            )
        urllib.request.urlopen(f"{self.address}/health", timeout=30).close()

    def stop(self) -> None:
        """Stop gunicorn; its port then refuses connections. SIGTERM would wait for idle connections of browsers."""
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(20)
            self.process = None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop the service for a while."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def get(self, path: str, key: str) -> Any:
        """GET `path` and return the decoded body of any status."""
        request = urllib.request.Request(self.address + path, headers={"Authorization": f"Bearer {key}"})
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return json.load(error)


@contextmanager
def running_service(folder: Path) -> Iterator[Service]:
    """Service that is stopped at the end."""
    service = Service(folder)
    service.start()
    try:
        yield service
    finally:
        service.stop()
