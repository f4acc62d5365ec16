"""Organizations, keys, writes, imports, SQL, catalogs and backups in any order, compared with a plain Python model.

After each step every key gets the data, the totals, the order and the features of its own organization as it is then,
or 401. A response that the client has is 304, and an ETag never stands for two bodies, restored backups included.
"""

import copy
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from urllib.parse import urlencode

import pytest
from flask import Flask
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from everruns import create_app
from everruns.ids import BASE_HARNESS
from everruns.store import catalog, check
from everruns.store.db import Database
from tests.stress import wrong_services
from tests.stress.imports import stop_counting
from tests.stress.scale import FACTOR, scaled
from tests.support.commands import CommandRunner
from tests.support.database import execute
from tests.support.features import expected_features

TAILS = ["1", "1-", "A", "a", "B-2", "b2"]  # of three ids
AGENTS = ["agent_1", "agent_A"]
HARNESS = "harness_1"
CAPABILITIES = ["browser", "files", "shell", "memory"]
TIMES = [
    "2025-12-31T23:59:59.999999Z",
    "2026-02-27T00:00:00.000000Z",
    "2026-02-27T13:13:53.000000Z",
    "2026-02-28T00:00:00.000000Z",
    "2026-03-01T09:00:00.500000Z",
]
SESSION_DEFAULTS: dict[str, Any] = {
    "harness_id": None,
    "agent_id": None,
    "title": None,
    "tags": [],
    "model_id": None,
    "capabilities": [],
    "status": "started",
    "updated_at": None,
}
QUERIES: list[dict[str, Any]] = [
    {},
    {"limit": 1, "offset": 1},
    {"agent_id": "agent_1-"},
    {"agent_id": "agent_a", "created_before": TIMES[3], "limit": 2},
    {"created_after": TIMES[1], "created_before": TIMES[4], "offset": 2},
    {"status": "active", "tag": "x"},
    {"search": "ab"},  # too short for the index
    {"search": "cab"},
]

ANY = st.integers(0, 1000)
TAIL = st.sampled_from(TAILS)
TIME = st.sampled_from(TIMES)
REFERENCES = st.lists(st.builds(lambda ref: {"ref": ref}, st.sampled_from(CAPABILITIES)), max_size=3)
CHANGES = st.fixed_dictionaries(
    {"updated_at": TIME},
    optional={
        "agent_id": st.sampled_from([*AGENTS, None]),
        "harness_id": st.sampled_from([HARNESS, BASE_HARNESS, None]),
        "title": st.sampled_from([None, "", "ab", "Cab", "xCABx"]),
        "tags": st.lists(st.sampled_from(["x", "ß"]), max_size=2),
        "capabilities": REFERENCES,
        "status": st.sampled_from(["started", "active", "idle"]),
    },
)
SESSION = st.builds(lambda tail, time, rest: {"id": f"session_{tail}", "created_at": time, **rest}, TAIL, TIME, CHANGES)
ENTRY = st.fixed_dictionaries(
    {
        "status": st.sampled_from(["available", "available", "coming_soon"]),
        "features": st.lists(st.sampled_from(["f1", "f2", "f3"]), max_size=2),
        "dependencies": st.lists(st.sampled_from(CAPABILITIES), max_size=2),
    }
)


def canonical(public_id: str) -> str:
    return public_id.replace("-", "").lower()


class Key(NamedTuple):
    """What a key may do."""

    organization: str
    is_valid: bool = True
    is_read_only: bool = False


@dataclass
class Organization:
    """The capabilities of an organization's agents and harness, and its sessions in the order of storing."""

    owners: dict[str, list[str]]
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)

    def store(self, record: dict[str, Any], merge: bool = False, skip_older: bool = False) -> None:
        """Store a session as the API or, with `skip_older`, as an import does."""
        key = canonical(record["id"])
        stored = self.sessions.get(key, {})
        if skip_older and stored and record["updated_at"] < stored["updated_at"]:
            return
        kept = stored if merge else {name: stored[name] for name in ("created_at",) if name in stored}
        self.sessions[key] = {**SESSION_DEFAULTS, **kept, **record, "id": stored.get("id", record["id"])}


