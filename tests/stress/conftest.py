"""Figures of the stress tests: `make stress` prints what tests record with `record_property` as a list."""

import subprocess
import textwrap
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.stress.scale import FACTOR


@pytest.fixture(scope="session")
def failing_calls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that makes calls on a database's files fail; see failing_calls.c."""
    library = tmp_path_factory.mktemp("library") / "failing_calls.so"
    source = Path(__file__).with_name("failing_calls.c")
    subprocess.run(["gcc", "-Wall", "-Wextra", "-Werror", "-O2", "-shared", "-fPIC", "-o", library, source], check=True)
    return library


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for report in terminalreporter.getreports("passed") if report.user_properties]
    if FACTOR == 1 or not reports:
        return
    terminalreporter.section(f"figures of {datetime.now(UTC).date()}, STRESS_FACTOR={FACTOR:g}")
    for report in sorted(reports, key=lambda report: str(report.nodeid)):
        file, _, test = report.nodeid.rpartition("/")[2].partition("::")
        figures = "; ".join(f"{name} {value:,}" for name, value in report.user_properties)
        test = test.removeprefix("test_").replace("_", " ").replace("[", ", ").removesuffix("]")
        line = f"- `{file}`, {test}: {figures} ({report.duration:,.0f} s)"
        terminalreporter.line(textwrap.fill(line, 119, subsequent_indent="  ", break_on_hyphens=False))
