"""The description of the API: that it is current, valid, served, true of the running service, and told to models."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

import everruns
from docs import describe
from tests.conftest import ROOT, World, agent, serving, session
from tests.test_service import raw

DESCRIPTION: dict[str, Any] = describe.openapi()
OPERATIONS = {path: methods["get"] for path, methods in DESCRIPTION["paths"].items()}
ARGUMENTS = [
    (path, parameter)
    for path, operation in OPERATIONS.items()
    for parameter in operation["parameters"]
    if parameter.get("in") == "query"
]
EXAMPLE = describe.SESSION


def resolved(node: Any) -> Any:
    """`node` with what its references stand for in their place."""
    if isinstance(node, list):
        return [resolved(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" not in node:
        return {key: resolved(value) for key, value in node.items()}
    found: Any = DESCRIPTION
    for step in node["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return resolved(found)


@pytest.fixture
def key(world: World) -> str:
    """The organization of the examples, with the example session as the newest of 300."""
    _, key = world.organization(describe.ORGANIZATION_ID)
    owner = agent(describe.AGENT_ID, capabilities=["session_schedule"])
    others = (session(n, agent_id=describe.AGENT_ID, created_at="2026-02-26T00:00:00Z") for n in range(299))
    world.load(describe.ORGANIZATION_ID, owner, *others, EXAMPLE)
    return key


def test_the_committed_files_are_what_the_code_describes() -> None:
    for name, text in describe.documents().items():
        assert (ROOT / "docs" / name).read_text("utf-8") == text, "run 'make describe'"


def test_it_is_valid_openapi_3_1_of_this_version() -> None:
    validate(DESCRIPTION, cls=OpenAPIV31SpecValidator)
    assert DESCRIPTION["openapi"].startswith("3.1.")
    assert DESCRIPTION["info"]["version"] == everruns.__version__


def test_every_route_is_described_and_nothing_else(world: World) -> None:
    routes = {rule.rule for rule in world.app.url_map.iter_rules()}
    assert set(OPERATIONS) == routes - {"/", "/page/<name>"}  # the page, which is for people


@pytest.mark.parametrize(
    ("url", "name", "content_type"),
    [
        ("/api-doc/openapi.json", "openapi.json", "application/json"),
        ("/llms.txt", "llms.txt", "text/plain; charset=utf-8"),
    ],
)
def test_it_is_served_to_everyone_and_kept_until_it_changes(
    world: World, url: str, name: str, content_type: str
) -> None:
    response = world.get(None, url)
    assert (response.status_code, response.data) == (200, (ROOT / "docs" / name).read_bytes())
    assert (response.headers["Content-Type"], response.headers["Cache-Control"]) == (content_type, "no-cache")
    etag = response.headers["ETag"]
    for sent in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        unchanged = world.get(None, url, If_None_Match=sent)
        assert (unchanged.status_code, unchanged.data, unchanged.headers["ETag"]) == (304, b"", etag)
    assert world.get(None, url, If_None_Match='"other"').status_code == 200
    assert world.client.head(url).headers["Content-Length"] == str(len(response.data))
    refused = world.client.post(url)
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD")
    assert refused.get_json()["error"]["code"] == "method_not_allowed"


@pytest.mark.parametrize("url", ["/", "/page/page.js", "/api-doc/openapi.json", "/llms.txt"])
@pytest.mark.parametrize(
    "headers",
    [
        {"If-Match": '"nope"'},
        {"If-Modified-Since": "Wed, 01 Jan 2098 00:00:00 GMT"},
        {"If-Unmodified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"},
        {"Range": "bytes=0-9"},
        {"Range": "bytes=99999999-"},
    ],
)
def test_a_file_has_no_condition_but_if_none_match(world: World, url: str, headers: dict[str, str]) -> None:
    whole = world.client.get(url)
    response = world.client.get(url, headers=headers)
    assert (response.status_code, response.data) == (200, whole.data)
    assert response.headers["ETag"] == whole.headers["ETag"]
    both = {**headers, "If-None-Match": whole.headers["ETag"]}
    assert world.client.get(url, headers=both).status_code == 304


def test_it_is_served_without_a_database(world: World) -> None:
    world.path.unlink()
    assert world.get(None, "/llms.txt").status_code == 200


def test_every_example_is_valid() -> None:
    count = 0
    for operation in OPERATIONS.values():
        for parameter in resolved(operation["parameters"]):
            OAS31Validator(parameter["schema"]).validate(parameter["example"])
        for response in resolved(operation["responses"]).values():
            for content in response.get("content", {}).values():
                if "example" in content:
                    OAS31Validator(content["schema"]).validate(content["example"])
                    count += 1
    assert count > 20


def test_the_example_session_is_what_the_service_answers(world: World, key: str) -> None:
    served = world.json(key, "/v1/sessions?limit=1")
    assert served["data"] == [EXAMPLE]
    assert list(served["data"][0]) == list(EXAMPLE)
    example = OPERATIONS["/v1/sessions"]["responses"]["200"]["content"]["application/json"]["example"]
    assert list(served) == list(example)


def test_a_session_has_the_described_keys_in_their_order(world: World, key: str) -> None:
    described = DESCRIPTION["components"]["schemas"]["Session"]
    for served in world.json(key)["data"]:
        assert list(served) == list(described["properties"])
        assert set(served) == set(described["required"])


def test_the_example_of_activity_is_what_the_service_answers(world: World) -> None:
    org, key = world.organization()
    world.load(org, agent(), *(session(n, created_at="2026-02-26T12:00:00Z") for n in range(3)))
    assert world.json(key, "/v1/sessions/activity?days=2&until=2026-02-27") == describe.ACTIVITY


@pytest.mark.parametrize(("path", "argument"), ARGUMENTS)
def test_an_argument_takes_what_is_described_and_nothing_else(
    world: World, key: str, path: str, argument: dict[str, Any]
) -> None:
    name, rule = argument["name"], argument["schema"]

    def status(value: object) -> int:
        return world.get(key, f"{path}?{name}={value}").status_code

    assert status(argument["example"]) == 200
    assert status("") == 400
    if rule["type"] == "integer":
        assert [status(rule[bound]) for bound in ("minimum", "maximum")] == [200, 200]
        assert [status(rule["minimum"] - 1), status(rule["maximum"] + 1), status("x")] == [400, 400, 400]
        assert world.json(key, path)[name] == rule["default"]


def test_the_examples_of_errors_are_what_the_service_answers(world: World, key: str) -> None:
    @world.app.get("/broken")
    def broken() -> str:
        raise RuntimeError

    name = {"X_Request_Id": describe.REQUEST_ID}
    answers = [
        world.get(key, "/v1/sessions?limit=0", **name),
        world.get(None, **name),
        world.get(key, X_Org_Id="org_2", **name),
        world.get(key, "/v1/session", **name),
        world.client.post("/v1/sessions", headers={"X-Request-Id": describe.REQUEST_ID}),
        world.get(key, "/broken", **name),
    ]
    world.path.rename(world.folder / "away.db")
    answers.append(world.get(key, **name))
    responses = resolved(DESCRIPTION["components"]["responses"])
    for answer in answers:
        described = responses.pop(str(answer.status_code))
        assert answer.get_json() == described["content"]["application/json"]["example"]
        for header, told in described["headers"].items():
            assert answer.headers[header] == str(told.get("example", answer.headers[header])), header
    assert set(responses) == {"414", "429", "431"}


def test_the_examples_of_what_is_refused_on_the_way_are_true(world: World) -> None:
    examples = {
        status: response["content"]["application/json"]["example"]["error"]
        for status, response in DESCRIPTION["components"]["responses"].items()
    }
    begin, end = b"GET /v1/sessions", b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    too_long = {
        "414": begin + b"?agent_id=" + b"a" * 10_000 + end + b"\r\n",
        "431": begin + end + b"Authorization: " + b"x" * 10_000 + b"\r\n\r\n",
    }
    with serving(world.path) as address:
        for status, request in too_long.items():
            line, body = raw(address, request)
            assert line.split()[1].decode() == status
            answered = {**json.loads(body)["error"], "request_id": describe.REQUEST_ID}
            answered["message"] = re.sub(r"\d{5} >", "10038 >", answered["message"])  # how long it was
            assert answered == examples[status]
    nginx = (ROOT / "deploy" / "nginx.conf").read_text("utf-8")
    assert re.search(f"429 +{examples['429']['code']};", nginx)
    assert re.search(f'429 +"{examples["429"]["message"]}";', nginx)


def test_llms_txt_is_short_and_tells_every_path_argument_and_error() -> None:
    text = describe.documents()["llms.txt"]
    assert text.startswith("# Everruns Sessions\n\n> ")
    assert len(text.encode()) < 4096
    for path in OPERATIONS:
        assert f"`GET {path}`" in text
    for _, argument in ARGUMENTS:
        assert f"`{argument['name']}`" in text
        for word in ("minimum", "maximum", "default"):
            assert str(argument["schema"].get(word, "")) in text
    for status, response in DESCRIPTION["components"]["responses"].items():
        code = response["content"]["application/json"]["example"]["error"]["code"]
        assert f"{status} `{code}`" in text
    for name in EXAMPLE:
        assert f'"{name}": ' in text
    for word in ("Authorization: Bearer", "Link", 'rel="next"', "ETag", "If-None-Match", "304", "request_id"):
        assert word in text


@pytest.mark.parametrize("who", ["a key", "a key and its organization", "nobody"])
def test_schemathesis_finds_nothing(world: World, key: str, tmp_path: Path, who: str) -> None:
    """Of the first two, one meets every refusal of X-Org-Id, so the other sees more of what comes after that."""
    config = (ROOT / "tests" / "schemathesis.toml").read_text("utf-8")
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", "schemathesis.toml", "run"]
    command += [str(ROOT / "docs" / "openapi.json"), "--continue-on-failure", "--no-color"]
    if who != "nobody":
        command += ["--header", f"Authorization: Bearer {key}"]
    if who == "a key and its organization":
        config += f'[parameters]\n"header.X-Org-Id" = "{describe.ORGANIZATION_ID}"\n'
    (tmp_path / "schemathesis.toml").write_text(config)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with serving(world.path) as address:
        command += ["--url", address]
        ran = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"Tested: {len(OPERATIONS)}" in ran.stdout
    for phase in ("Examples", "Coverage", "Fuzzing"):
        assert f"✅ {phase}" in ran.stdout
