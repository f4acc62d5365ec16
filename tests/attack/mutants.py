"""Mutation: each small change to the code must make a test fail. Runs mutmut, and tries again what survives it.

mutmut imports the package before it chooses a mutant, so that what runs only at import is not changed: a survivor gets
a process of its own, and the tests of its module. What then survives is told with its change.
"""

import argparse
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.attack import figures
from tests.conftest import ROOT

MUTMUT = str(Path(sys.executable).with_name("mutmut"))
# The tests that a module's survivors are tried again with; these, where there is nothing else to say.
OTHERWISE = ["contract", "errors", "repeated", "cli", "import"]
TESTS = {
    "activity": ["activity"],
    "demo": ["demo"],
    "heartbeat": ["replicas"],
    "links": ["walk"],
    "reader": ["reader", "import"],
    "schemas": ["contract", "activity", "errors", "import", "records", "reader", "features"],
    "sessions": ["contract", "walk", "features"],
    "spans": ["spans", "cli"],
    "values": ["units", "contract", "import", "walk"],
}


def statuses() -> dict[str, str]:
    """What became of each mutant, by its name."""
    told = subprocess.run([MUTMUT, "results", "--all", "true"], cwd=ROOT, capture_output=True, text=True, check=True)
    return dict(re.findall(r"^ *(everruns\.\S+): (.+)$", told.stdout, re.MULTILINE))


def survives(mutant: str) -> bool:
    """Whether no test of its module fails in a process in which `mutant` is chosen from the start."""
    selected: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutmut"][
        "pytest_add_cli_args_test_selection"
    ]
    files = [f"tests/test_{name}.py" for name in TESTS.get(mutant.split(".")[1], OTHERWISE)]
    tests = [one for file in files for one in selected if one.split("::")[0] == file]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "MUTANT_UNDER_TEST": mutant}
    ran = subprocess.run(command, cwd=ROOT / "mutants", env=environment, capture_output=True, check=False, timeout=600)
    return ran.returncode == 0


def change(mutant: str) -> str:
    """The lines that `mutant` changes."""
    told = subprocess.run([MUTMUT, "show", mutant], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    return "\n".join(line for line in told.splitlines() if re.match(r"[-+](?![-+])", line))


def tell(survivors: Iterable[str]) -> None:
    """Print each survivor and its change."""
    for mutant in sorted(survivors):
        print(f"\n{mutant}\n{change(mutant)}")


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
    doubtful = [
        mutant for mutant, status in found.items() if status not in ("killed", "timeout", "caught by type check")
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        again = dict(zip(doubtful, pool.map(survives, doubtful), strict=True))
    survivors = [mutant for mutant, survived in again.items() if survived]
    tell(survivors)
    share = 1 - len(survivors) / len(found)
    told = {"mutants": len(found), "survivors": len(survivors), "killed_share": round(share, 4)}
    print(f"\n{told}")
    if arguments.figures:
        figures.record(arguments.figures, "mutants", told)
    sys.exit(share < arguments.least)


if __name__ == "__main__":
    main()
