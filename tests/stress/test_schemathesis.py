"""The running service agrees with its OpenAPI document, for requests that schemathesis generates from it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from everruns.records import Organization
from everruns.store.db import Database
from tests.stress.scale import scaled
from tests.support import ROOT
from tests.support.database import import_records
from tests.support.records import daily_sessions
from tests.support.server import serve
from tools import examples

DOCUMENT = ROOT / "everruns/api/openapi.json"
CONFIG = Path(__file__).with_name("schemathesis.toml")


@pytest.mark.parametrize(("phases", "examples_each"), [("examples,coverage", 1), ("fuzzing,stateful", 3)])
def test_schemathesis_finds_no_failure(
    database: Database, organization: Organization, key: str, tmp_path: Path, phases: str, examples_each: int
) -> None:
    sessions = daily_sessions(25, agent_id=examples.AGENT_ID)
    import_records(database, organization, examples.HARNESS, examples.AGENT, *sessions, examples.SESSION)
    # Long URLs are refused by gunicorn in its own words.
    with serve(database.path, "--limit-request-line", "0", "app:app") as url:
        command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(CONFIG), "run"]
        command += [str(DOCUMENT), "--url", url, "--header", f"Authorization: Bearer {key}", "--phases", phases]
        command += ["--max-examples", str(scaled(examples_each)), "--continue-on-failure", "--no-color"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1"}
        ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    operations = sum(len(methods) for methods in json.loads(DOCUMENT.read_text("utf-8"))["paths"].values())
    assert f"Tested: {operations}\n" in ran.stdout
    for phase in phases.split(","):
        assert f"✅ {phase.capitalize()}" in ran.stdout
