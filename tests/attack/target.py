"""What is attacked: a database, the commands on it, a real server; and how a broken promise is told."""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from everruns.cli import main
from tests.attack import figures
from tests.conftest import ROOT, Ran

EVERRUNS = [sys.executable, "-c", "from everruns.cli import main; main()"]


class Broken(Exception):
    """A promise was broken; the message is the evidence."""


class Target:
    """A database in a folder, and the commands on it."""

    def __init__(self, folder: Path, timeout: float = 0.2) -> None:
        self.folder = folder
        self.path = folder / "everruns.db"
        self.environment = {"EVERRUNS_DATABASE": str(self.path), "EVERRUNS_DATABASE_TIMEOUT": str(timeout)}
        self.everruns("init-db")

    def everruns(self, *arguments: str, stdin: str = "", status: int | None = 0) -> Ran:
        """Run a command in this process; unless `status` is None, it must end so."""
        result = CliRunner().invoke(main, arguments, input=stdin, env=self.environment)
        ran = Ran(result.exit_code, result.stdout, result.stderr)
        if status is not None and ran.status != status:
            raise Broken(f"everruns {' '.join(arguments)}: {ran} {result.exception!r}")
        return ran

    def organization(self, name: str = "Acme") -> tuple[str, str]:
        """A new organization: its id and a key of it."""
        org = self.everruns("create-org", name).stdout.strip()
        return org, self.everruns("create-key", org).stdout.strip()

    def process_environment(self, **more: str) -> dict[str, str]:
        """The environment of a command in a process of its own."""
        return {**os.environ, **self.environment, "PYTHONPATH": str(ROOT), **more}


@contextmanager
def scratch(in_memory: bool = False) -> Iterator[Path]:
    """A folder that is gone afterwards; `in_memory` where no disk is needed, if there is such a place."""
    place = "/dev/shm" if in_memory and Path("/dev/shm").is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="everruns-attack-", dir=place))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def need(program: str, packages: str) -> None:
    """End, with what to do about it, where `program` is not installed."""
    if shutil.which(program) is None:
        raise SystemExit(f"{program} is needed. On Debian: apt-get install {packages}")


def say(message: str) -> None:
    """Tell how far it is, on standard error."""
    print(message, file=sys.stderr, flush=True)


def run(
    name: str, options: argparse.ArgumentParser, attack: Callable[[argparse.Namespace, dict[str, Any]], None]
) -> None:
    """Run an attack as a command: `attack` fills in its figures. The last line on standard output is the figures."""
    options.add_argument("--figures", type=Path, help="a JSON file, in which the figures are stored")
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    found: dict[str, Any] = {"seed": given.seed}
    try:
        attack(given, found)
    except Broken as broken:
        say(f"BROKEN PROMISE (seed {given.seed}): {broken}")
        print(json.dumps({**found, "broken": str(broken)}))
        raise SystemExit(1) from None
    if given.figures:
        figures.record(given.figures, name, found)
    print(json.dumps(found))