@dataclass
class Model:
    """Everything that the database holds."""

    organizations: dict[str, Organization] = field(default_factory=dict)
    keys: dict[str, Key] = field(default_factory=dict)
    catalog: dict[str, dict[str, Any]] = field(default_factory=dict)

    def page(self, organization_id: str, query: dict[str, Any]) -> dict[str, Any]:
        """Return the body of the response to `GET /v1/sessions`."""
        organization = self.organizations[organization_id]
        matching = []
        ordered = sorted(enumerate(organization.sessions.values()), key=lambda item: (item[1]["created_at"], item[0]))
        for _, session in reversed(ordered):
            agent, harness = session["agent_id"], session["harness_id"] or BASE_HARNESS
            if (
                ("agent_id" not in query or canonical(agent or "") == canonical(query["agent_id"]))
                and query.get("created_after", "") <= session["created_at"] < query.get("created_before", "~")
                and query.get("status", session["status"]) == session["status"]
                and ("tag" not in query or query["tag"] in session["tags"])
                and query.get("search", "") in (session["title"] or "").lower()
            ):
                refs = [capability["ref"] for capability in session["capabilities"]]
                refs += organization.owners.get(agent, []) + organization.owners.get(harness, [])
                features = expected_features(refs, self.catalog)
                matching.append(
                    session | {"organization_id": organization_id, "harness_id": harness, "features": features}
                )
        offset, limit = query.get("offset", 0), query.get("limit", 20)
        return {"data": matching[offset : offset + limit], "total": len(matching), "offset": offset, "limit": limit}

    def stats(self, organization_id: str) -> dict[str, int]:
        """Return the body of the response to `GET /v1/sessions/stats`."""
        sessions = self.organizations[organization_id].sessions.values()
        counts = Counter(session["status"] for session in sessions)
        return {"total": len(sessions)} | {status: counts[status] for status in ("started", "active", "idle")}


