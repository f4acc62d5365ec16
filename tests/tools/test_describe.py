"""The OpenAPI document and llms.txt: current, valid, and true of the service."""

import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator, validate
from werkzeug import Response

import everruns
from everruns import create_app
from everruns.ids import BASE_HARNESS
from everruns.records import Organization
from everruns.store import keys
from everruns.store.db import Database
from tests.support import ROOT
from tests.support.client import client_with_key
from tests.support.database import import_records
from tests.support.records import session_record
from tools import describe, examples

OPENAPI: dict[str, Any] = describe.openapi()
OPERATIONS: dict[tuple[str, str], dict[str, Any]] = {
    (method.upper(), path): operation
    for path, methods in OPENAPI["paths"].items()
    for method, operation in methods.items()
}
ARGUMENTS = [
    (path, parameter)
    for (_, path), operation in OPERATIONS.items()
    for parameter in operation["parameters"]
    if parameter.get("in") == "query"
]
# Only nginx returns these.
NGINX_ERRORS = [
    (status, code, example["value"]["error"]["message"])
    for status, response in OPENAPI["components"]["responses"].items()
    for code, example in response["content"]["application/json"]["examples"].items()
    if (status, code) == ("503", "unavailable") or status in ("414", "429", "431")
]

SESSION = f"/v1/sessions/{examples.SESSION_ID}"
AGENT = f"/v1/agents/{examples.AGENT_ID}"
HARNESS = f"/v1/harnesses/{examples.HARNESS_ID}"
# Requests one after the other, and the status of each: every success that is described, and many errors.
REQUESTS: list[tuple[str, str, dict[str, Any], int]] = [
    ("GET", "/health", {}, 200),
    *(
        ("GET", path, {}, 200)
        for path in (
            "/v1/sessions",
            "/v1/sessions?limit=7&offset=7&tag=urgent&status=idle&search=slow",
            "/v1/sessions/activity",
            "/v1/sessions/stats",
            SESSION,
            "/v1/agents?include=session_counts",
            AGENT,
            "/v1/harnesses?include_archived=true",
            HARNESS,
            f"/v1/harnesses/{BASE_HARNESS}",
            "/v1/capabilities",
            "/v1/capabilities/memory",
            "/v1/organization",
            "/api-doc/openapi.json",
            "/llms.txt",
        )
    ),
    ("GET", "/v1/sessions/session_none", {}, 404),
    ("GET", "/v1/capabilities/none", {}, 404),
    ("GET", "/v1/agents?limit=1001", {}, 400),
    ("GET", "/v1/sessions", {"headers": {"Authorization": ""}}, 401),
    ("GET", "/v1/sessions", {"headers": {"X-Org-Id": "org_2"}}, 403),
    ("POST", "/v1/sessions", {"json": examples.BODIES["session"]}, 201),
    ("POST", "/v1/sessions", {"json": {"id": examples.SESSION_ID}}, 409),
    ("POST", "/v1/sessions", {"json": {"agent_id": "agent_none", "tags": [1]}}, 400),
    ("POST", "/v1/sessions", {"data": "{}", "content_type": "text/plain"}, 415),
    ("POST", "/v1/sessions", {"data": b" " * (2**20 + 1), "content_type": "application/json"}, 413),
    ("PUT", SESSION, {"json": examples.SESSION}, 200),
    ("PUT", "/v1/sessions/session_new", {"json": {}}, 201),
    ("PUT", "/v1/sessions/agent_1", {"json": {}}, 400),
    ("PATCH", SESSION, {"json": examples.CHANGES["session"]}, 200),
    ("PATCH", "/v1/sessions/session_none", {"json": {}}, 404),
    ("DELETE", SESSION, {}, 204),
    ("DELETE", SESSION, {}, 404),
    ("POST", "/v1/agents", {"json": examples.BODIES["agent"]}, 201),
    ("POST", "/v1/agents", {"json": {"name": "support", "id": examples.AGENT_ID}}, 200),
    ("POST", "/v1/agents", {"json": {}}, 400),
    ("PUT", AGENT, {"json": examples.AGENT}, 200),
    ("PUT", "/v1/agents/agent_new", {"json": {"name": "new"}}, 201),
    ("PATCH", AGENT, {"json": examples.CHANGES["agent"]}, 200),
    ("DELETE", AGENT, {}, 204),
    ("POST", "/v1/harnesses", {"json": examples.BODIES["harness"]}, 201),
    ("POST", "/v1/harnesses", {"json": {"name": "files", "id": examples.HARNESS_ID}}, 200),
    ("PUT", HARNESS, {"json": examples.HARNESS}, 200),
    ("PUT", "/v1/harnesses/harness_new", {"json": {"name": "new"}}, 201),
    ("PATCH", HARNESS, {"json": examples.CHANGES["harness"]}, 200),
    ("PATCH", f"/v1/harnesses/{BASE_HARNESS}", {"json": {"name": "x"}}, 400),
    ("DELETE", HARNESS, {}, 204),
    ("DELETE", f"/v1/harnesses/{BASE_HARNESS}", {}, 400),
]

