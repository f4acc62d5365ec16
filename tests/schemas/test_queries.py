"""Query arguments: what is valid, and what the errors say."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import quote

import pytest
from marshmallow import ValidationError

from everruns.records import ActivityQuery, ListQuery, SessionsQuery
from everruns.schemas.queries import (
    StatsQuerySchema,
    activity_query,
    agents_query,
    capabilities_query,
    harnesses_query,
    no_query,
    sessions_query,
    stats_query,
)

INVALID_LIMITS = ["-1", "+5", "1e2", "20.0", "1_0", "２０", "", " ", " 20", "abc", "٣", "1\n", "\u0000"]
OUT_OF_RANGE_LIMITS = ["0", "000", "101", "9" * 20, "9" * 6000]
INVALID_OFFSETS = ["-1", "NaN", "", "0x1", "1 "]
OUT_OF_RANGE_OFFSETS = ["2147483648", "9" * 6000]
INVALID_AGENT_IDS = [
    "01234567-89ab-cdef-0123-456789abcdef",
    "session_1",
    "agent_",
    "agent_" + "a" * 65,
    "agent_'",
    "agent_\u0000",
    "agent_a\n",
    "agent_ａ",
    "AGENT_a",
    "",
    "agent_" + "a" * 10_000,
]


def errors_of(parse: Callable[[bytes], object], query: str) -> dict[str, Any]:
    """Return the errors of a query string by argument."""
    with pytest.raises(ValidationError) as raised:
        parse(query.encode())
    errors: dict[str, Any] = raised.value.messages_dict
    return errors


def test_an_unknown_argument_is_refused_with_the_known_ones() -> None:
    rule = "is not an argument; this path takes agent_id, created_after, created_before"
    assert StatsQuerySchema().validate({"agent": "agent_1"}) == {"agent": [rule]}


def test_defaults() -> None:
    assert sessions_query(b"") == SessionsQuery(None, None, None, offset=0, limit=20)
    before = datetime.now(UTC).date()
    query = activity_query(b"")
    assert query == ActivityQuery(None, days=28, until=query.until)
    assert before <= query.until <= datetime.now(UTC).date()
    assert agents_query(b"") == ListQuery(None, offset=0, limit=1000, include_archived=False)
    assert capabilities_query(b"") == ListQuery(None, offset=0, limit=1000)


def test_all_arguments() -> None:
    query = (
        b"agent_id=agent_A-1&created_after=2026-02-01T00:00Z&created_before=2026-02-01T02%3A00%2B01&offset=7&limit=9"
    )
    expected = SessionsQuery("agent_A-1", "2026-02-01T00:00:00.000000Z", "2026-02-01T01:00:00.000000Z", 7, 9)
    assert sessions_query(query) == expected
    query = b"agent_id=agent_1&days=366&until=0002-01-01"
    assert activity_query(query) == ActivityQuery("agent_1", 366, date(2, 1, 1))


@pytest.mark.parametrize(("text", "value"), [("1", 1), ("100", 100), ("0020", 20), ("0" * 5000 + "7", 7)])
def test_whole_numbers_may_have_leading_zeros(text: str, value: int) -> None:
    assert sessions_query(f"limit={text}".encode()).limit == value


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [("limit", value, "must be a whole number from 1 to 100; got '") for value in INVALID_LIMITS]
    + [("limit", value, "must be from 1 to 100; got '") for value in OUT_OF_RANGE_LIMITS]
    + [("offset", value, "must be a whole number from 0 to 2147483647; got '") for value in INVALID_OFFSETS]
    + [("offset", value, "must be from 0 to 2147483647; got '") for value in OUT_OF_RANGE_OFFSETS]
    + [("agent_id", value, "must be agent_ and 1 to 64 of 0-9 A-Z a-z -; got '") for value in INVALID_AGENT_IDS],
)
def test_invalid_value_is_named_with_the_rule(name: str, value: str, rule: str) -> None:
    errors = errors_of(sessions_query, f"{name}={quote(value)}")
    assert list(errors) == [name]
    (message,) = errors[name]
    assert message.startswith(rule)
    assert len(message) < 200


@pytest.mark.parametrize("query", ["agent_id=agent_%00", "limit=%", "offset=%2"])
def test_malformed_value_is_refused(query: str) -> None:
    assert list(errors_of(sessions_query, query)) == [query.split("=")[0]]


@pytest.mark.parametrize("value", ["%FF", "a%c3", "%C3%28", "%ED%A0%80", "a&tag=%FF", "\udcff"])
def test_bytes_that_are_not_utf8_are_refused(value: str) -> None:
    query = f"limit=5&tag={value}&search=%EF%BF%BD".encode("utf-8", "surrogateescape")
    with pytest.raises(ValidationError) as raised:
        sessions_query(query)
    assert raised.value.messages == {"tag": ["must be valid UTF-8"]}
    for name in ("agent_id", "limit", "status", "created_after"):
        assert errors_of(sessions_query, f"{name}=%FF") == {name: ["must be valid UTF-8"]}


def test_replacement_character_is_a_character() -> None:
    assert sessions_query(b"search=%EF%BF%BD").search == sessions_query("search=\ufffd".encode()).search == "\ufffd"


def test_name_that_is_not_utf8_is_no_argument() -> None:
    assert list(errors_of(sessions_query, "li%FFmit=5")) == ["li?mit"]


def test_all_errors_are_reported_in_the_order_given() -> None:
    arguments = "agent_id, created_after, created_before, status, tag, search, offset, limit"
    assert errors_of(sessions_query, "limit=5&limit=5&offset=-1&agentid=agent_1&created_after=2026") == {
        "limit": ["must be given once; got it 2 times"],
        "offset": ["must be a whole number from 0 to 2147483647; got '-1'"],
        "agentid": [f"is not an argument; this path takes {arguments}"],
        "created_after": ["must be an ISO 8601 time with a zone, such as 2026-02-27T13:13:53Z; got '2026'"],
    }


@pytest.mark.parametrize(
    ("query", "name", "error"),
    [
        ("created_before=2026-02-03T00:00:00", "created_before", "must have a zone"),
        ("created_after=2026-02-03", "created_after", "must be an ISO 8601 time"),
        ("created_after=", "created_after", "must be an ISO 8601 time"),
        ("created_before=0001-01-01T00:00:00%2B01:00", "created_before", "must be a valid time (years 1 to 9999, UTC)"),
        ("created_before=9999-12-31T23:59:59.9999999Z", "created_before", "must be a valid time"),
        ("created_after=2026-02-03T00Z&created_after=2026-02-03T00Z", "created_after", "must be given once"),
        (
            "created_after=2026-02-03T00:00:00Z&created_before=2026-02-02T00:00:00Z",
            "created_before",
            "must not be before created_after, 2026-02-03T00:00:00.000000Z; got '2026-02-02T00:00:00.000000Z'",
        ),
        ("created_before=" + "2" * 4000, "created_before", "must be an ISO 8601 time"),
    ],
)
def test_invalid_period_is_refused(query: str, name: str, error: str) -> None:
    errors = errors_of(sessions_query, query)
    assert list(errors) == [name]
    assert errors[name][0].startswith(error)


def test_digits_after_the_microsecond_of_a_bound_mean_the_next_microsecond() -> None:
    query = sessions_query(b"created_after=2026-02-03T00:00:00.0000001Z&created_before=2026-02-03T00:00:00.0000010Z")
    assert query.created_after == query.created_before == "2026-02-03T00:00:00.000001Z"


@pytest.mark.parametrize(
    ("query", "name", "error"),
    [
        ("days=0", "days", "must be from 1 to 366; got '0'"),
        ("days=367", "days", "must be from 1 to 366; got '367'"),
        (
            "until=2026-02-30",
            "until",
            "must be a day from 0002-01-01 to 9999-12-31, such as 2026-02-27; got '2026-02-30'",
        ),
        ("until=20260227", "until", "must be a day"),
        ("until=2026-W01-1", "until", "must be a day"),
        ("until=0001-12-31", "until", "must be a day"),
        ("until=", "until", "must be a day"),
        ("until=2026-02-27&until=2026-02-27", "until", "must be given once; got it 2 times"),
        ("agent_id=x", "agent_id", "must be agent_"),
        ("limit=5", "limit", "is not an argument; this path takes agent_id, days, until"),
    ],
)
def test_invalid_activity_argument_is_refused(query: str, name: str, error: str) -> None:
    errors = errors_of(activity_query, query)
    assert list(errors) == [name]
    assert errors[name][0].startswith(error)


def test_sessions_are_filtered_by_status_tags_and_text() -> None:
    query = sessions_query(b"status=idle&tag=a&tag=b&search=%C3%A4")
    assert (query.status, query.tags, query.search) == ("idle", ("a", "b"), "ä")
    errors = errors_of(sessions_query, "status=done&status=idle&tag=&search=" + "x" * 201)
    assert errors == {
        "status": ["must be given once; got it 2 times"],
        "tag": ["must not be empty"],
        "search": ["must have at most 200 characters; got 201"],
    }
    assert errors_of(sessions_query, "status=")["status"][0].startswith("must be started, active or idle; got ''")


def test_stats_take_an_agent_and_a_period() -> None:
    query = stats_query(b"agent_id=agent_1&created_after=2026-02-01T00:00Z&created_before=2026-02-01T00:00Z")
    assert (query.agent_id, query.created_after) == ("agent_1", "2026-02-01T00:00:00.000000Z")
    assert list(errors_of(stats_query, "limit=5&created_after=now")) == ["limit", "created_after"]


def test_agents_are_searched_and_paged() -> None:
    arguments = "search=%C3%84%20a&offset=5&limit=1000&include_archived=true"
    assert harnesses_query(arguments.encode()) == ListQuery("Ä a", 5, 1000, include_archived=True)
    query = agents_query(f"{arguments}&include=session_counts".encode())
    assert query == ListQuery("Ä a", 5, 1000, include_archived=True, include="session_counts")
    assert errors_of(harnesses_query, "search=&limit=1001&include_archived=1&include=session_counts") == {
        "search": ["must not be empty"],
        "limit": ["must be from 1 to 1000; got '1001'"],
        "include_archived": ["must be true or false; got '1'"],
        "include": ["is not an argument; this path takes search, offset, limit, include_archived"],
    }
    assert harnesses_query(b"include_archived=false").include_archived is False
    long_search = errors_of(capabilities_query, "search=" + "x" * 201)
    assert long_search == {"search": ["must have at most 200 characters; got 201"]}


def test_other_paths_take_no_arguments() -> None:
    no_query(b"")
    assert errors_of(no_query, "limit=1") == {"limit": ["is not an argument; this path takes no arguments"]}


def test_errors_of_an_argument_that_may_be_repeated_are_named_by_the_argument() -> None:
    assert errors_of(sessions_query, "tag=&tag=a&tag=") == {"tag": ["must not be empty", "must not be empty"]}
