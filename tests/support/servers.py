"""Real programs for tests: gunicorn on a socket as systemd passes it, nginx, Litestream."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.commands import CommandRunner

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
LITESTREAM = str(BIN / "litestream")
TIMEOUT = 30.0
AGENT = "agent_00000000000000000000000000000001"

Address = str | int
"""A Unix socket's path, or a port on 127.0.0.1."""


def wait_until(condition: Callable[[], object], description: str, timeout: float = TIMEOUT) -> None:
    """Wait until `condition()` is true; fail after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout} s: {description}"
        time.sleep(0.02)


def free_port() -> int:
    """Return a TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_listening(port: int) -> bool:
    """Whether a connection to the port is accepted."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# --- the command line -----------------------------------------------------------------------------------------------


class Output(NamedTuple):
    """What a command has written."""

    stdout: str
    stderr: str


class Database:
    """A database file, and the `everruns` command on it.

    `organization` and `key` are filled in by `create_organization`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.organization = ""
        self.key = ""

    def everruns(self, *arguments: str | Path, stdin: str = "", status: int = 0, **environment: str) -> Output:
        """Run a command and check its exit status; `environment` is added to that of the tests."""
        run = CommandRunner(self.path)
        result = run(*map(str, arguments), stdin=stdin, exit_code=status, env=environment)
        return Output(result.stdout, result.stderr)

    def create_organization(self) -> None:
        """Create an organization and a key of it."""
        self.organization = self.everruns("create-org", "Acme").stdout.strip()
        self.key = self.everruns("create-key", self.organization).stdout.strip()

    def load(self, records: Iterable[dict[str, object]], status: int = 0) -> Output:
        """Import records into the organization."""
        lines = "".join(json.dumps(record) + "\n" for record in records)
        return self.everruns("import", "--org", self.organization, "-", stdin=lines, status=status)

    def copy(self, path: Path) -> "Database":
        """Copy the file, which no program may have open."""
        assert not self.path.with_name(self.path.name + "-wal").exists()
        shutil.copy(self.path, path)
        copied = Database(path)
        copied.organization, copied.key = self.organization, self.key
        return copied


def agent(**more: object) -> dict[str, object]:
    """Return an agent's record."""
    return {"id": AGENT, "name": "helper", **more}


def session(number: int | str, **more: object) -> dict[str, object]:
    """Return a session's record."""
    return {"id": f"session_{number}", "agent_id": AGENT, "created_at": "2026-02-27T13:13:53Z", **more}


# --- HTTP -----------------------------------------------------------------------------------------------------------


class Response(NamedTuple):
    """An HTTP response; header names are in lower case, repeated headers are joined with a comma."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Decode the body."""
        return json.loads(self.body)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def connection(address: Address) -> http.client.HTTPConnection:
    """Return a connection that is opened by its first request."""
    if isinstance(address, str):
        return _UnixConnection(address)
    return http.client.HTTPConnection("127.0.0.1", address, timeout=TIMEOUT)


def get(address: Address, url: str, key: str = "", headers: dict[str, str] | None = None) -> Response:
    """GET `url` on a connection of its own."""
    return send(address, "GET", url, key, headers=headers)


def send(
    address: Address, method: str, url: str, key: str = "", body: object = None, headers: dict[str, str] | None = None
) -> Response:
    """Request `url` on a connection of its own; a `body` is sent as JSON."""
    sent = {"Authorization": f"Bearer {key}"} if key else {}
    if body is not None:
        sent["Content-Type"] = "application/json"
    opened = connection(address)
    try:
        opened.request(method, url, None if body is None else json.dumps(body), {**sent, **(headers or {})})
        response = opened.getresponse()
        received: dict[str, str] = {}
        for name, value in response.getheaders():
            name = name.lower()
            received[name] = f"{received[name]}, {value}" if name in received else value
        return Response(response.status, received, response.read())
    finally:
        opened.close()


