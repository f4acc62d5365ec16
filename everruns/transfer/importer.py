"""Importing records, all or nothing, inside the transaction of the caller."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator

from marshmallow import ValidationError

from everruns.hints import did_you_mean
from everruns.ids import BASE_HARNESS, canonical_id
from everruns.records import Organization, Outcome, Record
from everruns.schemas.fields import REFERENCE_KEYS, escape, flatten, known_keys, shown
from everruns.store import db, tables
from everruns.transfer.parser import Group, ParsedRecord
from everruns.transfer.resources import AGENT, HARNESS, MAX_UNKNOWN_KEYS, RESOURCES, SESSION, Resource, unknown_keys

MAX_ERRORS = 20

# Statuses of sessions that are not finished, in newer releases of Everruns.
ACTIVE_STATUSES = ("waiting_for_tool_results", "waitingfortoolresults", "paused")


class ImportRefused(Exception):
    """The input is invalid; the caller rolls back. The message has a line for each error."""


class Summary:
    """Counts and notes of an import."""

    def __init__(self) -> None:
        self.outcomes: Counter[tuple[str, Outcome]] = Counter()
        self.unknown_keys: Counter[tuple[str, str, str]] = Counter()  # by resource, path before the key, and key
        self.converted_statuses: Counter[str] = Counter()
        self.sessions_without_created_at = 0

    def lines(self) -> Iterator[str]:
        """Yield the summary for a person."""
        for resource in (HARNESS, AGENT, SESSION):
            counts = [
                f"{self.outcomes[resource.name, outcome]} {outcome}" for outcome in ("new", "changed", "unchanged")
            ]
            if older := self.outcomes[resource.name, "older"]:
                counts.append(f"{older} skipped, as a newer version is stored")
            if resource is not HARNESS or any(name == resource.name for name, _ in self.outcomes):
                yield f"{resource.plural}: {', '.join(counts)}"
        if not self.outcomes:
            yield "note: there was no record in the input"
        for status, count in self.converted_statuses.items():
            yield f"note: status {status} was read as active in {count} sessions"
        if self.sessions_without_created_at:
            yield f"note: {self.sessions_without_created_at} new sessions had no created_at; they got the current time"
        for (name, path, key), count in self.unknown_keys.most_common(MAX_UNKNOWN_KEYS):
            hint = did_you_mean(key, REFERENCE_KEYS if path else known_keys(RESOURCES[name].schema))
            yield f"note: {shown(path + key)} of {count} {name} records was not kept{hint}"


class Import:
    """One import into one organization, inside the caller's write transaction.

        with database.write() as connection:
            summary = Import(connection, organization).run(groups)

    `run` raises `ImportRefused` for any error; the caller must then roll back.
    """

    def __init__(self, connection: sqlite3.Connection, organization: Organization, merge: bool = False) -> None:
        self.connection = connection
        self.organization = organization
        self.merge = merge
        self.summary = Summary()
        self.errors: list[str] = []
        self.row_ids: dict[tuple[str, str], int] = {}  # by resource and canonical id
        # Reserved ids of agents and harnesses not imported yet, with the error to report if they stay missing.
        self.missing: dict[tuple[str, str], str] = {}
        self.next_ids = {resource.name: tables.next_id(connection, resource.table) for resource in (AGENT, HARNESS)}

    def run(self, groups: Iterable[Group]) -> Summary:
        """Store all records and return what was done.

        A group is an array or page of the API. Its sessions are newest first: the last one is stored first.
        """
        db.defer_foreign_keys(self.connection)  # a session may come before its agent
        for group in groups:
            valid = [(parsed.where, *loaded) for parsed in group if (loaded := self._load(parsed))]
            if not self.errors:
                for where, resource, record in valid:
                    if resource is not SESSION:
                        self._save(where, resource, record)
                for where, resource, record in reversed(valid):
                    if resource is SESSION:
                        self._save(where, resource, record)
            if len(self.errors) >= MAX_ERRORS:
                break
        self.errors = self.errors or list(self.missing.values())
        if self.errors:
            raise ImportRefused("\n".join(self.errors[:MAX_ERRORS]))
        return self.summary

    def _load(self, parsed: ParsedRecord) -> tuple[Resource, Record] | None:
        if parsed.record is None:
            self.errors.append(f"{parsed.where} {parsed.error}")
            return None
        try:
            resource = _resource_of(parsed.record)
            record = self._convert(resource, parsed.record)
            loaded: Record = resource.schema.load(record, partial=None if resource is SESSION else ("name",))
            if canonical_id(loaded["public_id"]) == BASE_HARNESS and loaded.get("capabilities"):
                rule = "must be empty for the base harness, which is built in; use another id for your own harness"
                raise ValidationError({"capabilities": [rule]})
        except ValidationError as error:
            self.errors += (f"{parsed.where}: {path} {message}" for path, message in flatten(error.messages_dict))
            return None
        self._note_unknown_keys(resource, record)
        return resource, loaded

    def _convert(self, resource: Resource, record: Record) -> Record:
        """Convert values of newer Everruns releases to those stored here."""
        status = record.get("status")
        if resource is SESSION and status in ACTIVE_STATUSES:
            self.summary.converted_statuses[status] += 1
            return {**record, "status": "active"}
        if resource is not SESSION and record.get("name") in (None, ""):
            return {key: value for key, value in record.items() if key != "name"}
        return record

    def _note_unknown_keys(self, resource: Resource, record: Record) -> None:
        unknown = (("capabilities[]." if path else "", key) for path, key, _ in unknown_keys(resource, record))
        for path, key in dict.fromkeys(unknown):
            self.summary.unknown_keys[resource.name, path, key] += 1

    def _save(self, where: str, resource: Resource, record: Record) -> None:
        reference = (resource.name, canonical_id(record["public_id"]))
        if reference[1] == BASE_HARNESS:
            self.summary.outcomes[resource.name, "unchanged"] += 1
            return
        for name in resource.references:
            if (key := f"{name}_id") in record:
                record[key] = self._row_id(RESOURCES[name], record[key], where)
        stored = tables.find(self.connection, resource.table, self.organization.id, record["public_id"])
        if stored and record.get("updated_at", stored["updated_at"]) < stored["updated_at"]:
            self.summary.outcomes[resource.name, "older"] += 1
            return
        new_id = None
        if resource is not SESSION:
            if not (self.merge and stored):
                record.setdefault("name", record["public_id"])
            if self.missing.pop(reference, None) is None:
                self.row_ids[reference] = stored["id"] if stored else self._reserve(resource)
            new_id = self.row_ids[reference]
        outcome = tables.save(
            self.connection, resource.table, self.organization.id, record, stored, merge=self.merge, new_id=new_id
        )
        self.summary.outcomes[resource.name, outcome] += 1
        if resource is SESSION and outcome == "new" and "created_at" not in record:
            self.summary.sessions_without_created_at += 1

    def _reserve(self, resource: Resource) -> int:
        """Return an internal id for a new agent or harness."""
        self.next_ids[resource.name] += 1
        return self.next_ids[resource.name] - 1

    def _row_id(self, resource: Resource, public_id: str | None, where: str) -> int | None:
        """Return the internal id of the agent or harness that the record at `where` refers to; None for no such."""
        if public_id is None or canonical_id(public_id) == BASE_HARNESS:
            return None
        reference = (resource.name, canonical_id(public_id))
        if reference not in self.row_ids:
            row_id = tables.find_id(self.connection, resource.table, self.organization.id, public_id)
            if row_id is None:
                row_id = self._reserve(resource)
                rule = f"must exist in the organization or be part of the import; got '{escape(public_id)}'"
                self.missing[reference] = f"{where}: {resource.name}_id {rule}"
            self.row_ids[reference] = row_id
        return self.row_ids[reference]


def _resource_of(record: Record) -> Resource:
    public_id = record.get("id")
    if not isinstance(public_id, str):
        raise ValidationError({"id": [f"must be a string; got {shown(public_id)}" if "id" in record else "is missing"]})
    for resource in RESOURCES.values():
        if public_id.startswith(f"{resource.name}_"):
            return resource
    raise ValidationError({"id": [f"must start with session_, agent_ or harness_; got {shown(public_id)}"]})
