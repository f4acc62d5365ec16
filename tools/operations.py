"""The operations of the API: a table, with a row for each method of each path."""

from collections.abc import Iterator
from typing import NamedTuple

from marshmallow import Schema

import everruns
from everruns.schemas import queries
from everruns.transfer.resources import AGENT, HARNESS, SESSION, Resource
from tools import examples, responses
from tools.responses import OF_ANY_REQUEST, OF_BODIES, OF_LISTS, OF_ONE
from tools.schemas import Json


class Operation(NamedTuple):
    """A method of a path. `returns` are the successful responses, `body` the schema of the body and an example."""

    method: str
    path: str
    id: str
    summary: str
    description: str
    returns: Json
    errors: tuple[str, ...]
    query: type[Schema] | None = None
    body: tuple[str, object] | None = None


STRICT = "An unknown, repeated or empty argument is refused."
REFERENCES = "A reference to an agent or harness that does not exist is refused."
UNKNOWN_KEYS = (
    "A key that the service does not keep is refused, unless its value is null, false, `[]` or `{}`; keys that it "
    "computes, such as `features`, are ignored."
)


def operations() -> Iterator[Operation]:
    """Yield all operations."""
    yield from _sessions()
    for resource in (SESSION, AGENT, HARNESS):
        yield from _records(resource)
    yield from _catalog()
    yield from _service()


def _page(item: object, total: int, limit: int) -> Json:
    return {"data": [item], "total": total, "offset": 0, "limit": limit}


def _sessions() -> Iterator[Operation]:
    yield Operation(
        "get",
        "/v1/sessions",
        "list_sessions",
        "List sessions",
        f"Return a page of sessions, newest first, and the exact total of all that match. Filters combine by AND. "
        f"{STRICT} An offset past the end returns no data and the true total.",
        responses.read("SessionsPage", _page(examples.SESSION, 150, 20), "Link"),
        OF_LISTS,
        query=queries.SessionsQuerySchema,
    )
    yield Operation(
        "get",
        "/v1/sessions/activity",
        "list_activity",
        "Count sessions per day",
        f"Return the number of sessions created on each of the given days, in UTC, oldest first. {STRICT}",
        responses.read("Activity", examples.ACTIVITY),
        OF_LISTS,
        query=queries.ActivityQuerySchema,
    )
    yield Operation(
        "get",
        "/v1/sessions/stats",
        "count_sessions",
        "Count sessions by status",
        f"Return the numbers of all sessions that match, by status. {STRICT}",
        responses.read("SessionCounts", examples.COUNTS),
        OF_LISTS,
        query=queries.StatsQuerySchema,
    )


def _records(resource: Resource) -> Iterator[Operation]:
    """Yield what sessions, agents and harnesses have in common, and archiving or deleting."""
    name, schema = resource.name, resource.name.capitalize()
    path, one, parameter = f"/v1/{resource.plural}", f"/v1/{resource.plural}/{{{name}_id}}", f"{name}_id"
    example, body = examples.RECORDS[name], (f"{schema}Body", examples.BODIES[name])
    remove = "delete" if resource is SESSION else "archive"
    links = {
        action: {"operationId": f"{action}_{name}", "parameters": {parameter: "$response.body#/id"}}
        for action in ("get", "replace", "change", remove)
    }
    created = responses.created(schema, example, links)
    stored = responses.stored(schema, example)
    if resource is not SESSION:
        yield Operation(
            "get",
            path,
            f"list_{resource.plural}",
            f"List {resource.plural}",
            f"Return a page of {resource.plural}, by name, and the total of all that match. {STRICT}",
            responses.read(f"{resource.plural.capitalize()}Page", _page(example, 1, queries.MAX_LISTED)),
            OF_LISTS,
            query=queries.AgentsQuerySchema if resource is AGENT else queries.HarnessesQuerySchema,
        )
    exists = "is a conflict" if resource is SESSION else f"replaces that {name}, with the status 200"
    yield Operation(
        "post",
        path,
        f"create_{name}",
        f"Create {_a(name)}",
        f"The service makes an `id` unless one is given; an `id` that exists {exists}. {REFERENCES} {UNKNOWN_KEYS}",
        created if resource is SESSION else {**stored, **created},
        (*OF_BODIES, "409") if resource is SESSION else OF_BODIES,
        body=body,
    )
    yield Operation(
        "get",
        one,
        f"get_{name}",
        f"Get {_a(name)}",
        "Ids that differ only in dashes and letter case are the same.",
        responses.read(schema, example),
        OF_ONE,
    )
    yield Operation(
        "put",
        one,
        f"replace_{name}",
        f"Create or replace {_a(name)}",
        f"Keys that are not given get their defaults; `created_at` stays, `updated_at` becomes now. An `id` in the "
        f"body must be that of the path. Safe to repeat. {REFERENCES} {UNKNOWN_KEYS}",
        {**stored, **created},
        ("404", *OF_BODIES),
        body=body,
    )
    yield Operation(
        "patch",
        one,
        f"change_{name}",
        f"Change {_a(name)}",
        f"Keys that are not given keep their values; null empties a key. `updated_at` becomes now unless given. `id` "
        f"and `created_at` may only repeat what is stored. {REFERENCES} {UNKNOWN_KEYS}",
        stored,
        ("404", *OF_BODIES),
        body=(f"{schema}Changes", examples.CHANGES[name]),
    )
    yield Operation(
        "delete",
        one,
        f"{remove}_{name}",
        f"{remove.capitalize()} {_a(name)}",
        "Delete the session for good."
        if resource is SESSION
        else f"The {name} is left out of lists unless `include_archived` is true; its sessions keep their features.",
        responses.removed(),
        OF_ONE,
    )


def _a(name: str) -> str:
    return f"an {name}" if name == "agent" else f"a {name}"


def _catalog() -> Iterator[Operation]:
    yield Operation(
        "get",
        "/v1/capabilities",
        "list_capabilities",
        "List capabilities",
        f"Return a page of the capability catalog, by id, and the total of all that match. {STRICT}",
        responses.read("CapabilitiesPage", _page(examples.CAPABILITY, 91, queries.MAX_LISTED)),
        OF_LISTS,
        query=queries.CapabilitiesQuerySchema,
    )
    yield Operation(
        "get",
        "/v1/capabilities/{capability_id}",
        "get_capability",
        "Get a capability",
        "Return a capability of the catalog.",
        responses.read("Capability", examples.CAPABILITY),
        OF_ONE,
    )
    yield Operation(
        "get",
        "/v1/organization",
        "get_organization",
        "Get the organization",
        "Return the organization of the API key.",
        responses.read("Organization", examples.ORGANIZATION),
        OF_LISTS,
    )


def _service() -> Iterator[Operation]:
    yield Operation(
        "get",
        "/health",
        "get_health",
        "Check that the service works",
        "No API key is needed.",
        responses.stored("Health", {"status": "ok", "version": everruns.__version__}),
        ("503", *OF_ANY_REQUEST),
    )
    yield Operation(
        "get",
        "/api-doc/openapi.json",
        "get_openapi",
        "Get this OpenAPI document",
        "No API key is needed.",
        responses.document({"application/json": {"schema": {"type": "object"}}}),
        OF_ANY_REQUEST,
    )
    yield Operation(
        "get",
        "/llms.txt",
        "get_llms_txt",
        "Get a short description for language models",
        "No API key is needed.",
        responses.document({"text/plain; charset=utf-8": {"schema": {"type": "string"}}}),
        OF_ANY_REQUEST,
    )