# Bodies of POST /v1/agents, besides the name.
BODIES: list[dict[str, Any]] = [
    {},
    {"id": "agent_1", "tags": ["a"], "status": "archived", "archived_at": "2026-02-27T13:13:53Z"},
    {"id": "session_1"},
    {"id": None},
    {"name": ""},
    {"name": "x" * 200},
    {"name": "x" * 201},
    {"name": None},
    {"harness_id": None, "display_name": None, "system_prompt": None, "tags": None, "created_at": None},
    {"status": None},
    {"status": "idle"},
    {"tags": "a"},
    {"tags": [1]},
    {"capabilities": ["memory", {"ref": "memory"}, {"ref": "memory", "config": {"a": [1]}}]},
    {"capabilities": [{"ref": "memory", "config": None, "icon": None, "tags": []}]},
    {"capabilities": [""]},
    {"capabilities": [{}]},
    {"capabilities": [{"ref": ""}]},
    {"capabilities": [{"ref": "memory", "config": []}]},
    {"capabilities": [{"ref": "memory", "confg": {"a": 1}}]},
    {"features": ["a"], "organization_id": "org_9", "session_counts": 1, "is_built_in": True},
    {"tools": [], "network_access": None, "parallel_tool_calls": False, "hints": {}},
    {"tools": ["a"]},
    {"parallel_tool_calls": True},
    {"hints": {"a": None}},
    {"locale": ""},
    {"max_iterations": 0},
]


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


def template(path: str) -> str:
    """Return the described path that a request to `path` belongs to."""
    path = path.partition("?")[0]
    candidates = {described for _, described in OPERATIONS if re.fullmatch(re.sub("{.*}", "[^/]+", described), path)}
    return min(candidates, key=lambda described: "{" in described)


def check_response(response: Response, operation: dict[str, Any]) -> None:
    """Check that the status, the headers and the body are as described."""
    described = resolve(operation["responses"])[str(response.status_code)]
    for name, header in described["headers"].items():
        OAS31Validator(header["schema"]).validate(
            response.headers.get(name, type=int if header["schema"]["type"] == "integer" else str)
        )
    assert ("ETag" in response.headers) == ("ETag" in described["headers"])
    if "content" not in described:
        assert response.data == b""
        return
    ((content_type, content),) = described["content"].items()
    assert response.content_type == content_type
    body = response.get_json() if content_type == "application/json" else response.get_data(as_text=True)
    OAS31Validator(content["schema"]).validate(body)


@pytest.fixture
def records(database: Database, organization: Organization) -> None:
    """The agent and harness of the examples; their session, and three more of the day before."""
    older = [session_record(f"old{n}", agent_id=examples.AGENT_ID, created_at="2026-02-26T00:00:00Z") for n in range(3)]
    import_records(database, organization, examples.HARNESS, examples.AGENT, *older, examples.SESSION)


@pytest.mark.parametrize("name", describe.documents())
def test_committed_file_is_current(name: str) -> None:
    text = (ROOT / "everruns" / "api" / name).read_text("utf-8")
    assert text == describe.documents()[name], "run 'make describe'"


def test_document_is_valid_openapi_3_1_of_this_version() -> None:
    validate(OPENAPI, cls=OpenAPIV31SpecValidator)
    assert OPENAPI["openapi"].startswith("3.1.")
    assert OPENAPI["info"]["version"] == everruns.__version__


def test_every_method_of_every_route_is_described(app: Flask) -> None:
    routes = {
        (method, re.sub("<.*>", "{}", rule.rule))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD"}
        if rule.rule not in ("/", "/web/<path:filename>")
    }
    assert {(method, re.sub("{.*}", "{}", path)) for method, path in OPERATIONS} == routes


