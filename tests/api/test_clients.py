"""Programs of others against the running service: the official SDKs, unmodified, and a generated client."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from everruns.errors import Unauthorized
from tests.conftest import World, agent, serving, session

OTHER_AGENT = "agent_00000000000000000000000000000002"
WRONG_KEY = f"evr_{'A' * 43}"
SDK = """
import asyncio, importlib.metadata, json, sys
from everruns_sdk import Everruns, Session
from everruns_sdk.errors import AuthenticationError

agent_id, wrong_key = sys.argv[1:]

def plain(sessions):
    assert all(isinstance(session, Session) for session in sessions)
    return [session.model_dump(mode="json", exclude_unset=True) for session in sessions]

async def ask():
    told = {"version": importlib.metadata.version("everruns-sdk")}
    async with Everruns() as client:
        told["all"] = plain(await client.sessions.list())
        told["of agent"] = plain(await client.sessions.list(agent_id=agent_id))
    async with Everruns(api_key=wrong_key) as client:
        try:
            await client.sessions.list()
        except AuthenticationError as error:
            told["stranger"] = {"code": error.code, "message": error.message, "status": error.status_code}
    return told

print(json.dumps(asyncio.run(ask())))
"""
GENERATED = """
import datetime, json, sys
from generated import AuthenticatedClient
from generated.api.sessions import list_sessions
from generated.models import Error, SessionsPage, SessionStatus

address, key, agent_id = sys.argv[1:]
with AuthenticatedClient(base_url=address, token=key, raise_on_unexpected_status=True) as client:
    first = list_sessions.sync(client=client)
    assert isinstance(first, SessionsPage), first
    newest = first.data[0]
    assert newest.status is SessionStatus.IDLE
    assert newest.capabilities[0].config.to_dict() == {"scope": "session"}
    of_agent = list_sessions.sync(client=client, agent_id=agent_id)
    since = list_sessions.sync(client=client, created_after=newest.created_at)
    walked = [list_sessions.sync(client=client, offset=offset, limit=10) for offset in (0, 10, 20)]
    refused = list_sessions.sync(client=client, limit=0)
    assert isinstance(refused, Error), refused
with AuthenticatedClient(base_url=address, token=key + "x", raise_on_unexpected_status=True) as client:
    stranger = list_sessions.sync_detailed(client=client)
    assert isinstance(stranger.parsed, Error), stranger
print(json.dumps({
    "first": [first.to_dict()["data"][0], len(first.data), first.total, first.offset, first.limit],
    "of agent": [session.id for session in of_agent.data],
    "since": since.total,
    "walked": [session.id for page in walked for session in page.data],
    "refused": refused.error.fields.to_dict(),
    "stranger": [stranger.status_code, stranger.parsed.error.code, stranger.parsed.error.message],
}))
"""


@pytest.fixture
def key(world: World) -> str:
    """25 sessions, the newest with a value for everything, and the third one of another agent."""
    org, key = world.organization()
    newest = session(
        25,
        title="All of it",
        tags=["a", "b"],
        model_id="model_1",
        capabilities=[{"ref": "memory", "config": {"scope": "session"}}, "openui"],
        status="idle",
        created_at="2026-02-27T13:13:53.123456Z",
    )
    others = [session(n, created_at=f"2026-02-{n:02}T00:00:00Z") for n in range(1, 25)]
    others[2]["agent_id"] = OTHER_AGENT
    world.load(org, agent(), agent(OTHER_AGENT), *others, newest)
    return key


@pytest.fixture
def address(world: World, key: str) -> Iterator[str]:
    with serving(world.path) as address:
        yield address


@pytest.mark.parametrize("release", ["0.1.2", "newest"])
def test_a_program_for_the_official_sdk_runs_here_by_one_variable(
    world: World, key: str, address: str, release: str
) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("EVERRUNS_", "PYTHON"))}
    environment |= {"EVERRUNS_API_URL": address, "EVERRUNS_API_KEY": key}
    if release != "newest":
        folder = Path(sys.prefix) / f"sdk-{release}"
        assert folder.is_dir(), f"{folder} is missing: 'make .venv/dev' puts it there"
        environment["PYTHONPATH"] = str(folder)
    command = [sys.executable, "-c", SDK, OTHER_AGENT, WRONG_KEY]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert (told["version"] == "0.1.2") == (release == "0.1.2")
    served = world.json(key)["data"]
    unknown = ["features", "harness_id"] if release == "0.1.2" else []
    assert told["all"] == [without(session, *unknown) for session in served]
    assert [(session["id"], session["agent_id"]) for session in told["of agent"]] == [("session_3", OTHER_AGENT)]
    assert told["stranger"] == {"code": "unauthorized", "message": Unauthorized().message, "status": 401}


def without(session: dict[str, object], *names: str) -> dict[str, object]:
    return {name: value for name, value in session.items() if name not in names}


def test_a_client_generated_from_the_description_lists_filters_and_pages(
    world: World, key: str, address: str, tmp_path: Path
) -> None:
    config = tmp_path / "config.yml"
    config.write_text("post_hooks: []  # which only tidy the code\n")
    command = [str(Path(sys.executable).with_name("openapi-python-client")), "generate", "--fail-on-warning"]
    command += ["--url", f"{address}/api-doc/openapi.json", "--config", str(config)]
    command += ["--meta", "none", "--output-path", str(tmp_path / "generated")]
    generated = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert generated.returncode == 0, generated.stdout + generated.stderr
    command = [sys.executable, "-c", GENERATED, address, key, OTHER_AGENT]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    newest, *counts = told["first"]
    served = world.json(key)["data"][0]
    assert newest.pop("created_at") == "2026-02-27T13:13:53.123456+00:00"
    assert without(newest, "updated_at") == without(served, "created_at", "updated_at")
    assert counts == [20, 25, 0, 20]
    assert told["of agent"] == ["session_3"]
    assert told["since"] == 1
    assert told["walked"] == [f"session_{n}" for n in range(25, 0, -1)]
    assert told["refused"] == {"limit": ["must be a whole number from 1 to 100, not '0'"]}
    assert told["stranger"] == [401, "unauthorized", Unauthorized().message]
