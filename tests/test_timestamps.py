"""Timestamps: what is accepted, and the stored form."""

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everruns.timestamps import STORED_TIMESTAMP, format_timestamp, next_microsecond, now, parse_timestamp


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("2026-02-27T13:13:53Z", "2026-02-27T13:13:53.000000Z"),
        ("2026-02-27t13:13:53z", "2026-02-27T13:13:53.000000Z"),
        ("2026-02-27 13:13:53+02:00", "2026-02-27T11:13:53.000000Z"),
        ("2026-02-27T13:13+0200", "2026-02-27T11:13:00.000000Z"),
        ("2026-02-27T13:13:53+02", "2026-02-27T11:13:53.000000Z"),
        ("2026-02-27T13:13:53-04:30", "2026-02-27T17:43:53.000000Z"),
        ("2026-02-27T13:13:53.5Z", "2026-02-27T13:13:53.500000Z"),
        ("2026-02-27T13:13:53.1234569Z", "2026-02-27T13:13:53.123456Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
        ("9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59.999999Z"),
        ("2024-02-29T23:59:59-00:01", "2024-03-01T00:00:59.000000Z"),
    ],
)
def test_valid_timestamps(text: str, stored: str) -> None:
    assert parse_timestamp(text) == stored


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "must be an ISO 8601 time with a zone"),
        ("now", "must be an ISO 8601 time with a zone"),
        ("1772198033", "must be an ISO 8601 time with a zone"),
        ("2026-02-27", "must be an ISO 8601 time with a zone"),
        ("2026-02-27T13:13:53Z\n", "must be an ISO 8601 time with a zone"),
        ("2026-02-27T13:13:53+05:60", "must be an ISO 8601 time with a zone"),
        ("２026-02-27T13:13:53Z", "must be an ISO 8601 time with a zone"),
        ("2026-02-27T13:13:53.Z", "must be an ISO 8601 time with a zone"),
        ("2026-02-27T13:13:53", "must have a zone: Z for UTC or an offset"),
        ("2026-02-30T00:00:00Z", "must be a valid time (years 1 to 9999, UTC)"),
        ("2026-02-27T24:00:01Z", "must be a valid time (years 1 to 9999, UTC)"),
        ("2016-12-31T23:59:60Z", "must be a valid time (years 1 to 9999, UTC)"),
        ("2026-02-27T13:13:53+24:00", "must be a valid time (years 1 to 9999, UTC)"),
        ("0000-01-01T00:00:00Z", "must be a valid time (years 1 to 9999, UTC)"),
        ("0001-01-01T00:00:00+01:00", "must be a valid time (years 1 to 9999, UTC)"),
        ("9999-12-31T23:59:59-01:00", "must be a valid time (years 1 to 9999, UTC)"),
    ],
)
def test_invalid_timestamps(text: str, error: str) -> None:
    with pytest.raises(ValueError, match="must") as raised:
        parse_timestamp(text)
    assert str(raised.value).startswith(error)


def test_round_up_takes_the_next_microsecond_for_more_digits() -> None:
    assert parse_timestamp("2026-02-27T13:13:53.1234561Z", round_up=True) == "2026-02-27T13:13:53.123457Z"
    assert parse_timestamp("2026-02-27T13:13:53.9999999Z", round_up=True) == "2026-02-27T13:13:54.000000Z"
    assert parse_timestamp("2026-02-27T13:13:53.1234560Z", round_up=True) == "2026-02-27T13:13:53.123456Z"
    with pytest.raises(ValueError, match="years 1 to 9999"):
        parse_timestamp("9999-12-31T23:59:59.9999999Z", round_up=True)


def test_next_microsecond_of_the_last_one_is_an_overflow() -> None:
    with pytest.raises(OverflowError):
        next_microsecond("9999-12-31T23:59:59.999999Z")


@given(
    st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31)),
    st.integers(-23 * 60 - 59, 23 * 60 + 59),
)
def test_stored_timestamp_is_the_same_time_and_sorts_by_time(local: datetime, offset_minutes: int) -> None:
    moment = local.replace(tzinfo=timezone(timedelta(minutes=offset_minutes)))
    stored = parse_timestamp(moment.isoformat())
    assert datetime.fromisoformat(stored) == moment
    assert STORED_TIMESTAMP.fullmatch(stored)
    assert parse_timestamp(stored) == stored
    assert (stored < "2026-02-27T13:13:53.000000Z") == (moment < datetime(2026, 2, 27, 13, 13, 53, tzinfo=UTC))


def test_now_is_utc_in_any_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        stored = now()
        local = format_timestamp(datetime.now().astimezone())
    finally:
        monkeypatch.undo()
        time.tzset()
    for text in (stored, local):
        assert abs(datetime.fromisoformat(text) - datetime.now(UTC)) < timedelta(minutes=1)
