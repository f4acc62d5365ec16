"""Commands of `everruns` in a process of their own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EVERRUNS = [sys.executable, "-c", "from everruns.cli import main; main(prog_name='everruns')"]


def environment(database_path: Path | str) -> dict[str, str]:
    """Return the environment variables of a process that uses the database and buffers its output, as by default."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return {**inherited, "EVERRUNS_DATABASE": str(database_path)}


def run_process(
    database_path: Path | str, *arguments: str, prefix: list[str] | None = None, cwd: Path | None = None, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a command on the database, through the command `prefix` if given; `more` are environment variables."""
    return subprocess.run(
        [*(prefix or []), *EVERRUNS, *arguments],
        env={**environment(database_path), **more},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def obeying_permissions() -> list[str]:
    """Return the command by which even root obeys the permissions of files; nothing for other users."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv (util-linux) is needed when run as root")
    return ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
