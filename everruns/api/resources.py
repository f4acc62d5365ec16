"""HTTP routes of one session, agent or harness: create, get, replace, change and remove."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Response, request
from marshmallow import ValidationError

from everruns.api import bodies
from everruns.api.auth import authenticate
from everruns.api.errors import ApiError, not_found
from everruns.api.views import database, read_view
from everruns.ids import BASE_HARNESS, canonical_id, new_id
from everruns.records import Organization, Record
from everruns.schemas import queries
from everruns.store import sessions, tables
from everruns.timestamps import now
from everruns.transfer.resources import SESSION, Resource, resolve_references


@read_view()
def get(
    connection: sqlite3.Connection, organization: Organization, query: object, resource: Resource, public_id: str
) -> str:
    """Return the record with this id."""
    return _render(connection, resource, organization, public_id)


def create(resource: Resource) -> Response:
    """Create a record. A session whose id exists is a conflict; an agent or harness is replaced."""
    organization = _authenticate_write()
    record = bodies.load(resource, partial=("public_id",))
    record.setdefault("public_id", new_id(resource.name))
    with _write_transaction() as connection:
        stored = tables.find(connection, resource.table, organization.id, record["public_id"])
        if stored and resource is SESSION:
            resolve_references(connection, organization, resource, record)  # validation comes before existence
            message = f"{record['public_id']} exists; use PUT to replace it or PATCH to change it"
            raise ApiError(409, "conflict", message)
        body = _save(connection, resource, organization, record, stored)
    return _saved(body, None if stored else f"{resource.plural}/{record['public_id']}")


def replace(resource: Resource, public_id: str) -> Response:
    """Create the record with this id, or replace it; `created_at` stays unless given."""
    organization = _authenticate_write()
    resource.schema.load({"id": public_id}, partial=True)  # raises for a malformed id
    record = bodies.load(resource, partial=("public_id",))
    _check_id(record, public_id)
    with _write_transaction() as connection:
        stored = tables.find(connection, resource.table, organization.id, public_id)
        body = _save(connection, resource, organization, record, stored)
    return _saved(body, None if stored else public_id)


def change(resource: Resource, public_id: str) -> Response:
    """Change the keys given in the body; the others keep their values."""
    organization = _authenticate_write()
    record = bodies.load(resource, partial=True)
    _refuse_base_harness(public_id)
    with _write_transaction() as connection:
        stored = tables.find(connection, resource.table, organization.id, public_id)
        if stored is None:
            raise _not_found(resource, public_id)
        _check_id(record, stored["public_id"])
        if record.get("created_at", stored["created_at"]) != stored["created_at"]:
            raise ValidationError({"created_at": [f"must be the stored {stored['created_at']}; it cannot be changed"]})
        body = _save(connection, resource, organization, record, stored, merge=True)
    return _saved(body, None)


def remove(resource: Resource, public_id: str) -> Response:
    """Delete a session, or archive an agent or harness: its sessions stay and keep their features."""
    organization = _authenticate_write()
    _refuse_base_harness(public_id)
    with _write_transaction() as connection:
        stored = tables.find(connection, resource.table, organization.id, public_id)
        if stored is None:
            raise _not_found(resource, public_id)
        if resource is SESSION:
            sessions.delete_session(connection, organization, public_id)
        else:
            archived = {"status": "archived", "updated_at": now()}
            tables.save(connection, resource.table, organization.id, archived, stored, merge=True)
    response = Response(status=204)
    del response.headers["Content-Type"]
    return response


def _authenticate_write() -> Organization:
    """Return the organization of the request's key, before the lock for writing is taken."""
    with database().read() as connection:
        organization = authenticate(connection)
    queries.no_query(request.query_string)
    return organization


@contextmanager
def _write_transaction() -> Iterator[sqlite3.Connection]:
    """Yield a connection in a write transaction, in which the key is valid: it may have been revoked meanwhile."""
    with database().write() as connection:
        authenticate(connection)
        yield connection


def _check_id(record: Record, public_id: str) -> None:
    """Take the id from the path; the one in the body may only repeat it."""
    given = record.get("public_id", public_id)
    if canonical_id(given) != canonical_id(public_id):
        raise ValidationError({"id": [f"must be {public_id}, as in the path; got '{given}'"]})
    record["public_id"] = public_id


def _not_found(resource: Resource, public_id: str) -> ApiError:
    return not_found(f"there is no {resource.name} {public_id} in this organization")


def _refuse_base_harness(public_id: str) -> None:
    if canonical_id(public_id) == BASE_HARNESS:
        raise ValidationError({"id": ["must not be the base harness, which is built in and cannot be changed"]})


def _save(
    connection: sqlite3.Connection,
    resource: Resource,
    organization: Organization,
    record: Record,
    stored: Record | None,
    merge: bool = False,
) -> str:
    """Store `record` in place of `stored`, and return it as JSON; with `merge`, absent keys keep their value."""
    _refuse_base_harness(record["public_id"])
    if stored:
        record.setdefault("updated_at", now())
    resolved = resolve_references(connection, organization, resource, record)
    tables.save(connection, resource.table, organization.id, resolved, stored, merge=merge)
    return _render(connection, resource, organization, record["public_id"])


def _render(connection: sqlite3.Connection, resource: Resource, organization: Organization, public_id: str) -> str:
    text = tables.render(connection, resource.table, organization, public_id)
    if text is None:
        raise _not_found(resource, public_id)
    return text


def _saved(body: str, location: str | None) -> Response:
    response = Response(body + "\n", content_type="application/json")
    if location is not None:
        response.status_code = 201
        response.headers["Location"] = location  # relative to the request, so that it holds behind any proxy
    return response
