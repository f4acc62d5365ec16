"""A program for a client that is generated from the description. Run by tests/api/test_clients.py."""

import datetime
import json
import sys
from typing import Any

from generated import AuthenticatedClient
from generated.api.agents import archive_agent, change_agent, create_agent, get_agent, list_agents, replace_agent
from generated.api.capabilities import get_capability
from generated.api.harnesses import create_harness, list_harnesses
from generated.api.organization import get_organization
from generated.api.sessions import (
    change_session,
    count_sessions,
    create_session,
    delete_session,
    get_session,
    list_activity,
    list_sessions,
    replace_session,
)
from generated.models import (
    AgentBody,
    AgentChanges,
    CapabilityRefBody,
    Error,
    HarnessBody,
    ListAgentsInclude,
    SessionBody,
    SessionBodyStatus,
    SessionChanges,
    SessionChangesStatus,
    SessionStatus,
)


def read(client: Any, result: dict[str, Any]) -> None:
    newest = list_sessions.sync(client=client).data[0]
    assert newest.status is SessionStatus.IDLE
    assert newest.capabilities[0].config.to_dict() == {"scope": "session"}
    result["newest"] = newest.to_dict()
    pages = [list_sessions.sync(client=client, offset=offset, limit=10) for offset in (0, 10, 20)]
    result["pages"] = [session.id for page in pages for session in page.data]
    filters: list[dict[str, Any]] = [{"tag": ["a", "b"]}, {"search": "ALL OF"}, {"created_after": newest.created_at}]
    found = [list_sessions.sync(client=client, **arguments).data for arguments in filters]
    result["filtered"] = [[session.id for session in sessions] for sessions in found]
    result["counts"] = count_sessions.sync(client=client).to_dict()
    result["activity"] = list_activity.sync(client=client, days=1, until=datetime.date(2026, 2, 27)).total
    result["organization"] = get_organization.sync(client=client).name
    result["features"] = get_capability.sync("memory", client=client).features


def write_agents(client: Any) -> str:
    harness = create_harness.sync(client=client, body=HarnessBody(name="files", capabilities=["session_file_system"]))
    assert harness.id in [listed.id for listed in list_harnesses.sync(client=client).data]
    agent = create_agent.sync(client=client, body=AgentBody(name="support", harness_id=harness.id))
    assert get_agent.sync(agent.id, client=client) == agent
    replace_agent.sync(agent.id, client=client, body=AgentBody(name="support", system_prompt="Answer."))
    changed = change_agent.sync(agent.id, client=client, body=AgentChanges(description="For customers"))
    assert (changed.id, changed.system_prompt, changed.description) == (agent.id, "Answer.", "For customers")
    return str(agent.id)


def write_sessions(client: Any, result: dict[str, Any], agent_id: str) -> None:
    body = SessionBody(
        agent_id=agent_id,
        title="Refund",
        capabilities=[CapabilityRefBody(ref="memory"), "openui"],
        status=SessionBodyStatus.ACTIVE,
    )
    session = create_session.sync(client=client, body=body)
    assert get_session.sync(session.id, client=client) == session
    agents = list_agents.sync(client=client, include=ListAgentsInclude.SESSION_COUNTS, search="support").data
    result["session counts"] = [agent.session_counts.active for agent in agents]
    change_session.sync(session.id, client=client, body=SessionChanges(title=None, status=SessionChangesStatus.IDLE))
    result["changed"] = get_session.sync(session.id, client=client).to_dict()
    replace_session.sync("session_new", client=client, body=SessionBody(title="Other", tags=["x"]))
    errors = [
        create_session.sync(client=client, body=SessionBody(id="session_new")),
        create_session.sync(client=client, body=SessionBody(agent_id="agent_none")),
        list_sessions.sync(client=client, limit=0),
    ]
    result["errors"] = [error.error.message for error in errors if isinstance(error, Error)]
    assert delete_session.sync_detailed(session.id, client=client).status_code == 204
    assert delete_session.sync_detailed(session.id, client=client).status_code == 404


def main(url: str, key: str) -> dict[str, Any]:
    result: dict[str, Any] = {}
    with AuthenticatedClient(base_url=url, token=key, raise_on_unexpected_status=True) as client:
        read(client, result)
        agent_id = write_agents(client)
        write_sessions(client, result, agent_id)
        assert archive_agent.sync_detailed(agent_id, client=client).status_code == 204
        found = [list_agents.sync(client=client, include_archived=archived).data for archived in (False, True)]
        result["agents"] = [[agent.name for agent in agents] for agents in found]
    with AuthenticatedClient(base_url=url, token=f"{key}x", raise_on_unexpected_status=True) as client:
        wrong_key = list_sessions.sync_detailed(client=client)
        result["wrong key"] = [wrong_key.status_code, wrong_key.parsed.error.code]
    return result


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
