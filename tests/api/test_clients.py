"""Programs of others against the running service: the official SDK, unmodified, and a generated client."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from everruns_sdk import Everruns
from flask.testing import FlaskClient

from everruns.api.errors import OFFER, unauthorized
from everruns.records import Organization
from everruns.store.db import Database
from tests.support import ROOT
from tests.support.client import ids
from tests.support.database import import_records
from tests.support.records import AGENT_ID, agent_record, daily_sessions, session_record
from tests.support.server import serve

WRONG_KEY = f"evr_{'A' * 43}"
RELEASES = ["0.1.2", "0.1.10", "0.2.1", "newest"]
SDK = ROOT / "tests/support/sdk_program.py"
GENERATED = ROOT / "tests/support/generated_client_program.py"


@pytest.fixture
def url(database: Database) -> Iterator[str]:
    """The URL of the running service."""
    with serve(database.path, "app:app") as url:
        yield url


def run(program: Path, *arguments: str, **environment: str) -> dict[str, Any]:
    """Run a program in a process of its own; return what it prints."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("EVERRUNS_", "PYTHON"))}
    command = [sys.executable, str(program), *arguments]
    ran = subprocess.run(command, env=kept | environment, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    result: dict[str, Any] = json.loads(ran.stdout)
    return result


def run_sdk(release: str, url: str, key: str) -> dict[str, Any]:
    """Run the program for the SDK with a release of it."""
    environment = {"EVERRUNS_API_URL": url, "EVERRUNS_API_KEY": key}
    if release != "newest":
        directory = Path(sys.prefix) / f"sdk-{release}"
        assert directory.is_dir(), "run 'make .venv/dev', which installs it"
        environment["PYTHONPATH"] = str(directory)
    result = run(SDK, WRONG_KEY, **environment)
    assert (result["version"] == release) == (release != "newest")
    return result


def agree(found: list[dict[str, Any]], served: list[dict[str, Any]]) -> bool:
    """Return whether the SDK found what is served; a release leaves out the keys that it does not know."""
    return [{**whole, **part} for part, whole in zip(found, served, strict=True)] == served


@pytest.mark.parametrize("release", RELEASES)
def test_program_for_the_official_sdk_runs_unmodified(client: FlaskClient, key: str, url: str, release: str) -> None:
    result = run_sdk(release, url, key)
    agents, sessions, capabilities, harnesses = (
        client.get(f"/v1/{path}").get_json()["data"]
        for path in ("agents", "sessions", "capabilities", "harnesses?include_archived=true&search=files")
    )
    assert agree([result["agent"]], agents)
    assert (agents[0]["name"], agents[0]["system_prompt"], agents[0]["tags"]) == ("support", "Answer.", [])
    assert agents[0]["capabilities"] == [{"ref": "session_schedule", "config": {"daily": True}}]
    assert agree(result["sessions"], sessions)
    assert [session["title"] for session in sessions] == [None, "Refund for order 4417"]
    assert [session["features"] for session in sessions] == [["schedules"], ["file_system", "schedules"]]
    assert agree(result["capabilities"], capabilities)
    assert result["capability"] == result["capabilities"][-1]
    if release in ("0.1.2", "0.1.10"):
        assert "harness" not in result
    else:
        assert result["harness"]["capabilities"] == [{"ref": "session_file_system"}]
        assert [harness["status"] for harness in harnesses] == ["archived"]

    assert result["not found"] == "there is no agent agent_none in this organization"
    assert len(result["not offered"]) == {"0.1.2": 6, "0.1.10": 15}.get(release, 17)
    assert all(message.endswith(OFFER) for message in result["not offered"])
    if release != "0.1.2":
        assert result["not kept"] == [400, "invalid_request", "locale is not kept by this service"]
    assert result["wrong key"] == [401, "unauthorized", unauthorized().message]


def test_every_call_of_the_newest_sdk_is_documented() -> None:
    text = (ROOT / "docs/API.md").read_text("utf-8")
    documented = set(re.findall(r"`([a-z_]+\.(?:[a-z_]+|\*))", text))
    client = Everruns("key", "http://127.0.0.1")
    resources = [name for name, value in vars(Everruns).items() if isinstance(value, property)]
    for resource in resources:
        for call in vars(type(getattr(client, resource))):
            if not call.startswith("_"):
                assert documented & {f"{resource}.*", f"{resource}.{call}"}, f"{resource}.{call}"


def test_generated_client_creates_reads_changes_and_deletes(
    client: FlaskClient, database: Database, organization: Organization, key: str, url: str, tmp_path: Path
) -> None:
    newest = session_record(
        25,
        title="All of it",
        tags=["a", "b"],
        model_id="model_1",
        capabilities=[{"ref": "memory", "config": {"scope": "session"}}, "openui"],
        status="idle",
        created_at="2026-02-27T13:13:53.123456Z",
    )
    import_records(database, organization, agent_record(), *daily_sessions(24), newest)
    config = tmp_path / "config.yml"
    config.write_text("post_hooks: []  # which only format the code\n")
    command = [str(Path(sys.executable).with_name("openapi-python-client")), "generate", "--fail-on-warning"]
    command += ["--url", f"{url}/api-doc/openapi.json", "--config", str(config)]
    command += ["--meta", "none", "--output-path", str(tmp_path / "generated")]
    generated = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert generated.returncode == 0, generated.stdout + generated.stderr
    served = client.get("/v1/sessions?limit=1").get_json()["data"][0]

    result = run(GENERATED, url, key, PYTHONPATH=str(tmp_path))
    assert result["newest"].pop("created_at") == "2026-02-27T13:13:53.123456+00:00"
    assert result["newest"].pop("updated_at") == "2026-02-27T13:13:53.123456+00:00"
    assert agree([result["newest"]], [served])
    assert result["pages"] == [f"session_{n}" for n in range(25, 0, -1)]
    assert result["filtered"] == [["session_25"], ["session_25"], ["session_25"]]
    assert result["counts"] == {"total": 25, "started": 24, "active": 0, "idle": 1}
    assert (result["activity"], result["organization"], result["features"]) == (1, "Acme", ["file_system"])
    assert result["session counts"] == [1]
    changed = {key: result["changed"][key] for key in ("title", "status", "capabilities", "features")}
    assert changed == {
        "title": None,
        "status": "idle",
        "capabilities": [{"ref": "memory"}, {"ref": "openui"}],
        "features": ["file_system", "openui"],
    }
    assert result["errors"] == [
        "session_new exists; use PUT to replace it or PATCH to change it",
        "agent_id must be of an existing agent; got 'agent_none'",
        "limit must be from 1 to 100; got '0'",
    ]
    assert result["agents"] == [["helper"], ["helper", "support"]]
    assert result["wrong key"] == [401, "unauthorized"]
    assert ids(client.get("/v1/sessions?limit=2")) == ["session_new", "session_25"]
    assert client.get(f"/v1/agents/{AGENT_ID}").get_json()["status"] == "active"
