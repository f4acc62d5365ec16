"""Mutation: each small change to the code must make a test fail. Runs mutmut, and tries again what survives it.

For mutmut the quick tests run first, and those that take long do not run. It also imports the package before it chooses
a mutant, so that what runs only at import is not changed. So a survivor gets a process of its own, and all the tests of
its module. What then survives is told with its change. Apart are those that change nothing: letter case, where it has
no meaning.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.attack import figures
from tests.conftest import ROOT

MUTMUT = str(Path(sys.executable).with_name("mutmut"))
DURATIONS = Path("mutmut-stats.json")  # in the folder in which mutmut runs the tests
LONG = 1.5  # seconds
# SQL, the names of headers, of encodings and of infinity: in any letter case the same.
CASELESS = re.compile(r'execute\(|headers|"(ETag|Cache-Control|Vary)"|\.(en|de)code\(|read_text\(|float\(')
# The tests, by their files, that the mutants of a module are tried with.
TESTS = {
    "__init__": ["errors", "contract", "repeated", "cli"],
    "activity": ["activity"],
    "api": ["contract", "errors", "repeated", "walk", "activity", "page", "description", "replicas"],
    "auth": ["keys", "contract", "repeated", "cli"],
    "catalog": ["features", "cli", "errors"],
    "cli": ["cli", "errors", "import", "demo", "replicas", "features"],
    "db": ["cli", "errors", "contract", "repeated", "replicas", "import"],
    "demo": ["demo", "cli"],
    "errors": ["errors", "contract", "replicas", "page"],
    "exporter": ["import", "cli", "features"],
    "files": ["page", "description", "contract"],
    "heartbeat": ["replicas"],
    "importer": ["import", "features", "spans"],
    "links": ["walk"],
    "owners": ["import", "features"],
    "page_files": ["page"],
    "pages": ["repeated", "contract"],
    "reader": ["reader", "import"],
    "schemas": ["records", "contract", "walk", "activity", "errors", "import", "reader", "features"],
    "sessions": ["contract", "walk", "features", "model"],
    "spans": ["spans", "walk", "cli"],
    "values": ["units", "walk", "contract", "import"],
}


def module_of(mutant: str) -> str:
    """The module of `mutant`, a name as `everruns.module.…`, or `everruns.…` for the package's own."""
    _, *module, _ = mutant.split(".")
    return module[0] if module else "__init__"


def tests_of(mutant: str) -> list[str]:
    """The files of tests for `mutant`."""
    return [f"tests/test_{name}.py" for name in TESTS[module_of(mutant)]]


class Quickly:
    """For mutmut, which has measured each test: those of the module, the quickest first, without the long ones."""

    def __init__(self, config: pytest.Config) -> None:
        files = tests_of(os.environ["MUTANT_UNDER_TEST"])
        self.chosen = set(config.args)
        config.args = [file for file in files if any(one.startswith(file) for one in self.chosen)] or files[:1]

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Choose and sort."""
        took = json.loads(DURATIONS.read_text())["duration_by_test"]
        chosen = [item for item in items if item.nodeid in self.chosen and took.get(item.nodeid, 0) < LONG]
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = sorted(chosen, key=lambda item: took.get(item.nodeid, 0))


def pytest_configure(config: pytest.Config) -> None:
    """As a plugin of pytest, in the runs of single mutants: they are given the names of tests."""
    if os.environ.get("MUTANT_UNDER_TEST", "").startswith("everruns.") and DURATIONS.exists():
        config.pluginmanager.register(Quickly(config))


def statuses() -> dict[str, str]:
    """What became of each mutant, by its name."""
    told = subprocess.run([MUTMUT, "results", "--all", "true"], cwd=ROOT, capture_output=True, text=True, check=True)
    return dict(re.findall(r"^ *(everruns\.\S+): (.+)$", told.stdout, re.MULTILINE))


def survives(mutant: str) -> bool:
    """Whether no test of its module fails in a process in which `mutant` is chosen from the start."""
    configured = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]
    selected = configured["pytest_add_cli_args_test_selection"]
    tests = [one for file in tests_of(mutant) for one in selected if one.split("::")[0] == file]
    tests += [argument for argument in configured["pytest_add_cli_args"] if argument.startswith("--")]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "MUTANT_UNDER_TEST": mutant}
    try:
        ran = subprocess.run(
            command, cwd=ROOT / "mutants", env=environment, capture_output=True, check=False, timeout=600
        )
    except subprocess.TimeoutExpired:
        return False
    return ran.returncode == 0


def change(mutant: str) -> str:
    """The lines that `mutant` changes."""
    told = subprocess.run([MUTMUT, "show", mutant], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    return "\n".join(line for line in told.splitlines() if re.match(r"[-+](?![-+])", line))


def is_change(lines: str) -> bool:
    """Whether the lines that a mutant changes say something else afterwards."""
    before, after = (re.findall(rf"^[{sign}](.*)$", lines, re.MULTILINE) for sign in "-+")
    return CASELESS.search(lines) is None or [line.lower() for line in before] != [line.lower() for line in after]


def tell(mutants: int, unchanged: int, survived: dict[str, str]) -> dict[str, Any]:
    """Print each of the mutants that survived, by name, with its change; returns the figures."""
    for mutant, lines in survived.items():
        print(f"\n{mutant}\n{lines}")
    share = round(1 - len(survived) / (mutants - unchanged), 4)
    told = {"mutants": mutants, "that change nothing": unchanged, "survivors": len(survived), "killed_share": share}
    print(f"\n{told}")
    return told | {"survived": survived}


def main() -> None:
    """Run mutmut unless it has run, try its survivors again, and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--figures", type=Path, help="the JSON file that gets the figures")
    parser.add_argument("--again", action="store_true", help="take the results of the last run of mutmut")
    parser.add_argument("--least", type=float, default=0.9, help="the share that must be killed")
    arguments = parser.parse_args()
    if not arguments.again:
        subprocess.run([MUTMUT, "run", "--max-children", str(os.cpu_count())], cwd=ROOT, check=True)
    found = statuses()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        left = [name for name, status in found.items() if status not in ("killed", "timeout", "caught by type check")]
        changes = dict(zip(left, pool.map(change, left), strict=True))
        doubtful = [mutant for mutant in left if is_change(changes[mutant])]
        unchanged = [f"everruns.{module}.unchanged" for module in sorted(set(map(module_of, doubtful)))]
        if failing := [
            name for name, passed in zip(unchanged, pool.map(survives, unchanged), strict=True) if not passed
        ]:
            sys.exit(f"tests fail where nothing is changed, and so would kill everything: {failing}")
        again = dict(zip(doubtful, pool.map(survives, doubtful), strict=True))
    told = tell(len(found), len(left) - len(doubtful), {name: changes[name] for name in sorted(again) if again[name]})
    if arguments.figures:
        figures.record(arguments.figures, "mutants", told)
    sys.exit(told["killed_share"] < arguments.least)


if __name__ == "__main__":
    main()
