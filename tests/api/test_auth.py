"""Authentication: API keys and X-Org-Id."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.datastructures import Headers

from everruns.records import Organization
from everruns.store.db import Database
from tests.support.client import client_with_key, ids
from tests.support.commands import CommandRunner
from tests.support.database import create_organization, execute, import_records
from tests.support.records import ORGANIZATION_ID, agent_record, session_record

URL = "/v1/sessions"
UNKNOWN_KEY = f"evr_{'A' * 43}"


@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "BEARER  {}", "ApiKey {}", "apikey {}", "{}"])
def test_key_is_accepted_in_each_form_that_clients_send(client: FlaskClient, key: str, form: str) -> None:
    assert client.get(URL, headers={"Authorization": form.format(key)}).status_code == 200


def test_refused_keys_cannot_be_told_apart(
    app: Flask, client: FlaskClient, key: str, database: Database, run_command: CommandRunner
) -> None:
    expired = run_command("create-key", ORGANIZATION_ID, "--expires-in-days", "1").stdout.strip()
    execute(database.path, "UPDATE api_keys SET expires_at = '2020-01-01T00:00:00.000000Z' WHERE id = 2")
    revoked = run_command("create-key", ORGANIZATION_ID).stdout.strip()
    run_command("revoke-key", ORGANIZATION_ID, revoked[:12])
    refused = ["", "Bearer", "Bearer ", key[:20], f"Basic {key}", f"Bearer {key} x", f"Bearer {key},Bearer {key}"]
    refused += [expired, revoked, UNKNOWN_KEY, "x" * 100_000, f"Bearer {key[:-1]}é", f"Bearer {key.upper()}"]
    responses = [client.get(URL, headers={"Authorization": value, "X-Request-Id": "same"}) for value in refused]
    responses.append(app.test_client().get(URL, headers={"X-Request-Id": "same"}))
    for response in responses:
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
    assert len({response.data for response in responses}) == 1
    assert client.get(URL).status_code == 200


def test_two_authorization_headers_are_refused(app: Flask, key: str) -> None:
    headers = Headers([("Authorization", f"Bearer {key}"), ("Authorization", f"Bearer {key}")])
    assert app.test_client().get(URL, headers=headers).status_code == 401


def test_key_works_until_it_expires(app: Flask, organization: Organization, run_command: CommandRunner) -> None:
    key = run_command("create-key", organization.public_id, "--expires-in-days", "1").stdout.strip()
    assert client_with_key(app, key).get(URL).status_code == 200


def test_no_key_is_accepted_by_an_empty_database(app: Flask) -> None:
    assert client_with_key(app, UNKNOWN_KEY).get(URL).status_code == 401


def test_revoking_one_key_leaves_the_others(app: Flask, database: Database, run_command: CommandRunner) -> None:
    pairs = [create_organization(database) for _ in range(10)]
    organization, revoked = pairs[7]
    run_command("revoke-key", organization.public_id, revoked)
    statuses = [client_with_key(app, key).get(URL).status_code for _, key in pairs]
    assert statuses == [200] * 7 + [401] + [200] * 2


def test_keys_of_a_deleted_organization_do_not_open_the_next_one(app: Flask, database: Database) -> None:
    """With foreign keys off, as in SQLite's own shell, the keys of a deleted organization stay."""
    old, old_key = create_organization(database)
    import_records(database, old, agent_record(), session_record(1))
    execute(database.path, "DELETE FROM organizations", foreign_keys=False)
    new, new_key = create_organization(database)
    import_records(database, new, agent_record(), session_record(2))
    assert client_with_key(app, old_key).get(URL).status_code == 401
    assert ids(client_with_key(app, new_key).get(URL)) == ["session_2"]


def test_x_org_id_must_be_the_organization_of_the_key(client: FlaskClient, database: Database) -> None:
    for claimed in (ORGANIZATION_ID, "org_00000000-0000-0000-0000-000000000001"):
        assert client.get(URL, headers={"X-Org-Id": claimed}).status_code == 200
    other, _ = create_organization(database)
    for claimed in (other.public_id, "org_none", "", "é"):
        response = client.get(URL, headers={"X-Org-Id": claimed})
        assert (response.status_code, response.get_json()["error"]["code"]) == (403, "organization_mismatch")


def test_authentication_comes_before_validation(client: FlaskClient, app: Flask) -> None:
    assert app.test_client().get(f"{URL}?limit=0").status_code == 401
    assert client.get(f"{URL}?limit=0", headers={"X-Org-Id": "org_2"}).status_code == 403
