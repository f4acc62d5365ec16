"""gunicorn with deploy/gunicorn.conf.py: settings and reload."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.servers import ROOT, Service, get, wait_until

COMMAND = [sys.executable, "-m", "gunicorn", "--config", "deploy/gunicorn.conf.py", "app:app"]


def run_gunicorn(option: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, option], cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("EVERRUNS_WORKERS", "many", "a whole number from 1 to 999"),
        ("EVERRUNS_WORKERS", "0", "a whole number from 1 to 999"),
        ("EVERRUNS_BIND", "8000", "host:port or unix:/path"),
        ("EVERRUNS_STATSD", "nowhere:port", "host:port"),
    ],
)
def test_a_bad_setting_is_refused_in_one_line(name: str, value: str, rule: str) -> None:
    ran = run_gunicorn("--check-config", **{name: value})
    assert ran.returncode == 1
    assert ran.stderr.splitlines() == [f"{name} must be {rule}; got {value!r}"]


def print_settings(**environment: str) -> dict[str, str]:
    lines = run_gunicorn("--print-config", **environment).stdout.splitlines()
    pairs = (line.partition("=") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}


def test_settings_come_from_the_environment_and_the_file() -> None:
    environment = {"EVERRUNS_WORKERS": "3", "EVERRUNS_BIND": "[::1]:8001", "EVERRUNS_STATSD": "localhost:8125"}
    expected = {
        "bind": "['[::1]:8001']",
        "forwarder_headers": "[]",
        "keepalive": "75",
        "limit_request_line": "8190",
        "statsd_host": "('localhost', 8125)",
        "threads": "4",
        "worker_class": "gthread",
        "workers": "3",
    }
    assert print_settings(**environment).items() >= expected.items()


def test_an_empty_setting_means_the_default() -> None:
    settings = print_settings(EVERRUNS_WORKERS="", EVERRUNS_BIND="", EVERRUNS_STATSD="")
    expected = {"bind": "['127.0.0.1:8000']", "workers": str(len(os.sched_getaffinity(0))), "statsd_host": "None"}
    assert settings.items() >= expected.items()


def test_a_header_does_not_set_the_mount_point(service: Service) -> None:
    assert get(service.path, "/health", headers={"SCRIPT_NAME": "/x"}).status == 200


def test_a_reload_takes_new_code(tmp_path: Path) -> None:
    application = tmp_path / "app.py"
    code = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "1")])
    return [b"{}"]
"""
    application.write_text(code.replace("{}", "1"))
    # Compiled code would be taken for that of a file of the same size and second.
    not_compiled = {"PYTHONDONTWRITEBYTECODE": "1"}
    with servers.service(tmp_path / "service", tmp_path / "none.db", tmp_path, **not_compiled) as running:
        assert get(running.path, "/").body == b"1"
        application.write_text(code.replace("{}", "2"))
        running.reload()
        wait_until(lambda: get(running.path, "/").body == b"2", "the new code")
