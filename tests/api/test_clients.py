"""Programs of others against the running service: the official SDK, unmodified, and a generated client."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from everruns.api.errors import Unauthorized
from everruns.records import Organization
from everruns.store.db import Database
from tests.support.database import import_records
from tests.support.records import agent_record, daily_sessions, session_record
from tests.support.server import serve

OTHER_AGENT_ID = "agent_00000000000000000000000000000002"
WRONG_KEY = f"evr_{'A' * 43}"
SDK = """
import asyncio, importlib.metadata, json, sys
from everruns_sdk import Everruns, Session
from everruns_sdk.errors import AuthenticationError

agent_id, wrong_key = sys.argv[1:]

def dump(sessions):
    assert all(isinstance(session, Session) for session in sessions)
    return [session.model_dump(mode="json", exclude_unset=True) for session in sessions]

async def main():
    result = {"version": importlib.metadata.version("everruns-sdk")}
    async with Everruns() as client:
        result["all"] = dump(await client.sessions.list())
        result["of agent"] = dump(await client.sessions.list(agent_id=agent_id))
    async with Everruns(api_key=wrong_key) as client:
        try:
            await client.sessions.list()
        except AuthenticationError as error:
            result["wrong key"] = {"code": error.code, "message": error.message, "status": error.status_code}
    return result

print(json.dumps(asyncio.run(main())))
"""
GENERATED = """
import datetime, json, sys
from generated import AuthenticatedClient
from generated.api.sessions import list_sessions
from generated.models import Error, SessionsPage, SessionStatus

url, key, agent_id = sys.argv[1:]
with AuthenticatedClient(base_url=url, token=key, raise_on_unexpected_status=True) as client:
    first = list_sessions.sync(client=client)
    assert isinstance(first, SessionsPage), first
    newest = first.data[0]
    assert newest.status is SessionStatus.IDLE
    assert newest.capabilities[0].config.to_dict() == {"scope": "session"}
    of_agent = list_sessions.sync(client=client, agent_id=agent_id)
    since = list_sessions.sync(client=client, created_after=newest.created_at)
    pages = [list_sessions.sync(client=client, offset=offset, limit=10) for offset in (0, 10, 20)]
    refused = list_sessions.sync(client=client, limit=0)
    assert isinstance(refused, Error), refused
with AuthenticatedClient(base_url=url, token=key + "x", raise_on_unexpected_status=True) as client:
    wrong_key = list_sessions.sync_detailed(client=client)
    assert isinstance(wrong_key.parsed, Error), wrong_key
print(json.dumps({
    "first": [first.to_dict()["data"][0], len(first.data), first.total, first.offset, first.limit],
    "of agent": [session.id for session in of_agent.data],
    "since": since.total,
    "pages": [session.id for page in pages for session in page.data],
    "refused": refused.error.fields.to_dict(),
    "wrong key": [wrong_key.status_code, wrong_key.parsed.error.code, wrong_key.parsed.error.message],
}))
"""


@pytest.fixture
def sessions(database: Database, organization: Organization) -> None:
    """25 sessions: the newest has a value for each key, the third is of another agent."""
    records = daily_sessions(24)
    records[2]["agent_id"] = OTHER_AGENT_ID
    newest = session_record(
        25,
        title="All of it",
        tags=["a", "b"],
        model_id="model_1",
        capabilities=[{"ref": "memory", "config": {"scope": "session"}}, "openui"],
        status="idle",
        created_at="2026-02-27T13:13:53.123456Z",
    )
    import_records(database, organization, agent_record(), agent_record(OTHER_AGENT_ID), *records, newest)


@pytest.fixture
def url(database: Database, sessions: None) -> Iterator[str]:
    """The URL of the running service."""
    with serve(database.path) as url:
        yield url


def without(session: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in session.items() if key not in keys}


@pytest.mark.parametrize("release", ["0.1.2", "newest"])
def test_official_sdk_lists_sessions(client: FlaskClient, key: str, url: str, release: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("EVERRUNS_", "PYTHON"))}
    environment |= {"EVERRUNS_API_URL": url, "EVERRUNS_API_KEY": key}
    if release != "newest":
        directory = Path(sys.prefix) / f"sdk-{release}"
        assert directory.is_dir(), "run 'make .venv/dev', which installs it"
        environment["PYTHONPATH"] = str(directory)
    command = [sys.executable, "-c", SDK, OTHER_AGENT_ID, WRONG_KEY]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout)
    assert (result["version"] == "0.1.2") == (release == "0.1.2")
    served = client.get("/v1/sessions").get_json()["data"]
    unknown = ["features", "harness_id"] if release == "0.1.2" else []
    assert result["all"] == [without(session, *unknown) for session in served]
    assert [(session["id"], session["agent_id"]) for session in result["of agent"]] == [("session_3", OTHER_AGENT_ID)]
    assert result["wrong key"] == {"code": "unauthorized", "message": Unauthorized().message, "status": 401}


def test_generated_client_lists_filters_and_pages(client: FlaskClient, key: str, url: str, tmp_path: Path) -> None:
    config = tmp_path / "config.yml"
    config.write_text("post_hooks: []  # which only format the code\n")
    command = [str(Path(sys.executable).with_name("openapi-python-client")), "generate", "--fail-on-warning"]
    command += ["--url", f"{url}/api-doc/openapi.json", "--config", str(config)]
    command += ["--meta", "none", "--output-path", str(tmp_path / "generated")]
    generated = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert generated.returncode == 0, generated.stdout + generated.stderr
    command = [sys.executable, "-c", GENERATED, url, key, OTHER_AGENT_ID]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout)
    newest, *counts = result["first"]
    served = client.get("/v1/sessions").get_json()["data"][0]
    assert newest.pop("created_at") == "2026-02-27T13:13:53.123456+00:00"
    assert without(newest, "updated_at") == without(served, "created_at", "updated_at")
    assert counts == [20, 25, 0, 20]
    assert result["of agent"] == ["session_3"]
    assert result["since"] == 1
    assert result["pages"] == [f"session_{n}" for n in range(25, 0, -1)]
    assert result["refused"] == {"limit": ["must be from 1 to 100; got '0'"]}
    assert result["wrong key"] == [401, "unauthorized", Unauthorized().message]
