"""Organizations see nothing of each other, even when all their ids are equal."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from everruns.records import Organization
from everruns.store.db import Database
from tests.support.client import client_with_key
from tests.support.database import create_organization, import_records
from tests.support.records import AGENT_ID, ORGANIZATION_ID, agent_record, harness_record, session_record

HARNESS_ID = "harness_1"


@pytest.fixture
def other_client(app: Flask, database: Database, organization: Organization) -> FlaskClient:
    """A client of another organization, with records of the same ids as those of `organization`."""
    other, other_key = create_organization(database, "org_2")
    import_records(
        database,
        organization,
        harness_record(HARNESS_ID, capabilities=["a2ui"]),
        agent_record(capabilities=["skills"]),
        *(session_record(n, harness_id=HARNESS_ID, title="ours") for n in range(3)),
        agent_record("agent_ours"),
        session_record("ours", agent_id="agent_ours", title="ours"),
    )
    import_records(
        database,
        other,
        harness_record(HARNESS_ID, capabilities=["openui"]),
        agent_record(capabilities=["browserless"]),
        *(session_record(n, harness_id=HARNESS_ID, title="theirs") for n in range(2)),
        agent_record("agent_theirs"),
        session_record("theirs", agent_id="agent_theirs", title="theirs"),
    )
    return client_with_key(app, other_key)


def test_lists_have_only_sessions_of_the_organization(client: FlaskClient, other_client: FlaskClient) -> None:
    for each, organization_id, title, total in (
        (client, ORGANIZATION_ID, "ours", 4),
        (other_client, "org_2", "theirs", 3),
    ):
        body = each.get("/v1/sessions").get_json()
        assert body["total"] == len(body["data"]) == total
        assert {session["organization_id"] for session in body["data"]} == {organization_id}
        assert {session["title"] for session in body["data"]} == {title}


def test_features_come_from_the_organizations_own_agents_and_harnesses(
    client: FlaskClient, other_client: FlaskClient
) -> None:
    url = f"/v1/sessions?agent_id={AGENT_ID}&limit=1"
    assert client.get(url).get_json()["data"][0]["features"] == ["a2ui", "file_system"]
    features = ["key_value", "leased_resources", "openui", "secrets"]
    assert other_client.get(url).get_json()["data"][0]["features"] == features


def test_agents_of_another_organization_have_no_sessions(client: FlaskClient, other_client: FlaskClient) -> None:
    assert client.get("/v1/sessions?agent_id=agent_theirs").get_json()["total"] == 0
    assert client.get("/v1/sessions/activity?agent_id=agent_theirs&until=2026-02-27").get_json()["total"] == 0
    assert other_client.get("/v1/sessions?agent_id=agent_theirs").get_json()["total"] == 1


def test_activity_counts_only_sessions_of_the_organization(client: FlaskClient, other_client: FlaskClient) -> None:
    totals = [each.get("/v1/sessions/activity?until=2026-02-27").get_json()["total"] for each in (client, other_client)]
    assert totals == [4, 3]


def test_etag_of_another_organization_never_matches(client: FlaskClient, other_client: FlaskClient) -> None:
    for url in ("/v1/sessions", "/v1/sessions?offset=99", "/v1/sessions/activity?until=2026-02-27"):
        etag = client.get(url).headers["ETag"]
        response = other_client.get(url, headers={"If-None-Match": etag})
        assert response.status_code == 200


def test_import_into_one_organization_leaves_the_other(
    client: FlaskClient, other_client: FlaskClient, database: Database, organization: Organization
) -> None:
    before = other_client.get("/v1/sessions")
    import_records(database, organization, agent_record(name="changed"), session_record(1, title="changed"))
    assert other_client.get("/v1/sessions").data == before.data
