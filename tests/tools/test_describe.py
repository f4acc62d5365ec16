"""The OpenAPI document and llms.txt: current, valid, and true of the service."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

import everruns
from everruns.records import Organization
from everruns.store.db import Database
from tests.support import ROOT
from tests.support.database import import_records
from tests.support.records import agent_record, session_record
from tools import describe

OPENAPI: dict[str, Any] = describe.openapi()
OPERATIONS = {path: methods["get"] for path, methods in OPENAPI["paths"].items()}
ARGUMENTS = [
    (path, parameter)
    for path, operation in OPERATIONS.items()
    for parameter in operation["parameters"]
    if parameter.get("in") == "query"
]
# Only nginx returns these.
NGINX_STATUSES = {"414", "429", "431"}


def resolve(node: Any) -> Any:
    """Return `node` with each reference replaced by what it refers to."""
    if isinstance(node, list):
        return [resolve(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" not in node:
        return {key: resolve(value) for key, value in node.items()}
    found: Any = OPENAPI
    for step in node["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return resolve(found)


@pytest.fixture
def sessions(database: Database, organization: Organization) -> None:
    """The example session as the newest of 30."""
    agent = agent_record(describe.AGENT_ID, capabilities=["session_schedule"])
    older = [session_record(n, agent_id=describe.AGENT_ID, created_at="2026-02-26T00:00:00Z") for n in range(29)]
    import_records(database, organization, agent, *older, describe.SESSION)


@pytest.mark.parametrize("name", describe.documents())
def test_committed_file_is_current(name: str) -> None:
    text = (ROOT / "everruns" / "web" / name).read_text("utf-8")
    assert text == describe.documents()[name], "run 'make describe'"


def test_document_is_valid_openapi_3_1_of_this_version() -> None:
    validate(OPENAPI, cls=OpenAPIV31SpecValidator)
    assert OPENAPI["openapi"].startswith("3.1.")
    assert OPENAPI["info"]["version"] == everruns.__version__


def test_every_route_but_the_web_page_is_described(app: Flask) -> None:
    routes = {rule.rule for rule in app.url_map.iter_rules()}
    assert set(OPERATIONS) == routes - {"/", "/web/<path:filename>"}


def test_every_example_is_valid() -> None:
    examples = 0
    for operation in OPERATIONS.values():
        for parameter in resolve(operation["parameters"]):
            OAS31Validator(parameter["schema"]).validate(parameter["example"])
        for response in resolve(operation["responses"]).values():
            for content in response.get("content", {}).values():
                if "example" in content:
                    OAS31Validator(content["schema"]).validate(content["example"])
                    examples += 1
    assert examples > 20


def test_example_session_is_what_the_service_returns(client: FlaskClient, sessions: None) -> None:
    body = client.get("/v1/sessions?limit=1").get_json()
    assert body["data"] == [describe.SESSION]
    assert list(body["data"][0]) == list(describe.SESSION)
    example = OPERATIONS["/v1/sessions"]["responses"]["200"]["content"]["application/json"]["example"]
    assert list(body) == list(example)


def test_sessions_have_the_described_keys_in_order(client: FlaskClient, sessions: None) -> None:
    schema = OPENAPI["components"]["schemas"]["Session"]
    for session in client.get("/v1/sessions").get_json()["data"]:
        assert list(session) == list(schema["properties"])
        assert set(session) == set(schema["required"])


def test_example_of_activity_is_what_the_service_returns(
    client: FlaskClient, database: Database, organization: Organization
) -> None:
    records = [session_record(n, created_at="2026-02-26T12:00:00Z") for n in range(3)]
    import_records(database, organization, agent_record(), *records)
    assert client.get("/v1/sessions/activity?days=2&until=2026-02-27").get_json() == describe.ACTIVITY


@pytest.mark.parametrize(("path", "argument"), ARGUMENTS, ids=[argument["name"] for _, argument in ARGUMENTS])
def test_argument_accepts_what_is_described(client: FlaskClient, path: str, argument: dict[str, Any]) -> None:
    name, schema = argument["name"], argument["schema"]

    def status(value: object) -> int:
        return client.get(f"{path}?{name}={value}").status_code

    assert status(argument["example"]) == 200
    assert status("") == 400
    if schema["type"] == "integer":
        assert [status(schema[bound]) for bound in ("minimum", "maximum")] == [200, 200]
        assert [status(schema["minimum"] - 1), status(schema["maximum"] + 1), status("x")] == [400, 400, 400]
        assert client.get(path).get_json()[name] == schema["default"]


def test_examples_of_errors_are_what_the_service_returns(app: Flask, client: FlaskClient, database: Database) -> None:
    @app.get("/broken")
    def broken() -> str:
        raise RuntimeError

    request_id = {"X-Request-Id": describe.REQUEST_ID}
    returned = [
        client.get("/v1/sessions?limit=0", headers=request_id),
        app.test_client().get("/v1/sessions", headers=request_id),
        client.get("/v1/sessions", headers={"X-Org-Id": "org_2", **request_id}),
        client.get("/v1/session", headers=request_id),
        client.post("/v1/sessions", headers=request_id),
        client.get("/broken", headers=request_id),
    ]
    database.path.unlink()
    returned.append(client.get("/v1/sessions", headers=request_id))
    described = resolve(OPENAPI["components"]["responses"])
    for response in returned:
        description = described.pop(str(response.status_code))
        assert response.get_json() == description["content"]["application/json"]["example"]
        for header, about in description["headers"].items():
            assert response.headers[header] == str(about.get("example", response.headers[header])), header
    assert set(described) == NGINX_STATUSES


@pytest.mark.parametrize("status", sorted(NGINX_STATUSES))
def test_examples_of_errors_of_nginx_are_in_its_configuration(status: str) -> None:
    error = OPENAPI["components"]["responses"][status]["content"]["application/json"]["example"]["error"]
    lines = [" ".join(line.split()) for line in (ROOT / "deploy/nginx.conf").read_text("utf-8").splitlines()]
    assert f"{status} {error['code']};" in lines
    assert f'{status} "{error["message"]}";' in lines


def test_llms_txt_is_short_and_has_every_path_argument_and_error() -> None:
    text = describe.documents()["llms.txt"]
    assert text.startswith("# Everruns Sessions\n\n> ")
    assert len(text.encode()) < 4096
    for path in OPERATIONS:
        assert f"`GET {path}`" in text
    for _, argument in ARGUMENTS:
        assert f"`{argument['name']}`" in text
        for word in ("minimum", "maximum", "default"):
            assert str(argument["schema"].get(word, "")) in text
    for status, response in OPENAPI["components"]["responses"].items():
        code = response["content"]["application/json"]["example"]["error"]["code"]
        assert f"{status} `{code}`" in text
    for name in describe.SESSION:
        assert f'"{name}": ' in text
    for word in ("Authorization: Bearer", "Link", 'rel="next"', "ETag", "If-None-Match", "304", "request_id"):
        assert word in text
