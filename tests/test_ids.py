"""Public ids."""

import re
import time
from uuid import UUID

import pytest

from everruns.ids import BASE_HARNESS, canonical_id, is_id, new_id


@pytest.mark.parametrize("public_id", ["agent_1", "agent_" + "a" * 64, "agent_-", "agent_0123-ABC-xyz"])
def test_valid_ids(public_id: str) -> None:
    assert is_id(public_id, "agent")


@pytest.mark.parametrize(
    "public_id",
    ["", "agent", "agent_", "agent_" + "a" * 65, "agent_é", "agent_a\n", "Agent_1", "session_1", "agent_a b"],
)
def test_invalid_ids(public_id: str) -> None:
    assert not is_id(public_id, "agent")


def test_ids_that_differ_only_in_dashes_and_letter_case_are_the_same() -> None:
    forms = ["agent_01234567-89ab", "agent_0123456789AB", "agent_-0-123456789ab-"]
    assert {canonical_id(form) for form in forms} == {"agent_0123456789ab"}
    assert canonical_id(BASE_HARNESS) == BASE_HARNESS
    assert canonical_id("agent_\u212a") != "agent_k", "the Kelvin sign becomes k in lower case"


def test_new_id_is_a_uuid_version_7_of_the_current_time() -> None:
    before = time.time_ns() // 1_000_000
    public_id = new_id("session")
    after = time.time_ns() // 1_000_000
    assert re.fullmatch("session_[0-9a-f]{32}", public_id)
    uuid = UUID(public_id.removeprefix("session_"))
    assert (uuid.version, uuid.variant) == (7, "specified in RFC 4122")
    assert before <= uuid.int >> 80 <= after


def test_new_ids_differ() -> None:
    assert len({new_id("org") for _ in range(1000)}) == 1000
