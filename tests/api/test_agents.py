"""Lists of agents and harnesses, and archiving."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from everruns.ids import BASE_HARNESS
from everruns.records import Organization
from everruns.store.db import Database
from tests.support.client import ids
from tests.support.database import create_organization, execute, import_records
from tests.support.records import AGENT_ID, agent_record, harness_record, session_record

KINDS = {"agent": "/v1/agents", "harness": "/v1/harnesses"}


def record(kind: str, name: str, **keys: object) -> dict[str, Any]:
    return {"id": f"{kind}_{name.lower()}", "name": name, **keys}


def stored_ids(client: FlaskClient, kind: str, query: str = "") -> list[str]:
    """Return the ids of the list without the base harness, without the prefix."""
    found = ids(client.get(f"{KINDS[kind]}{query}"))
    return [public_id.removeprefix(f"{kind}_") for public_id in found if public_id != BASE_HARNESS]


@pytest.mark.parametrize("kind", KINDS)
def test_list_is_ordered_by_name_in_any_letter_case(
    client: FlaskClient, database: Database, organization: Organization, kind: str
) -> None:
    import_records(database, organization, *(record(kind, name) for name in ("b", "C", "a")))
    response = client.get(KINDS[kind])
    assert list(response.get_json()) == ["data", "total", "offset", "limit"]
    assert stored_ids(client, kind) == ["a", "b", "c"]
    assert response.get_json()["data"][0] == client.get(f"{KINDS[kind]}/{kind}_a").get_json()


@pytest.mark.parametrize("kind", KINDS)
def test_search_finds_names_and_descriptions_in_any_script(
    client: FlaskClient, database: Database, organization: Organization, kind: str
) -> None:
    records = [
        record(kind, "one", display_name="Ärzte-Team"),
        record(kind, "two", description="查询 Straße"),
        record(kind, "three"),
        record(kind, "four", display_name="100%_"),
    ]
    import_records(database, organization, *records)
    assert stored_ids(client, kind, "?search=ärzte") == ["one"]
    assert stored_ids(client, kind, "?search=STRASSE") == stored_ids(client, kind, "?search=查询") == ["two"]
    assert stored_ids(client, kind, "?search=THREE") == ["three"]
    assert stored_ids(client, kind, "?search=%25_") == ["four"]
    assert client.get(f"{KINDS[kind]}?search=nothing").get_json()["total"] == 0


@pytest.mark.parametrize(("kind", "table"), [("agent", "agents"), ("harness", "harnesses")])
def test_bytes_that_are_not_utf8_are_replaced_and_can_be_searched(
    client: FlaskClient, database: Database, organization: Organization, kind: str, table: str
) -> None:
    import_records(database, organization, record(kind, "a"), record(kind, "b"))
    execute(database.path, f"UPDATE {table} SET display_name = CAST(x'42ff' AS TEXT) WHERE public_id = ?", f"{kind}_b")
    execute(database.path, f"UPDATE {table} SET name = CAST(x'ff41' AS TEXT) WHERE public_id = ?", f"{kind}_a")
    assert stored_ids(client, kind) == ["b", "a"]
    assert stored_ids(client, kind, "?search=b%EF%BF%BD") == ["b"]
    assert stored_ids(client, kind, "?search=%EF%BF%BDa") == ["a"]


def test_offset_and_limit_select_the_page(client: FlaskClient, database: Database, organization: Organization) -> None:
    import_records(database, organization, *(record("agent", name) for name in "abcde"))
    body = client.get("/v1/agents?offset=1&limit=2").get_json()
    assert [agent["name"] for agent in body["data"]] == ["b", "c"]
    assert (body["total"], body["offset"], body["limit"]) == (5, 1, 2)


def test_base_harness_is_listed(client: FlaskClient) -> None:
    body = client.get("/v1/harnesses").get_json()
    assert [(harness["id"], harness["is_built_in"]) for harness in body["data"]] == [(BASE_HARNESS, True)]
    assert body["total"] == 1


@pytest.mark.parametrize("kind", KINDS)
def test_archived_ones_are_listed_only_when_asked_for(
    client: FlaskClient, database: Database, organization: Organization, kind: str
) -> None:
    import_records(database, organization, record(kind, "a"), record(kind, "b"))
    for _ in range(2):
        assert client.delete(f"{KINDS[kind]}/{kind}_a").status_code == 204
    assert stored_ids(client, kind) == ["b"]
    assert stored_ids(client, kind, "?include_archived=true") == ["a", "b"]
    archived = client.get(f"{KINDS[kind]}/{kind}_a").get_json()
    assert archived["status"] == "archived"
    assert archived["archived_at"] is not None


@pytest.mark.parametrize("kind", KINDS)
def test_status_can_be_changed_and_changes_archived_at(client: FlaskClient, kind: str) -> None:
    url = f"{KINDS[kind]}/{kind}_1"
    client.put(url, json={"name": "n"})
    archived = client.patch(url, json={"status": "archived"}).get_json()
    assert archived["archived_at"] == archived["updated_at"]
    renamed = client.patch(url, json={"name": "m", "status": "archived"}).get_json()
    assert (renamed["name"], renamed["archived_at"]) == ("m", archived["archived_at"])
    assert stored_ids(client, kind) == []
    active = client.patch(url, json={"status": "active"}).get_json()
    assert (active["status"], active["archived_at"]) == ("active", None)
    assert stored_ids(client, kind) == ["1"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_archived_at_is_set_if_and_only_if_the_status_is_archived(client: FlaskClient, kind: str, method: str) -> None:
    url = f"{KINDS[kind]}/{kind}_1"

    def write(**keys: object) -> dict[str, Any]:
        body = {"id": f"{kind}_1", "name": "n", **keys}
        saved = client.open(KINDS[kind] if method == "POST" else url, method=method, json=body).get_json()
        assert client.get(url).get_json() == saved
        return dict(saved)

    if method == "PATCH":
        client.put(url, json={"name": "n"})
    for _ in ("new", "replaced"):
        archived = write(status="archived")
        assert archived["archived_at"] == archived["updated_at"]
        assert write(status="active", archived_at="2026-02-27T13:13:53Z")["archived_at"] is None
    at = "2026-02-27T13:13:53.000000Z"
    assert write(status="archived", archived_at=at)["archived_at"] == at
    at = "2026-02-28T13:13:53.000000Z"
    assert write(status="archived", updated_at=at, archived_at=None)["archived_at"] == at


@pytest.mark.parametrize("kind", KINDS)
def test_null_empties_what_may_be_empty(client: FlaskClient, kind: str) -> None:
    url = f"{KINDS[kind]}/{kind}_1"
    texts = {"display_name": "d", "description": "d", "default_model_id": "m", "system_prompt": "p"}
    client.put(url, json={"name": "n", **texts, "tags": ["a"], "capabilities": ["openui"]})
    keys = (*texts, "tags", "capabilities")
    emptied = client.patch(url, json=dict.fromkeys(keys)).get_json()
    expected: dict[str, object] = {**dict.fromkeys(texts), "system_prompt": "", "tags": [], "capabilities": []}
    assert {key: emptied[key] for key in keys} == expected


def test_sessions_of_archived_agents_and_harnesses_stay_with_their_features(
    client: FlaskClient, database: Database, organization: Organization
) -> None:
    import_records(
        database,
        organization,
        harness_record("harness_1", capabilities=["a2ui"]),
        agent_record(capabilities=["openui"]),
        session_record(1, harness_id="harness_1"),
    )
    before = client.get("/v1/sessions").get_json()
    client.delete(f"/v1/agents/{AGENT_ID}")
    client.delete("/v1/harnesses/harness_1")
    assert client.get("/v1/sessions").get_json() == before
    assert before["data"][0]["features"] == ["a2ui", "openui"]
    assert client.get(f"/v1/sessions?agent_id={AGENT_ID}").get_json()["total"] == 1


def test_changed_agent_shows_in_its_sessions(
    client: FlaskClient, database: Database, organization: Organization
) -> None:
    import_records(database, organization, agent_record(capabilities=["openui"]), session_record(1))
    assert client.get("/v1/sessions").get_json()["data"][0]["features"] == ["openui"]
    client.patch(f"/v1/agents/{AGENT_ID}", json={"capabilities": ["a2ui"]})
    assert client.get("/v1/sessions").get_json()["data"][0]["features"] == ["a2ui"]


def test_session_counts_are_included_when_asked_for(
    client: FlaskClient, database: Database, organization: Organization
) -> None:
    sessions = [session_record(n, status=status) for n, status in enumerate(["idle", "idle", "active"])]
    import_records(database, organization, agent_record(), agent_record("agent_idle", name="idle"), *sessions)
    plain = client.get("/v1/agents").get_json()["data"]
    counted = client.get("/v1/agents?include=session_counts").get_json()["data"]
    assert [agent.pop("session_counts") for agent in counted] == [
        {"total": 3, "started": 0, "active": 1, "idle": 2},
        {"total": 0, "started": 0, "active": 0, "idle": 0},
    ]
    assert counted == plain


@pytest.mark.parametrize("kind", KINDS)
def test_list_has_an_etag_and_no_records_of_another_organization(
    client: FlaskClient, database: Database, organization: Organization, kind: str
) -> None:
    other, _ = create_organization(database)
    import_records(database, other, record(kind, "theirs"))
    import_records(database, organization, record(kind, "ours"))
    response = client.get(KINDS[kind])
    assert stored_ids(client, kind) == ["ours"]
    assert client.get(KINDS[kind], headers={"If-None-Match": response.headers["ETag"]}).status_code == 304
    assert client.get(f"{KINDS[kind]}/{kind}_theirs").status_code == 404
