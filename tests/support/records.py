"""Records as an import takes them."""

ORGANIZATION_ID = "org_00000000000000000000000000000001"
AGENT_ID = "agent_00000000000000000000000000000001"
CREATED_AT = "2026-02-27T13:13:53Z"


def harness_record(public_id: str, **keys: object) -> dict[str, object]:
    """Return a harness."""
    return {"id": public_id, "name": "generic", **keys}


def agent_record(public_id: str = AGENT_ID, **keys: object) -> dict[str, object]:
    """Return an agent."""
    return {"id": public_id, "name": "helper", **keys}


def session_record(name: int | str = 1, **keys: object) -> dict[str, object]:
    """Return the session `session_{name}` of the agent `AGENT_ID`."""
    return {"id": f"session_{name}", "agent_id": AGENT_ID, "created_at": CREATED_AT, **keys}


def daily_sessions(count: int, **keys: object) -> list[dict[str, object]]:
    """Return `session_1`, `session_2`, … created at midnight of consecutive days from 2026-02-01 on; at most 28."""
    return [session_record(n, created_at=f"2026-02-{n:02}T00:00:00Z", **keys) for n in range(1, count + 1)]
