"""API keys of organizations."""

import hashlib
import re

import pytest

from everruns.records import Organization
from everruns.store.db import Database
from everruns.store.keys import create_key, find_by_key, list_keys, revoke_keys
from everruns.store.organizations import create_organization
from tests.support.database import execute
from tests.support.sql import execute_without_foreign_keys

PAST, FUTURE = "2020-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z"


@pytest.fixture
def other(database: Database) -> Organization:
    with database.write() as connection:
        return create_organization(connection, "Other", "org_other")


def new_key(database: Database, organization: Organization, expires_in_days: int | None = None) -> str:
    with database.write() as connection:
        return create_key(connection, organization, "x", expires_in_days)


def owner(database: Database, key: str) -> Organization | None:
    with database.read() as connection:
        found = find_by_key(connection, key)
    return found and found[0]


def test_a_key_belongs_to_its_organization(database: Database, organization: Organization, other: Organization) -> None:
    key, other_key = new_key(database, organization), new_key(database, other)
    assert (owner(database, key), owner(database, other_key)) == (organization, other)


def test_only_the_sha256_of_a_key_is_stored(database: Database, organization: Organization) -> None:
    key = new_key(database, organization)
    assert re.fullmatch(r"evr_[A-Za-z0-9_-]{43}", key)
    stored = execute(database.path, "SELECT sha256, prefix FROM api_keys")
    assert stored == [(hashlib.sha256(key.encode()).digest(), key[:12])]
    for file in database.path.parent.iterdir():
        assert key.encode() not in file.read_bytes()


def test_a_key_may_be_read_only(database: Database, organization: Organization) -> None:
    with database.write() as connection:
        keys = {
            read_only: create_key(connection, organization, "x", read_only=read_only) for read_only in (True, False)
        }
        for read_only, key in keys.items():
            assert find_by_key(connection, key) == (organization, read_only)
        assert [key.access for key in list_keys(connection, organization)] == ["read-only", None]


def test_an_unknown_key_has_no_organization(database: Database, organization: Organization) -> None:
    key = new_key(database, organization)
    for wrong in ("", key[:-1], key + "x", key.swapcase(), key[:12], "evr_" + "0" * 43):
        assert owner(database, wrong) is None


def test_an_expired_key_has_no_organization(database: Database, organization: Organization) -> None:
    key = new_key(database, organization, expires_in_days=36500)
    assert owner(database, key) == organization
    execute(database.path, "UPDATE api_keys SET expires_at = ?", PAST)
    assert owner(database, key) is None
    execute(database.path, "UPDATE api_keys SET expires_at = ?", FUTURE)
    assert owner(database, key) == organization


def test_a_key_expires_after_the_given_number_of_days(database: Database, organization: Organization) -> None:
    new_key(database, organization, expires_in_days=2)
    ((days,),) = execute(database.path, "SELECT julianday(expires_at) - julianday(created_at) FROM api_keys")
    assert days == pytest.approx(2, abs=0.0001)


@pytest.mark.parametrize("whole", [True, False])
def test_a_revoked_key_has_no_organization(
    database: Database, organization: Organization, other: Organization, whole: bool
) -> None:
    key, kept, other_key = (new_key(database, owner) for owner in (organization, organization, other))
    with database.write() as connection:
        assert revoke_keys(connection, organization, key if whole else key[:12]) == 1
        assert revoke_keys(connection, organization, other_key[:12]) == 0
    assert [owner(database, each) for each in (key, kept, other_key)] == [None, organization, other]


def test_revoking_again_keeps_the_time(database: Database, organization: Organization) -> None:
    key = new_key(database, organization)
    execute(database.path, "UPDATE api_keys SET revoked_at = ?", PAST)
    with database.write() as connection:
        assert revoke_keys(connection, organization, key[:12]) == 1
        (listed,) = list_keys(connection, organization)
    assert listed.revoked_at == PAST


def test_keys_are_listed_oldest_first_with_expired_and_revoked_ones(
    database: Database, organization: Organization, other: Organization
) -> None:
    keys = [new_key(database, organization, days) for days in (None, 1, None)]
    new_key(database, other)
    with database.write() as connection:
        revoke_keys(connection, organization, keys[0])
    with database.read() as connection:
        listed = list(list_keys(connection, organization))
    assert [key.prefix for key in listed] == [key[:12] for key in keys]
    assert [key.revoked_at is None for key in listed] == [False, True, True]
    assert [key.expires_at is None for key in listed] == [True, False, True]


def test_a_key_of_an_organization_deleted_by_another_program_does_not_open_the_next_one(database: Database) -> None:
    with database.write() as connection:
        first = create_organization(connection, "first")
    key = new_key(database, first)
    execute_without_foreign_keys(database.path, "DELETE FROM organizations")
    with database.write() as connection:
        second = create_organization(connection, "second")
    assert owner(database, key) is None
    assert owner(database, new_key(database, second)) == second