def test_links_lead_to_the_operations_on_what_was_created() -> None:
    paths = {operation["operationId"]: path for (_, path), operation in OPERATIONS.items()}
    assert len(paths) == len(OPERATIONS)
    for (method, path), operation in OPERATIONS.items():
        if method == "POST":
            links = operation["responses"]["201"]["links"]
            assert len(links) == 4
            for link in links.values():
                (parameter,) = link["parameters"]
                assert paths[link["operationId"]] == f"{path}/{{{parameter}}}"


def test_every_example_is_valid() -> None:
    count = 0
    for operation in OPERATIONS.values():
        described = resolve(operation)
        for parameter in described["parameters"]:
            OAS31Validator(parameter["schema"]).validate(parameter["example"])
        for holder in (described.get("requestBody", {}), *described["responses"].values()):
            for content in holder.get("content", {}).values():
                values = [example["value"] for example in content.get("examples", {}).values()]
                for value in [*values, *([content["example"]] if "example" in content else [])]:
                    OAS31Validator(content["schema"]).validate(value)
                    count += 1
    assert count > 200


@pytest.mark.parametrize(
    ("path", "example"),
    [
        (SESSION, examples.SESSION),
        (AGENT, examples.AGENT),
        (HARNESS, examples.HARNESS),
        ("/v1/capabilities/memory", examples.CAPABILITY),
        ("/v1/organization", examples.ORGANIZATION),
        ("/v1/sessions/stats", examples.COUNTS),
        ("/v1/sessions/activity?days=2&until=2026-02-27", examples.ACTIVITY),
    ],
)
def test_example_is_what_the_service_returns(
    client: FlaskClient, records: None, path: str, example: dict[str, Any]
) -> None:
    body = client.get(path).get_json()
    assert body == example
    assert list(body) == list(example)
    described = OPERATIONS["GET", template(path)]["responses"]["200"]["content"]["application/json"]
    assert described["example"] == example
    assert list(resolve(described["schema"])["properties"])[: len(example)] == list(example)


@pytest.mark.parametrize("path", ["/v1/sessions", "/v1/agents", "/v1/capabilities"])
def test_example_of_a_page_is_what_the_service_returns(client: FlaskClient, records: None, path: str) -> None:
    body = client.get(path).get_json()
    example = OPERATIONS["GET", path]["responses"]["200"]["content"]["application/json"]["example"]
    assert list(body) == list(example)
    assert example["data"][0] in body["data"]
    assert body["limit"] == example["limit"]


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("path", [SESSION, AGENT, HARNESS])
def test_example_of_a_body_is_accepted(client: FlaskClient, records: None, method: str, path: str) -> None:
    path = path.rpartition("/")[0] if method == "POST" else path
    body = OPERATIONS[method, template(path)]["requestBody"]["content"]["application/json"]["example"]
    assert client.open(path, method=method, json=body).status_code in (200, 201)


def test_responses_are_as_described(client: FlaskClient, records: None) -> None:
    seen = set()
    for method, path, arguments, status in REQUESTS:
        operation = OPERATIONS[method, template(path)]
        with client.open(path, method=method, **arguments) as response:
            assert response.status_code == status, (method, path, response.data)
            check_response(response, operation)
        seen.add((operation["operationId"], str(status)))
        if status == 200 and "ETag" in response.headers:
            with client.get(path, headers={"If-None-Match": response.headers["ETag"]}) as same:
                assert same.status_code == 304
                check_response(same, operation)
            seen.add((operation["operationId"], "304"))
    successes = {
        (operation["operationId"], status)
        for operation in OPERATIONS.values()
        for status in operation["responses"]
        if status < "400"
    }
    assert successes <= seen


def test_body_is_accepted_if_the_description_accepts_it(client: FlaskClient) -> None:
    validator = OAS31Validator(resolve(OPENAPI["components"]["schemas"]["AgentBody"]))
    accepted = [validator.is_valid({"name": "helper", **body}) for body in BODIES]
    statuses = [client.post("/v1/agents", json={"name": "helper", **body}).status_code for body in BODIES]
    assert statuses == [201 if is_accepted else 400 for is_accepted in accepted]
    assert len(BODIES) / 4 < sum(accepted) < len(BODIES) * 3 / 4


