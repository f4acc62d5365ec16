"""A program for the official SDK, in any of its releases: it prints what it found. Run by tests/api/test_clients.py."""

import asyncio
import importlib.metadata
import inspect
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

from everruns_sdk import AgentCapabilityConfig, Everruns
from everruns_sdk.errors import ApiError, AuthenticationError, NotFoundError


def dump(model: Any) -> Any:
    """Return the keys that the service sent."""
    return model.model_dump(mode="json", exclude_unset=True)


async def use_capabilities(client: Any, result: dict[str, Any]) -> None:
    capabilities = await client.capabilities.list()
    result["capabilities"] = [dump(capability) for capability in capabilities]
    result["capability"] = dump(await client.capabilities.get(capabilities[-1].id))


async def use_harnesses(client: Any, result: dict[str, Any]) -> None:
    files = [AgentCapabilityConfig(ref="session_file_system")]
    created = await client.harnesses.create("files", "", capabilities=files)
    changed = await client.harnesses.update(created.id, description="Writes files")
    assert (changed.id, changed.description) == (created.id, "Writes files")
    assert await client.harnesses.get(created.id) == changed
    assert changed in await client.harnesses.list()
    assert await client.harnesses.search("FILES") == [changed]
    await client.harnesses.delete(created.id)
    assert await client.harnesses.search("FILES") == []
    result["harness"] = dump(changed)


async def use_agents(client: Any, result: dict[str, Any]) -> Any:
    created = await client.agents.create("support", "Answer politely.", tags=["a"])
    schedule = [AgentCapabilityConfig(ref="session_schedule", config={"daily": True})]
    applied = await client.agents.apply(created.id, "support", "Answer.", capabilities=schedule)
    other = await client.agents.apply("agent_00000000000000000000000000000009", "other", "Answer.")
    assert (created.id, created.created_at, created.tags) == (applied.id, applied.created_at, ["a"])
    assert await client.agents.get(applied.id) == applied
    assert await client.agents.list() == [other, applied]
    await client.agents.delete(other.id)
    assert await client.agents.list() == [applied]
    result["agent"] = dump(applied)
    return applied


async def use_sessions(client: Any, result: dict[str, Any], agent: Any) -> Any:
    memory = [AgentCapabilityConfig(ref="memory")]
    first = await client.sessions.create(agent_id=agent.id, title="Refund for order 4417", capabilities=memory)
    second = await client.sessions.create(agent_id=agent.id, model_id="model_1")
    third = await client.sessions.create(agent_id=agent.id)
    assert await client.sessions.get(first.id) == first
    assert await client.sessions.list() == [third, second, first]
    assert await client.sessions.list(agent_id=agent.id) == [third, second, first]
    assert await client.sessions.list(agent_id="agent_none") == []
    if "search" in inspect.signature(client.sessions.list).parameters:
        assert await client.sessions.list(agent_id=agent.id, search="REFUND") == [first]
    await client.sessions.delete(third.id)
    result["sessions"] = [dump(session) for session in await client.sessions.list()]
    return first


async def messages_of_calls_not_offered(client: Any, agent: Any, session: Any) -> AsyncIterator[str]:
    calls = [
        (client.agents.import_agent, "name: support"),
        (client.agents.export, agent.id),
        (client.sessions.cancel, session.id),
        (client.messages.create, session.id, "Hello"),
        (client.messages.list, session.id),
        (client.events.list, session.id),
    ]
    if hasattr(client, "budgets"):
        calls += [(call, agent.id) for call in (client.agents.copy, client.agents.stats, client.agents.list_versions)]
        calls += [(client.sessions.pin, session.id), (client.sessions.export, session.id)]
        calls += [(getattr(client, name).list,) for name in ("budgets", "connections", "memories", "workspaces")]
    if hasattr(client, "models"):
        calls += [(client.models.list,), (client.harnesses.list_examples,)]
    for call, *arguments in calls:
        try:
            await call(*arguments)
        except NotFoundError as error:
            yield error.message


async def main(wrong_key: str) -> dict[str, Any]:
    result: dict[str, Any] = {"version": importlib.metadata.version("everruns-sdk")}
    async with Everruns() as client:
        await use_capabilities(client, result)
        if hasattr(client, "harnesses"):
            await use_harnesses(client, result)
        agent = await use_agents(client, result)
        session = await use_sessions(client, result, agent)
        result["not offered"] = [message async for message in messages_of_calls_not_offered(client, agent, session)]
        try:
            await client.agents.get("agent_none")
        except NotFoundError as error:
            result["not found"] = error.message
        if "locale" in inspect.signature(client.sessions.create).parameters:
            try:
                await client.sessions.create(locale="de")
            except ApiError as error:
                result["not kept"] = [error.status_code, error.code, error.message]
    async with Everruns(api_key=wrong_key) as client:
        try:
            await client.sessions.list()
        except AuthenticationError as error:
            result["wrong key"] = [error.status_code, error.code, error.message]
    return result


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1]))))
