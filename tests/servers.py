"""Real programs for the tests of the deployment: gunicorn on a socket of systemd's kind, nginx, Litestream."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.conftest import ROOT, free_port

LITESTREAM = str(Path(sys.executable).with_name("litestream"))
PATIENCE = 30.0


def wait_until(true: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Wait until `true()` is."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"in {seconds} s not: {what}"
        time.sleep(0.05)


def accepts(address: str | tuple[str, int]) -> bool:
    """Whether something listens."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe, suppress(OSError):
        probe.connect(address)
        return True
    return False


class Service:
    """gunicorn as `deploy/everruns.service` starts it, on a socket that stays open while it restarts."""

    application = "app:app"

    def __init__(self, folder: Path, database: Path, cwd: Path = ROOT, **environment: str) -> None:
        self.path = str(folder / "everruns.sock")
        self.cwd = cwd
        self.log = folder / "everruns.log"
        self.environment = {**os.environ, "EVERRUNS_DATABASE": str(database), "EVERRUNS_WORKERS": "2", **environment}
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen(2048)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, the way systemd does."""
        command = f"exec {sys.executable} -m gunicorn --config deploy/gunicorn.conf.py {self.application}"
        become = f"export LISTEN_PID=$$ LISTEN_FDS=1; exec 3<&{self.listener.fileno()}; {command}"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["bash", "-c", become],
                cwd=self.cwd,
                env=self.environment,
                pass_fds=[self.listener.fileno()],
                stdout=log,
                stderr=log,
            )
        status, answer = get(self.path, "/health")
        assert status in (200, 503), answer

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its first process."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> None:
        """Stop it and wait for its end."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(PATIENCE)
            self.process = None

    def workers(self) -> list[int]:
        """The processes that answer."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def lines(self) -> list[dict[str, Any]]:
        """What it has logged."""
        return [json.loads(line) for line in self.log.read_text("utf-8").splitlines()]


@contextmanager
def service(folder: Path, database: Path, cwd: Path = ROOT, **environment: str) -> Iterator[Service]:
    """A running service, stopped at the end."""
    folder.mkdir(exist_ok=True)
    running = Service(folder, database, cwd, **environment)
    try:
        running.start()
        yield running
    finally:
        running.stop()
        running.listener.close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def connection(address: str | int) -> http.client.HTTPConnection:
    """A connection to a socket's path, or to a port of this machine."""
    if isinstance(address, str):
        return _UnixConnection(address)
    return http.client.HTTPConnection("127.0.0.1", address, timeout=PATIENCE)


def get(address: str | int, url: str, key: str | None = None) -> tuple[int, Any]:
    """GET: status and decoded body."""
    status, _, body = ask(address, url, {"Authorization": f"Bearer {key}"} if key else {})
    return status, json.loads(body)


def ask(address: str | int, url: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    """GET: status, headers in lower case, body."""
    one = connection(address)
    try:
        one.request("GET", url, headers=headers)
        response = one.getresponse()
        told: dict[str, str] = {}
        for name, value in response.getheaders():
            told[name.lower()] = f"{told[name.lower()]}, {value}" if name.lower() in told else value
        return response.status, told, response.read()
    finally:
        one.close()


class Load:
    """Clients that ask all the while, each over one connection that it keeps; what is no good answer is a fault."""

    def __init__(self, address: str | int, url: str, key: str, clients: int = 4) -> None:
        self.address, self.url, self.headers = address, url, {"Authorization": f"Bearer {key}"}
        self.good = 0
        self.faults: list[str] = []
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def more(self, count: int) -> None:
        """Wait for so many more good answers."""
        wanted = self.good + count
        wait_until(lambda: self.good >= wanted, f"{count} more answers; faults: {self.faults[:3]}")

    def _run(self) -> None:
        one = connection(self.address)
        while not self._ended.is_set():
            try:
                one.request("GET", self.url, headers=self.headers)
                response = one.getresponse()
                body = response.read()
                fault = "" if response.status == 200 else f"{response.status} {body[:200]!r}"
            except (OSError, http.client.HTTPException) as error:
                one.close()
                fault = repr(error)
            if fault:
                self.faults.append(fault)
            else:
                self.good += 1
        one.close()


class Nginx:
    """nginx with `deploy/nginx.conf`, of which only paths, ports and upstreams are others."""

    def __init__(self, folder: Path, upstreams: list[str], change: Callable[[str], str] = str) -> None:
        self.port, self.status_port = free_port(), free_port()
        self.folder = folder
        text = (ROOT / "deploy" / "nginx.conf").read_text()
        servers = "\n".join(f"server {upstream} max_conns=64;" for upstream in upstreams)
        text = text.replace("server unix:/run/everruns/everruns.sock max_conns=64;", servers)
        text = text.replace("listen 80;", f"listen 127.0.0.1:{self.port};").replace("listen [::]:80;", "")
        text = text.replace("127.0.0.1:8081", f"127.0.0.1:{self.status_port}")
        text = text.replace("/var/log/nginx/", f"{folder}/")
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
        user = "user root;" if os.geteuid() == 0 else ""
        self.config = folder / "nginx.conf"
        self.config.write_text(
            f"daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; {user} worker_processes 1;\n"
            f"events {{ worker_connections 1024; }}\nhttp {{ access_log off; {temporary} {change(text)} }}\n"
        )

    def __enter__(self) -> "Nginx":
        command = ["nginx", "-e", str(self.folder / "error.log"), "-c", str(self.config)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE)
        try:
            wait_until(lambda: accepts(("127.0.0.1", self.port)) or self.process.poll() is not None, "nginx")
            assert self.process.poll() is None, self.process.stderr and self.process.stderr.read()
        except BaseException:
            self.process.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGQUIT)
        self.process.communicate(timeout=PATIENCE)


def unlimited(text: str) -> str:
    """The configuration with room for a load that is no attack."""
    return re.sub(r"rate=\d+r/s", "rate=100000r/s", text)


class Litestream:
    """A run of the real program, with `deploy/litestream.yml` on a folder of the test."""

    def __init__(self, folder: Path, database: Path, *arguments: str) -> None:
        self.config = configure(folder, database)
        self.log = folder / f"litestream-{arguments[0]}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([LITESTREAM, *arguments], stdout=log, stderr=log)

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def stop(self) -> None:
        """End it as systemd would."""
        self.process.terminate()
        self.process.wait(PATIENCE)


def configure(folder: Path, database: Path) -> Path:
    """`deploy/litestream.yml` for a database and a folder of the test."""
    text = (ROOT / "deploy" / "litestream.yml").read_text()
    text = text.replace("/var/lib/everruns/everruns.db", str(database))
    text = text.replace("/var/lib/everruns-backup", str(folder / "backup"))
    config = folder / "litestream.yml"
    config.write_text(text)
    return config