@pytest.mark.parametrize(
    ("path", "argument"), ARGUMENTS, ids=[f"{path} {argument['name']}" for path, argument in ARGUMENTS]
)
def test_argument_accepts_what_is_described(client: FlaskClient, path: str, argument: dict[str, Any]) -> None:
    name, schema = argument["name"], argument["schema"]

    def status(*values: object) -> int:
        return client.get(path, query_string={name: [str(value) for value in values]}).status_code

    example = argument["example"]
    assert status("") == 400
    if schema["type"] == "array":
        assert status(*example) == 200
    elif schema["type"] == "boolean":
        assert [status(value) for value in ("true", "false", "True", "1")] == [200, 200, 400, 400]
    elif schema["type"] == "integer":
        assert [status(schema[bound]) for bound in ("minimum", "maximum")] == [200, 200]
        assert [status(schema["minimum"] - 1), status(schema["maximum"] + 1), status("x")] == [400, 400, 400]
        assert client.get(path).get_json()[name] == schema["default"]
    else:
        values = schema.get("enum", [example])
        assert [status(value) for value in values] == [200] * len(values)
        assert status(example, example) == 400
        if "enum" in schema:
            assert status("x") == 400
        if "maxLength" in schema:
            longest = schema["maxLength"]
            assert [status("x" * longest), status("x" * (longest + 1))] == [200, 400]


def test_examples_of_errors_are_what_the_service_returns(
    app: Flask, client: FlaskClient, key: str, database: Database, organization: Organization, records: None
) -> None:
    @app.get("/broken")
    def broken() -> str:
        raise RuntimeError

    with database.write() as connection:
        read_only_key = keys.create_key(connection, organization, "test", read_only=True)
    database.close()
    replica = create_app({"DATABASE": database.path, "READ_ONLY": "1"})
    request_id = {"X-Request-Id": examples.REQUEST_ID}
    body: dict[str, Any] = {"json": {"id": examples.SESSION_ID}, "headers": request_id}
    too_long: dict[str, Any] = {"data": b" " * (2**20 + 1), "content_type": "application/json", "headers": request_id}
    returned = [
        client.get("/v1/sessions?limit=0", headers=request_id),
        app.test_client().get("/v1/sessions", headers=request_id),
        client.get("/v1/sessions", headers={"X-Org-Id": "org_2", **request_id}),
        client_with_key(app, read_only_key).post("/v1/sessions", **body),
        client.get("/v1/sessions/session_1", headers=request_id),
        client.post("/health", **body),
        client.post("/v1/sessions", **body),
        client.post("/v1/sessions", **too_long),
        client.post("/v1/sessions", data="{}", headers=request_id),
        client.get("/broken", headers=request_id),
        client_with_key(replica, key).post("/v1/sessions", **body),
    ]
    database.path.unlink()
    returned.append(client.get("/v1/sessions", headers=request_id))
    described = resolve(OPENAPI["components"]["responses"])
    expected = {
        (status, code): example["value"]
        for status, response in described.items()
        for code, example in response["content"]["application/json"]["examples"].items()
    }
    for response in returned:
        error = response.get_json()
        assert error == expected.pop((str(response.status_code), error["error"]["code"]))
        for header, about in described[str(response.status_code)]["headers"].items():
            assert response.headers[header] == str(about.get("example", response.headers[header])), header
    assert set(expected) == {(status, code) for status, code, _ in NGINX_ERRORS}


@pytest.mark.parametrize(("status", "code", "message"), NGINX_ERRORS)
def test_errors_of_nginx_are_in_its_configuration(status: str, code: str, message: str) -> None:
    lines = [" ".join(line.split()) for line in (ROOT / "deploy/nginx.conf").read_text("utf-8").splitlines()]
    assert f"{status} {code};" in lines
    assert f'{status} "{message}";' in lines


def test_llms_txt_is_short_and_has_every_operation_argument_key_and_error() -> None:
    text = describe.documents()["llms.txt"]
    assert text.startswith("# Everruns Sessions\n\n> ")
    assert len(text.encode()) < 8192
    for method, path in OPERATIONS:
        assert f"`{method} {path}`" in text
    for _, argument in ARGUMENTS:
        assert f"`{argument['name']}`" in text
        for word in ("minimum", "maximum"):
            assert str(argument["schema"].get(word, "")) in text
    for name, schema in OPENAPI["components"]["schemas"].items():
        if name in ("SessionBody", "AgentBody", "HarnessBody"):
            (line,) = [line for line in text.splitlines() if line.startswith(f"- {name.removesuffix('Body')}: ")]
            assert re.findall("`(.*?)`", line) == list(schema["properties"])
    for status, response in OPENAPI["components"]["responses"].items():
        codes = ", ".join(f"`{code}`" for code in response["content"]["application/json"]["examples"])
        assert f"- {status} {codes}: " in text
    for name in examples.SESSION:
        assert f'"{name}": ' in text
    for word in ("Authorization: Bearer", "Link", 'rel="next"', "ETag", "If-None-Match", "304", "request_id"):
        assert word in text