class Machine(RuleBasedStateMachine):
    """Does the same to the service and to the model. `alter` may make the application a wrong one."""

    template: ClassVar[Path]
    alter: ClassVar[Callable[[Flask], object]]
    done: ClassVar[Counter[str]]

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.path = Path(shutil.copy(self.template, self.folder / "everruns.db"))
        app = create_app({"DATABASE": self.path})
        type(self).alter(app)
        self.client = app.test_client()
        self.database: Database = app.extensions["everruns"]
        self.run_command = CommandRunner(self.path)
        self.model = Model()
        self.bodies: dict[str, bytes] = {}  # by ETag
        self.etags: dict[tuple[str, str], str] = {}  # the last one of a key and URL
        self.backups: list[tuple[Path, Model]] = []
        self.done["examples"] += 1

    def teardown(self) -> None:
        self.database.close()
        shutil.rmtree(self.folder)

    # --- organizations and keys

    @initialize(sessions=st.lists(SESSION, max_size=6))
    def start(self, sessions: list[dict[str, Any]]) -> None:
        """Two organizations with the same sessions."""
        for number in range(2):
            self.create_organization()
            self.import_sessions(number, sessions, merge=False)
        self.load_catalog(
            {name: {"status": "available", "features": [name], "dependencies": []} for name in CAPABILITIES}
        )

    @precondition(lambda self: len(self.model.organizations) < 3)
    @rule()
    def create_organization(self) -> None:
        organization = self.run_command("create-org", "Acme").stdout.strip()
        owners = {**{agent: ["browser"] for agent in AGENTS}, HARNESS: ["files"]}
        self.model.organizations[organization] = Organization(owners)
        self.create_key(len(self.model.organizations) - 1, read_only=False)
        records = [
            {"id": owner, "name": owner, "capabilities": [{"ref": ref} for ref in refs]}
            for owner, refs in owners.items()
        ]
        self._import(organization, records)

    @rule(number=ANY, read_only=st.booleans())
    def create_key(self, number: int, read_only: bool) -> None:
        organization = self._organization(number)
        key = self.run_command("create-key", organization, *["--read-only"] * read_only).stdout.strip()
        self.model.keys[key] = Key(organization, is_read_only=read_only)

    @rule(number=ANY, expire=st.booleans())
    def end_key(self, number: int, expire: bool) -> None:
        key = self._key(number)
        organization, is_valid, _ = self.model.keys[key]
        if expire:
            execute(self.path, "UPDATE api_keys SET expires_at = created_at WHERE prefix = ?", key[:12])
        elif is_valid:
            self.run_command("revoke-key", organization, key[:12])
        self.model.keys[key] = self.model.keys[key]._replace(is_valid=False)

    @precondition(lambda self: len(self.model.organizations) > 2)
    @rule(number=ANY)
    def delete_organization(self, number: int) -> None:
        """A later organization must not inherit anything, as it would with a reused internal id."""
        organization = self._organization(number)
        self.run_command("delete-org", organization, "--yes")
        del self.model.organizations[organization]
        for key, (of, _, _) in self.model.keys.items():
            if of == organization:
                self.model.keys[key] = self.model.keys[key]._replace(is_valid=False)

    # --- sessions and agents

    @rule(number=ANY, record=SESSION)
    def put_session(self, number: int, record: dict[str, Any]) -> None:
        body = {name: value for name, value in record.items() if name != "id"}
        if organization := self._write(number, "PUT", f"sessions/{record['id']}", body):
            organization.store(record)

    @rule(number=ANY, tail=TAIL, changes=CHANGES)
    def patch_session(self, number: int, tail: str, changes: dict[str, Any]) -> None:
        exists = self._has_session(number, tail)
        organization = self._write(number, "PATCH", f"sessions/session_{tail}", changes, None if exists else 404)
        if organization:
            organization.store({"id": f"session_{tail}", **changes}, merge=True)

    @rule(number=ANY, tail=TAIL)
    def delete_session(self, number: int, tail: str) -> None:
        exists = self._has_session(number, tail)
        organization = self._write(number, "DELETE", f"sessions/session_{tail}", None, None if exists else 404)
        if organization:
            del organization.sessions[canonical(f"session_{tail}")]

    @rule(number=ANY, record=SESSION)
    def refuse_session_of_unknown_agent(self, number: int, record: dict[str, Any]) -> None:
        self._write(number, "PUT", f"sessions/{record['id']}", {"agent_id": "agent_unknown"}, 400)

    @rule(number=ANY, owner=st.sampled_from([*AGENTS, HARNESS]), references=REFERENCES)
    def change_owner(self, number: int, owner: str, references: list[dict[str, str]]) -> None:
        """The features of its sessions change."""
        plural = "harnesses" if owner == HARNESS else "agents"
        if organization := self._write(number, "PATCH", f"{plural}/{owner}", {"capabilities": references}):
            organization.owners[owner] = [reference["ref"] for reference in references]

    @rule(number=ANY, sessions=st.lists(SESSION, max_size=6), merge=st.booleans())
    def import_sessions(self, number: int, sessions: list[dict[str, Any]], merge: bool) -> None:
        organization = self._organization(number)
        self._import(organization, sessions, *["--merge"] * merge)
        for record in sessions:
            self.model.organizations[organization].store(record, merge, skip_older=True)

    @rule(number=ANY, time=TIME)
    def update_by_sql(self, number: int, time: str) -> None:
        """Another program changes the agent and the time of all sessions."""
        organization = self._organization(number)
        for session in self.model.organizations[organization].sessions.values():
            session |= {"agent_id": None, "created_at": time}
        execute(
            self.path,
            """
            UPDATE sessions
            SET agent_id = NULL, created_at = ?
            WHERE organization_id = (SELECT id FROM organizations WHERE public_id = ?)
            """,
            *(time, organization),
        )

    # --- catalog and backups

    @rule(entries=st.dictionaries(st.sampled_from(CAPABILITIES), ENTRY, min_size=1, max_size=4))
    def load_catalog(self, entries: dict[str, dict[str, Any]]) -> None:
        self.model.catalog = entries
        with self.database.write() as connection:
            catalog.replace(connection, [{"id": name, "name": name, **entry} for name, entry in entries.items()])

    @precondition(lambda self: len(self.backups) < 3)
    @rule()
    def back_up(self) -> None:
        path = self.folder / f"backup-{len(self.backups)}"
        self.run_command("backup", str(path))
        self.backups.append((path, copy.deepcopy(self.model)))

    @precondition(lambda self: self.backups)
    @rule(number=ANY)
    def restore(self, number: int) -> None:
        """While the service runs. Keys that were created after the backup are unknown again."""
        path, model = self.backups[number % len(self.backups)]
        self.run_command("restore", str(path))
        unknown = {key: rights._replace(is_valid=False) for key, rights in self.model.keys.items()}
        self.model = copy.deepcopy(model)
        self.model.keys = unknown | self.model.keys

    # --- checks

    @invariant()
    def every_key_gets_its_own_data(self) -> None:
        for key, (organization, is_valid, _) in self.model.keys.items():
            if not is_valid:
                status = self.client.get("/v1/sessions", headers={"Authorization": f"Bearer {key}"}).status_code
                assert status == 401, f"an invalid key gets {status}"
                continue
            expected = {f"?{urlencode(query)}": self.model.page(organization, query) for query in QUERIES}
            expected["/stats"] = self.model.stats(organization)
            for url, body in expected.items():
                content = self._get(key, f"/v1/sessions{url}")
                assert json.loads(content) == body, f"{url}: got {content!r}; must be {body}"

    @invariant()
    def the_database_has_no_errors(self) -> None:
        self.done["steps"] += 1
        with self.database.read() as connection:
            errors = [*check.errors(connection)]
        assert not errors, f"everruns check: {errors[:3]}"

    # --- helpers

    def _get(self, key: str, url: str) -> bytes:
        """Return the body of the response, which is the previous one with this ETag when it is 304."""
        headers = {"Authorization": f"Bearer {key}"}
        if (key, url) in self.etags:
            headers["If-None-Match"] = self.etags[key, url]
        response = self.client.get(url, headers=headers)
        self.done[f"responses {response.status_code}"] += 1
        if response.status_code == 304:
            return self.bodies[headers["If-None-Match"]]
        self.etags[key, url] = etag = response.headers["ETag"]
        assert self.bodies.setdefault(etag, response.data) == response.data, f"{url}: {etag} stands for two bodies"
        return bytes(response.data)

    def _organization(self, number: int) -> str:
        return [*self.model.organizations][number % len(self.model.organizations)]

    def _key(self, number: int) -> str:
        return [*self.model.keys][number % len(self.model.keys)]

    def _has_session(self, number: int, tail: str) -> bool:
        organization = self.model.organizations.get(self.model.keys[self._key(number)].organization)
        return organization is not None and canonical(f"session_{tail}") in organization.sessions

    def _import(self, organization: str, records: list[dict[str, Any]], *options: str) -> None:
        lines = "".join(json.dumps(record) + "\n" for record in records)
        self.run_command("import", organization, *options, "-", stdin=lines)

    def _write(
        self, number: int, method: str, path: str, body: dict[str, Any] | None, error: int | None = None
    ) -> Organization | None:
        """Send a write with one of the keys; return the organization that it changed, None when it was refused.

        `error` is the status that a valid key gets.
        """
        key = self._key(number)
        organization, is_valid, is_read_only = self.model.keys[key]
        expected = 401 if not is_valid else 403 if is_read_only else error
        headers = {"Authorization": f"Bearer {key}"}
        response = self.client.open(f"/v1/{path}", method=method, json=body, headers=headers)
        status = response.status_code
        assert status == expected if expected else status in (200, 201, 204), (
            f"{method} {path}: {status} {response.text}"
        )
        return None if expected else self.model.organizations[organization]


