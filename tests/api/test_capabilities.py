"""The capability catalog."""

import json
from pathlib import Path

from flask import Flask
from flask.testing import FlaskClient

from everruns.store.catalog import BUILT_IN
from everruns.store.db import Database
from tests.support.client import ids
from tests.support.commands import CommandRunner
from tests.support.database import execute

CATALOG = {entry["id"]: entry for entry in json.loads(BUILT_IN.read_text())}


def test_list_has_the_whole_catalog_by_id(client: FlaskClient) -> None:
    response = client.get("/v1/capabilities")
    body = response.get_json()
    assert list(body) == ["data", "total", "offset", "limit"]
    assert ids(response) == sorted(CATALOG)
    assert (body["total"], body["offset"], body["limit"]) == (len(CATALOG), 0, 1000)


def test_capability_has_every_key(client: FlaskClient) -> None:
    for capability in client.get("/v1/capabilities").get_json()["data"][:20]:
        entry = CATALOG[capability["id"]]
        assert capability == client.get(f"/v1/capabilities/{capability['id']}").get_json()
        assert list(capability) == ["id", "name", "description", "category", "status", "dependencies", "features"]
        assert (capability["name"], capability["status"]) == (entry["name"], entry["status"])
        assert capability["dependencies"] == sorted(entry["dependencies"])
        assert capability["features"] == sorted(entry["features"])


def test_offset_limit_and_search(client: FlaskClient) -> None:
    assert ids(client.get("/v1/capabilities?offset=2&limit=3")) == sorted(CATALOG)[2:5]
    found = client.get("/v1/capabilities?search=OPENUI")
    assert "openui" in ids(found)
    assert found.get_json()["total"] == len(ids(found)) < len(CATALOG)


def test_bytes_that_are_not_utf8_are_replaced_and_can_be_searched(client: FlaskClient, database: Database) -> None:
    execute(database.path, "UPDATE capabilities SET name = CAST(x'4fff' AS TEXT) WHERE id = 'openui'")
    assert ids(client.get("/v1/capabilities?search=o%EF%BF%BD")) == ["openui"]


def test_unknown_capability_is_not_found(client: FlaskClient) -> None:
    response = client.get("/v1/capabilities/none")
    assert (response.status_code, response.get_json()["error"]["code"]) == (404, "not_found")


def test_key_is_required(app: Flask) -> None:
    for url in ("/v1/capabilities", "/v1/capabilities/openui"):
        assert app.test_client().get(url).status_code == 401


def test_id_may_contain_a_slash(client: FlaskClient, run_command: CommandRunner, tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.json"
    catalog.write_text('[{"id": "a/b", "name": "x", "status": "available"}]', encoding="utf-8")
    run_command("load-catalog", str(catalog))
    assert client.get("/v1/capabilities/a%2Fb").get_json()["id"] == "a/b"
