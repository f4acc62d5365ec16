"""Organizations."""

import re
import sqlite3

import pytest

from everruns.records import Organization
from everruns.store import check
from everruns.store.db import Database
from everruns.store.keys import create_key
from everruns.store.organizations import (
    create_organization,
    delete_organization,
    find_organization,
    list_organizations,
)
from tests.support.database import execute, import_records
from tests.support.records import agent_record, harness_record, session_record


@pytest.fixture
def other(database: Database) -> Organization:
    with database.write() as connection:
        return create_organization(connection, "Other", "org_other")


def test_a_new_organization_gets_an_id_that_sorts_by_time(database: Database) -> None:
    with database.write() as connection:
        first, second = (create_organization(connection, "Acme") for _ in range(2))
    assert re.fullmatch("org_[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}", first.public_id)
    assert first.public_id[:16] <= second.public_id[:16]
    assert first.public_id != second.public_id


def test_an_organization_is_found_by_any_spelling_of_its_id(database: Database) -> None:
    with database.write() as connection:
        created = create_organization(connection, "Acme", "org_A-b1")
        for spelling in ("org_A-b1", "org_ab1", "org_AB-1-"):
            assert find_organization(connection, spelling) == created
        assert find_organization(connection, "org_ab") is None
        with pytest.raises(sqlite3.IntegrityError):
            create_organization(connection, "Acme", "org_aB1")


def test_organizations_are_listed_with_their_number_of_sessions(
    database: Database, organization: Organization, other: Organization
) -> None:
    sessions = [session_record(n, agent_id=None, status=status) for n, status in enumerate(("idle", "active", "idle"))]
    import_records(database, organization, *sessions)
    with database.read() as connection:
        assert list(list_organizations(connection)) == [(organization, 3), (other, 0)]


def test_nothing_of_a_deleted_organization_is_left_and_the_other_stays(
    database: Database, organization: Organization, other: Organization
) -> None:
    for each in (organization, other):
        import_records(database, each, harness_record("harness_1"), agent_record(), session_record())
        with database.write() as connection:
            create_key(connection, each, "x")
    with database.write() as connection:
        delete_organization(connection, organization)
    for table in ("api_keys", "harnesses", "agents", "sessions", "session_counts"):
        assert execute(database.path, f"SELECT DISTINCT organization_id FROM {table}") == [(other.id,)]
    with database.read() as connection:
        assert list(check.errors(connection)) == []