class Load:
    """Clients that repeat a GET, each on a connection of its own; counts the 200s and keeps all other outcomes."""

    def __init__(self, address: Address, url: str, key: str, clients: int = 4, pause: float = 0.0) -> None:
        self.address, self.url, self.headers, self.pause = address, url, {"Authorization": f"Bearer {key}"}, pause
        self.succeeded = 0
        self.errors: list[str] = []
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, count: int) -> None:
        """Wait for this many further 200s."""
        wanted = self.succeeded + count
        wait_until(lambda: self.succeeded >= wanted, f"{count} responses; errors: {self.errors[:3]}")

    def _run(self) -> None:
        client = connection(self.address)
        while not self._stopped.wait(self.pause):
            try:
                client.request("GET", self.url, headers=self.headers)
                response = client.getresponse()
                body = response.read()
                error = "" if response.status == 200 else f"{response.status} {body[:200]!r}"
            except (OSError, http.client.HTTPException) as failure:
                client.close()
                error = repr(failure)
            if error:
                self.errors.append(error)
            else:
                self.succeeded += 1
        client.close()


# --- gunicorn -------------------------------------------------------------------------------------------------------


class Service:
    """gunicorn as `deploy/everruns.service` starts it, on a socket that stays open while it restarts."""

    def __init__(
        self, folder: Path, database: Path, cwd: Path = ROOT, prefix: Iterable[str] = (), **environment: str
    ) -> None:
        self.path = str(folder / "everruns.sock")
        self.cwd = cwd
        self.prefix = prefix
        self.log = folder / "everruns.log"
        self.environment = {**os.environ, "EVERRUNS_DATABASE": str(database), "EVERRUNS_WORKERS": "1", **environment}
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen(2048)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it as systemd does, and wait until it responds."""
        pass_socket = f"export LISTEN_PID=$$ LISTEN_FDS=1; exec 3<&{self.listener.fileno()}"
        command = f"exec {sys.executable} -m gunicorn --config {ROOT}/deploy/gunicorn.conf.py app:app"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, "bash", "-c", f"{pass_socket}; {command}"],
                cwd=self.cwd,
                env=self.environment,
                pass_fds=[self.listener.fileno()],
                stdout=log,
                stderr=log,
            )
        get(self.path, "/health")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the master process."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill all its processes, as a crash of the machine does."""
        assert self.process is not None
        for pid in (self.process.pid, *self.workers()):
            os.kill(pid, signal.SIGKILL)
        self.process.wait(TIMEOUT)

    def reload(self) -> None:
        """Reload as `systemctl reload` does, and wait for the new workers."""
        before = set(self.workers())
        self.signal(signal.SIGHUP)
        wait_until(lambda: self.workers() and not before & set(self.workers()), "new workers")

    def stop(self) -> None:
        """Stop it as systemd does."""
        if self.process is not None:
            process, self.process = self.process, None
            _terminate(process)

    def workers(self) -> list[int]:
        """Return the process ids of the workers."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def lines(self) -> list[dict[str, Any]]:
        """Return the lines of the log."""
        complete, _, _ = self.log.read_text("utf-8").rpartition("\n")  # the last line may be half written
        return [json.loads(line) for line in complete.splitlines()]


@contextmanager
def service(
    folder: Path, database: Path, cwd: Path = ROOT, prefix: Iterable[str] = (), **environment: str
) -> Iterator[Service]:
    """Run the service with one worker, unless EVERRUNS_WORKERS says otherwise; its socket and log are in `folder`.

    It is started through the command `prefix` if given.
    """
    folder.mkdir(exist_ok=True)
    running = Service(folder, database, cwd, prefix, **environment)
    try:
        running.start()
        yield running
    finally:
        running.stop()
        running.listener.close()


# --- nginx ----------------------------------------------------------------------------------------------------------


def replaced(text: str, replacements: dict[str, str]) -> str:
    """Replace each key of `replacements`, all of which `text` must contain."""
    for old, new in replacements.items():
        assert old in text, f"no {old!r} in the file"
        text = text.replace(old, new)
    return text


class Nginx:
    """nginx with `deploy/nginx.conf` on other paths and ports; `change` may change the text further."""

    def __init__(self, folder: Path, upstreams: list[str], change: Callable[[str], str] = str) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.port, self.status_port = free_port(), free_port()
        text = replaced(
            (ROOT / "deploy" / "nginx.conf").read_text(),
            {
                "server unix:/run/everruns/everruns.sock max_conns=64;": "\n".join(
                    f"server {upstream} max_conns=64;" for upstream in upstreams
                ),
                "listen 80;": f"listen 127.0.0.1:{self.port};",
                "listen [::]:80;": "",
                "127.0.0.1:8081": f"127.0.0.1:{self.status_port}",
                "/var/log/nginx/": f"{folder}/",
            },
        )
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
            wait_until(lambda: is_listening(self.port) or self.process.poll() is not None, "nginx listens")
            assert self.process.poll() is None, self.process.stderr and self.process.stderr.read()
        except BaseException:
            self.process.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.communicate(timeout=TIMEOUT)


def unlimited(text: str) -> str:
    """Raise the request rates of `deploy/nginx.conf` beyond what a test can send."""
    return re.sub(r"rate=\d+r/s", "rate=100000r/s", text)


# --- Litestream -----------------------------------------------------------------------------------------------------


class Litestream:
    """Litestream with `deploy/litestream.yml` on a database of the test; the backup is in `folder`."""

    def __init__(self, folder: Path, database: Path) -> None:
        self.folder, self.database = folder, database
        self.socket = folder / "litestream.sock"
        self.config = folder / "litestream.yml"
        text = replaced(
            (ROOT / "deploy" / "litestream.yml").read_text(),
            {
                "/var/lib/everruns/everruns.db": str(database),
                "/var/lib/everruns-backup": str(folder / "backup"),
            },
        )
        self.config.write_text(f"{text}\nsocket: {{enabled: true, path: {self.socket}}}\n")

    @contextmanager
    def replicate(self) -> Iterator[None]:
        """Run the backup, as `deploy/litestream.service` does.

        Litestream 0.5.17 keeps others from restarting the write-ahead log by a read transaction, which it begins at its
        first sync. If `litestream sync` asks for that one, the transaction ends with the request, and copies are torn.
        """
        process = self._start("replicate", "-config", str(self.config))
        try:
            wait_until(lambda: any((self.folder / "backup").rglob("*.ltx")), "the first backup")
            yield
        finally:
            _terminate(process)

    def sync(self) -> None:
        """Wait until the backup has every change committed so far."""
        command = [LITESTREAM, "sync", "-wait", "-socket", str(self.socket), str(self.database)]
        subprocess.run(command, check=True, capture_output=True)

    def restore(self, output: Path, *arguments: str) -> None:
        """Restore the backup into a new file."""
        command = [LITESTREAM, "restore", "-config", str(self.config), *arguments, "-o", str(output)]
        subprocess.run([*command, str(self.database)], check=True, capture_output=True)

    def follow(self, folder: Path) -> "Replica":
        """Return a replica in `folder`, not yet started."""
        folder.mkdir()
        return Replica(self, folder)

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / "litestream.log").open("ab") as log:
            return subprocess.Popen([LITESTREAM, *arguments], stdout=log, stderr=log)


class Replica:
    """A copy that Litestream keeps up to date, as `deploy/litestream-replica.service` does."""

    def __init__(self, litestream: Litestream, folder: Path) -> None:
        self.litestream = litestream
        self.path = folder / "everruns.db"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Replica":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Remove the old copy, restore a new one, and follow the backup."""
        for file in self.path.parent.iterdir():
            file.unlink()
        options = ["-config", str(self.litestream.config), "-follow-interval", "200ms", "-o", str(self.path)]
        self.process = self.litestream._start("restore", "-f", *options, str(self.litestream.database))
        wait_until(self.path.exists, "the copy")

    def stop(self) -> None:
        """Stop Litestream and keep the copy."""
        if self.process is not None:
            _terminate(self.process)

    def crash(self) -> None:
        """Kill Litestream and remove the copy, as the unit does after a crash."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(TIMEOUT)
        for file in self.path.parent.iterdir():
            file.unlink()


def _terminate(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(40)  # TimeoutStopSec of everruns.service
    except subprocess.TimeoutExpired:
        process.kill()
        raise