def run_machine(
    template: Path, examples: int, alter: Callable[[Flask], object] = lambda app: None, shrink: bool = True
) -> Counter[str]:
    """Run so many examples and return what was done; raises `AssertionError`."""
    done = Counter[str]()
    machine = type("Isolation", (Machine,), {"template": template, "alter": staticmethod(alter), "done": done})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=15,
            deadline=None,
            database=None,
            derandomize=FACTOR == 1,
            report_multiple_bugs=False,
            phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
            suppress_health_check=[*HealthCheck],
        ),
    )
    return done


def test_every_organization_sees_only_its_own_data_as_it_is_now(
    new_database: Path, record_property: Callable[[str, object], None]
) -> None:
    for name, count in run_machine(new_database, scaled(8)).items():
        record_property(name, count)


# --- the machine finds the errors of a wrong service ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (wrong_services.keep_pages, "must be"),
        (wrong_services.accept_invalid_keys, "an invalid key gets 200"),
    ],
)
def test_a_wrong_service_is_found(new_database: Path, wrong: Callable[[Flask], None], error: str) -> None:
    with pytest.raises(AssertionError, match=error):
        run_machine(new_database, 20, wrong, shrink=False)


def test_wrong_counts_are_found(new_database: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(new_database, tmp_path / "wrong.db"))
    stop_counting(path)
    with pytest.raises(AssertionError, match="must be"):
        run_machine(path, 20, shrink=False)
