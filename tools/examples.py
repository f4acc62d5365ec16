"""Examples in the description of the API. Tests compare them with what the service returns."""

from everruns.ids import BASE_HARNESS

AGENT_ID = "agent_019c60b1e40c7000b1f7c2a86de0394f"
HARNESS_ID = "harness_019c60b1e40c7000b1f7c2a86de01111"
ORGANIZATION_ID = "org_00000000000000000000000000000001"
SESSION_ID = "session_f735efe608d180113e940bb452d31e1b"
REQUEST_ID = "0a6d3f5c9b1e4f0e8d7c6b5a49382716"
ETAG = 'W/"5d41402abc4b2a76b9719d911017c592"'
LINK = (
    '<?offset=0&limit=20>; rel="first", '
    '<?created_before=2026-02-27T19:01:17.685983Z&offset=20&limit=20>; rel="next", '
    '<?created_before=2026-02-27T19:01:17.685983Z&offset=140&limit=20>; rel="last"'
)
SESSION = {
    "id": SESSION_ID,
    "organization_id": ORGANIZATION_ID,
    "harness_id": BASE_HARNESS,
    "agent_id": AGENT_ID,
    "title": "Why is checkout slow?",
    "tags": ["debugging", "urgent"],
    "model_id": "model_01933b5a000070008000000000000201",
    "capabilities": [{"ref": "memory", "config": {"scope": "session"}}, {"ref": "openui"}],
    "status": "idle",
    "features": ["file_system", "openui", "schedules"],
    "created_at": "2026-02-27T19:01:17.685982Z",
    "updated_at": "2026-02-27T20:00:46.685982Z",
}
AGENT = {
    "id": AGENT_ID,
    "organization_id": ORGANIZATION_ID,
    "harness_id": BASE_HARNESS,
    "name": "support",
    "display_name": "Support",
    "description": None,
    "system_prompt": "Answer politely.",
    "default_model_id": None,
    "tags": [],
    "capabilities": [{"ref": "session_schedule"}],
    "status": "active",
    "archived_at": None,
    "created_at": "2026-02-01T08:00:00.000000Z",
    "updated_at": "2026-02-01T08:00:00.000000Z",
}
HARNESS = {
    "id": HARNESS_ID,
    "organization_id": ORGANIZATION_ID,
    "name": "files",
    "display_name": None,
    "description": "For sessions that write files",
    "system_prompt": "",
    "default_model_id": None,
    "tags": [],
    "capabilities": [{"ref": "session_file_system"}],
    "status": "active",
    "is_built_in": False,
    "archived_at": None,
    "created_at": "2026-02-01T08:00:00.000000Z",
    "updated_at": "2026-02-01T08:00:00.000000Z",
}
CAPABILITY = {
    "id": "memory",
    "name": "Memory",
    "description": "",
    "category": "Memory",
    "status": "available",
    "dependencies": ["session_file_system"],
    "features": ["file_system"],
}
ACTIVITY = {
    "data": [{"day": "2026-02-26", "sessions": 3}, {"day": "2026-02-27", "sessions": 1}],
    "total": 4,
    "days": 2,
    "until": "2026-02-27",
}
COUNTS = {"total": 4, "started": 3, "active": 0, "idle": 1}
ORGANIZATION = {"id": ORGANIZATION_ID, "name": "Acme"}

RECORDS = {"session": SESSION, "agent": AGENT, "harness": HARNESS}
BODIES = {
    "session": {"agent_id": AGENT_ID, "title": "Why is checkout slow?", "tags": ["debugging"], "status": "active"},
    "agent": {"name": "support", "system_prompt": "Answer politely.", "capabilities": ["session_schedule"]},
    "harness": {"name": "files", "capabilities": ["session_file_system"]},
}
CHANGES = {
    "session": {"status": "idle"},
    "agent": {"description": "For customers"},
    "harness": {"description": None},
}
