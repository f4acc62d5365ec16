"""Records of an import: those that are seen to be right at a glance are what the schema would load."""

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from everruns import schemas
from everruns.values import BASE_HARNESS

TEXTS = st.text("aZ é漢\x00\n", max_size=4)
JSON_VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 1.5, "", "x", [], ["x"], [None], [[]], {}, {"a": {"b": [1]}}]
)
INSTANTS = st.sampled_from(
    [
        "2026-02-27T13:13:53.000000Z",
        "2026-02-27T13:13:53Z",
        "2026-02-27T14:13:53.5+01:00",
        "2026-02-30T13:13:53.000000Z",
        "2026-02-27T24:00:00.000000Z",
        "2026-02-27T13:13:60.000000Z",
        "0000-01-01T00:00:00.000000Z",
        "2026-02-27T13:13:53.000000Z\n",
        "２026-02-27T13:13:53.000000Z",
        "",
        None,
    ]
)
REFERENCES = st.one_of(
    st.sampled_from(["skills", "mcp:linear", "", " ", {"ref": "skills"}, {"ref": "skills", "config": {"a": [1]}}]),
    st.fixed_dictionaries({"ref": st.sampled_from(["skills", "", None, 1]), "config": JSON_VALUES}),
    JSON_VALUES,
)
KEYS: dict[str, st.SearchStrategy[Any]] = {
    "id": st.sampled_from(
        ["session_1", "session_", "session_" + "a" * 64, "session_" + "a" * 65, "session_ä", "agent_1"]
    ),
    "agent_id": st.sampled_from(["agent_1", "agent_019c60b1-e40c-7000", "agent_1\n", "AGENT_1", "session_1", ""]),
    "harness_id": st.sampled_from(
        [
            None,
            "harness_1",
            "harness_",
            "harness_1\n",
            "agent_1",
            BASE_HARNESS,
            "harness_01933B5A-000070008000000000000601",
        ]
    ),
    "title": st.none() | TEXTS,
    "tags": st.none() | st.lists(TEXTS | JSON_VALUES, max_size=4) | st.lists(TEXTS, max_size=4),
    "model_id": st.none() | TEXTS,
    "capabilities": st.none() | st.lists(REFERENCES, max_size=4),
    "status": st.sampled_from(["started", "active", "idle", "Idle", "gone", "", None, ["idle"]]),
    "created_at": INSTANTS,
    "updated_at": INSTANTS,
    "features": JSON_VALUES,
}
RIGHT = {"id": "session_1", "agent_id": "agent_1", "status": "idle", "created_at": "2026-02-27T13:13:53.000000Z"}
RECORDS = st.builds(
    lambda changed, broken: RIGHT | changed | broken,
    st.fixed_dictionaries({}, optional=KEYS),
    st.dictionaries(st.sampled_from([*KEYS]), JSON_VALUES, max_size=1),
)


@settings(max_examples=1000)
@given(RECORDS)
@example({**RIGHT})
@example({"id": "session_1"})
def test_a_plain_record_is_loaded_as_the_schema_loads_it(record: dict[str, Any]) -> None:
    try:
        loaded = schemas.SessionSchema().load(record)
    except ValidationError as error:
        expected: Any = error.messages
    else:
        tags = schemas.as_json(loaded["tags"] or [])
        expected = {**loaded, "tags": tags, "capabilities": loaded["capabilities"] or []}
        if (loaded["harness_id"] or "").replace("-", "").lower() == BASE_HARNESS:
            expected |= {"harness_id": None}
    try:
        told: object = schemas.session(record)._asdict()
    except ValidationError as error:
        told = error.messages
    assert told == expected
