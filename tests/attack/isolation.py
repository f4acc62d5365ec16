"""Attack: organizations, keys, imports, plain SQL, catalogs and restored backups in any order, against a plain model.

python -m tests.attack.isolation --examples 2000

A Hypothesis state machine: after each step every key of every organization is asked with, and total, data, order,
features and status must be those of the model; an ETag must never have stood for two answers, in all of the example,
restored backups included; asking again with it must give 304.
"""

import argparse
import copy
import json
import re
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import hypothesis
from flask.testing import FlaskClient
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

from everruns import auth, catalog, create_app, db, spans
from everruns.importer import Import
from everruns.reader import Found
from everruns.values import BASE_HARNESS
from tests.attack.target import Broken, Target, run, scratch
from tests.test_features import expected as expected_features
from tests.test_model import AGENT, BOUNDS, CAPABILITY, INSTANTS, SESSION, STORED, TAILS, TEXT, same

MOST_ORGANIZATIONS = 3
QUESTIONS: list[dict[str, Any]] = [
    {},
    {"limit": 1, "offset": 1},
    {"limit": 3, "offset": 2},
    {"offset": 2147483647},
    {"agent_id": "agent_0"},
    {"agent_id": "agent_A", "limit": 2},
    {"agent_id": "agent_-a-"},
    {"created_before": "2026-01-01T00:00:00.000001Z"},
    {"created_after": "2026-01-01T02:00:00+02:00", "agent_id": "agent_a"},
]
CATALOG_IDS = ["skills", "browserless", "openui", "research", "platform_management"]
ENTRY = st.fixed_dictionaries(
    {
        "name": st.just("x"),
        "category": st.none(),
        "status": st.sampled_from(["available", "available", "coming_soon", "retired"]),
        "dependencies": st.lists(st.sampled_from(CATALOG_IDS), max_size=2, unique=True),
        "features": st.lists(st.sampled_from(["a", "b", "c", "é"]), max_size=2, unique=True),
    }
)
ANY = st.integers(0, 99)
seen: Counter[str] = Counter()


@dataclass
class Organization:
    """What an organization has, by what makes ids the same; sessions in the order of storing."""

    harnesses: dict[str, dict[str, Any]] = field(default_factory=dict)
    agents: dict[str, dict[str, Any]] = field(default_factory=dict)
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass
class Model:
    """What there is. Keys are good, revoked or expired."""

    organizations: dict[str, Organization] = field(default_factory=dict)
    keys: dict[str, tuple[str, str]] = field(default_factory=dict)
    catalog: dict[str, dict[str, Any]] = field(default_factory=dict)

    def matching(self, org: str, asked: dict[str, Any]) -> list[dict[str, Any]]:
        """All sessions that match, newest first, as they must be answered."""
        here = self.organizations[org]
        ordered = sorted(enumerate(here.sessions.values()), key=lambda at: (at[1]["created_at"], at[0]), reverse=True)
        after = BOUNDS.get(asked.get("created_after", ""), "0")
        before = BOUNDS.get(asked.get("created_before", ""), "9")
        return [
            self._answered(org, session)
            for _, session in ordered
            if same(asked.get("agent_id", session["agent_id"])) == same(session["agent_id"])
            and after <= session["created_at"] < before
        ]

    def _answered(self, org: str, session: dict[str, Any]) -> dict[str, Any]:
        here = self.organizations[org]
        harness = here.harnesses.get(same(session["harness_id"]), {"id": BASE_HARNESS, "capabilities": []})
        agent = here.agents[same(session["agent_id"])]
        capabilities = session["capabilities"] + agent["capabilities"] + harness["capabilities"]
        features = expected_features([capability["ref"] for capability in capabilities], self.catalog)
        names = {"organization_id": org, "harness_id": harness["id"], "agent_id": agent["id"]}
        return session | names | {"features": features}


def session_record(here: Organization, item: dict[str, Any]) -> dict[str, Any]:
    """What is imported for a session that was drawn: its numbers choose among the harnesses and agents there are."""
    harnesses = [BASE_HARNESS, None, *(harness["id"] for harness in here.harnesses.values())]
    agents = [agent["id"] for agent in here.agents.values()]
    rest = {key: value for key, value in item.items() if key not in ("tail", "harness", "agent")}
    return rest | {
        "id": f"session_{item['tail']}",
        "harness_id": harnesses[item["harness"] % len(harnesses)],
        "agent_id": agents[item["agent"] % len(agents)],
    }


def spoil(path: Path) -> None:
    """What is done to each new database: nothing."""


class Machine(RuleBasedStateMachine):
    """The steps, on a copy of the database `template`."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=self.template.parent))
        self.path = self.folder / "everruns.db"
        shutil.copy(self.template, self.path)
        spoil(self.path)
        self.model = Model()
        self.model.catalog = {entry["id"]: entry for entry in catalog.read(catalog.BUILT_IN)}
        self.backups: list[tuple[Path, Model]] = []
        self.bodies: dict[str, bytes] = {}
        self._open()
        seen["examples"] += 1

    def _open(self) -> None:
        self.app = create_app({"DATABASE": self.path, "DATABASE_TIMEOUT": 0.2})
        self.client: FlaskClient = self.app.test_client()

    def teardown(self) -> None:
        """Leave nothing."""
        db.reader(self.app).close()
        shutil.rmtree(self.folder)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self.app.app_context(), db.transaction() as connection:
            yield connection

    def _sql(self, statement: str, *values: object) -> None:
        """Plain SQL, as any other program may send it."""
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute(statement, values)

    def _org(self, number: int) -> str:
        return [*self.model.organizations][number % len(self.model.organizations)]

    def _id(self, connection: sqlite3.Connection, org: str) -> auth.Organization:
        found = auth.find_organization(connection, org)
        assert found is not None
        return found

    def _session(self, number: int) -> tuple[str, Organization, str]:
        """Some session, of which there must be one: its organization and what makes its id the same."""
        all_sessions = [(org, here, key) for org, here in self.model.organizations.items() for key in here.sessions]
        return all_sessions[number % len(all_sessions)]

    def _has_organizations(self) -> bool:
        return bool(self.model.organizations)

    def _has_sessions(self) -> bool:
        return any(here.sessions for here in self.model.organizations.values())

    # --- organizations and keys

    @initialize(
        harnesses=st.lists(AGENT, max_size=2),
        agents=st.lists(AGENT, min_size=1, max_size=3),
        ours=st.lists(SESSION, min_size=2, max_size=8),
        theirs=st.lists(SESSION, max_size=4),
    )
    def begin(self, harnesses: list[Any], agents: list[Any], ours: list[Any], theirs: list[Any]) -> None:
        """Two organizations with a key each, the same agents, and some sessions, of which some may have the same id."""
        for number, sessions in enumerate((ours, theirs)):
            self.create_organization()
            self.import_records(number, harnesses, agents, sessions)

    @precondition(lambda self: len(self.model.organizations) < MOST_ORGANIZATIONS)
    @rule()
    def create_organization(self) -> None:
        """A new organization with a key."""
        with self._writing() as connection:
            org = auth.create_organization(connection, "Acme")
            key = auth.create_key(connection, self._id(connection, org), "")
        self.model.organizations[org] = Organization()
        self.model.keys[key] = (org, "good")

    @precondition(_has_organizations)
    @rule(number=ANY, days=st.none() | st.integers(1, 3))
    def create_key(self, number: int, days: int | None) -> None:
        """Another key."""
        org = self._org(number)
        with self._writing() as connection:
            key = auth.create_key(connection, self._id(connection, org), "", days)
        self.model.keys[key] = (org, "good")

    @precondition(_has_organizations)
    @rule(number=ANY, expire=st.booleans())
    def end_key(self, number: int, expire: bool) -> None:
        """A key is revoked, or expires."""
        keys = [(key, org) for key, (org, _) in self.model.keys.items() if org in self.model.organizations]
        if not keys:
            return
        key, org = keys[number % len(keys)]
        if expire:
            self._sql("UPDATE api_keys SET expires_at = created_at WHERE sha256 = ?", auth._sha256(key))
        else:
            with self._writing() as connection:
                auth.revoke_key(connection, self._id(connection, org), key)  # gone, where a backup knew it not
        self.model.keys[key] = (org, "bad")

    @precondition(lambda self: len(self.model.organizations) > 1)
    @rule(number=ANY)
    def delete_organization(self, number: int) -> None:
        """An organization goes, with all that it has."""
        org = self._org(number)
        self._sql("DELETE FROM organizations WHERE public_id = ?", org)
        del self.model.organizations[org]
        self.model.keys = {key: (of, "bad" if of == org else state) for key, (of, state) in self.model.keys.items()}

    # --- imports

    @precondition(_has_organizations)
    @rule(
        number=ANY,
        harnesses=st.lists(AGENT, max_size=2),
        agents=st.lists(AGENT, max_size=3),
        sessions=st.lists(SESSION, max_size=8),
    )
    def import_records(self, number: int, harnesses: list[Any], agents: list[Any], sessions: list[Any]) -> None:
        """Harnesses, agents and sessions, new ones and ones that are there."""
        org = self._org(number)
        here = self.model.organizations[org]
        records = []
        for kind, items, known in (("harness", harnesses, here.harnesses), ("agent", agents, here.agents)):
            owners = [{"id": f"{kind}_{item['tail']}", "capabilities": item["capabilities"]} for item in items]
            known |= {same(record["id"]): record for record in owners}
            records += owners
        for item in sessions if here.agents else []:
            record = session_record(here, item)
            records.append(record)
            times = {key: STORED[record[key]] for key in ("created_at", "updated_at")}
            here.sessions[same(record["id"])] = record | times | {"harness_id": record["harness_id"] or BASE_HARNESS}
        with self._writing() as connection:
            Import(connection, self._id(connection, org)).run(Found("attack", record) for record in records)

    # --- plain SQL

    @precondition(_has_sessions)
    @rule(number=ANY, title=st.none() | TEXT, status=st.sampled_from(["active", "idle"]), created_at=INSTANTS)
    def update_session(self, number: int, title: str | None, status: str, created_at: str) -> None:
        """Another title, status and time of creation."""
        org, here, key = self._session(number)
        changed = {"title": title, "status": status, "created_at": STORED[created_at]}
        here.sessions[key] = here.sessions[key] | changed
        self._sql(
            f"UPDATE sessions SET title = ?, status = ?, created_at = ? WHERE {WHICH}", *changed.values(), key, org
        )

    @precondition(_has_sessions)
    @rule(number=ANY, tail=TAILS)
    def rename_session(self, number: int, tail: str) -> None:
        """Another id; the session that has it goes."""
        org, here, key = self._session(number)
        new = f"session_{tail}"
        if same(new) != key:
            here.sessions.pop(same(new), None)
        here.sessions = {
            same(new) if at == key else at: session | {"id": new} if at == key else session
            for at, session in here.sessions.items()
        }
        self._sql(f"UPDATE OR REPLACE sessions SET public_id = ? WHERE {WHICH}", new, key, org)

    @precondition(_has_sessions)
    @rule(number=ANY, tail=TAILS, created_at=INSTANTS)
    def replace_session(self, number: int, tail: str, created_at: str) -> None:
        """A new session with the agent of another; the session that has its id goes."""
        org, here, key = self._session(number)
        new = f"session_{tail}"
        record = {"id": new, "harness_id": BASE_HARNESS, "agent_id": here.sessions[key]["agent_id"]}
        record |= {"title": None, "tags": [], "model_id": None}
        record |= {"capabilities": [], "status": "started", "created_at": STORED[created_at]}
        record |= {"updated_at": STORED[created_at]}
        self._sql(
            f"""
            INSERT OR REPLACE INTO sessions (organization_id, agent_id, public_id, created_at, updated_at)
            SELECT organization_id, agent_id, ?, ?, ? FROM sessions WHERE {WHICH}
            """,
            *(new, STORED[created_at], STORED[created_at], key, org),
        )
        here.sessions.pop(same(new), None)
        here.sessions[same(new)] = record

    @precondition(_has_sessions)
    @rule(number=ANY)
    def delete_session(self, number: int) -> None:
        """A session goes."""
        org, here, key = self._session(number)
        del here.sessions[key]
        self._sql(f"DELETE FROM sessions WHERE {WHICH}", key, org)

    @precondition(_has_sessions)
    @rule(number=ANY, kind=st.sampled_from(["agent", "harness"]), capabilities=st.lists(CAPABILITY, max_size=2))
    def change_owner(self, number: int, kind: str, capabilities: list[Any]) -> None:
        """The agent, or the harness, of a session can do other things."""
        org, here, key = self._session(number)
        owners = here.agents if kind == "agent" else here.harnesses
        owner = same(here.sessions[key][f"{kind}_id"])
        if owner not in owners:
            return  # the base harness, which has no row
        owners[owner] = owners[owner] | {"capabilities": capabilities}
        found = f"(SELECT {kind}_id FROM sessions WHERE {WHICH})"
        self._sql(f"DELETE FROM {kind}_capabilities WHERE {kind}_id = {found}", key, org)
        for position, capability in enumerate(capabilities):
            self._sql(
                f"INSERT INTO {kind}_capabilities (position, capability_id, {kind}_id) VALUES (?, ?, {found})",
                *(position, capability["ref"], key, org),
            )

    # --- catalog and backups

    @rule(entries=st.dictionaries(st.sampled_from(CATALOG_IDS), ENTRY, max_size=4))
    def replace_catalog(self, entries: dict[str, Any]) -> None:
        """Another catalog; a cycle in it would be refused by load-catalog, and ends the walk here."""
        self.model.catalog = {name: entry | {"id": name} for name, entry in entries.items()}
        with self._writing() as connection:
            catalog.replace(connection, [*self.model.catalog.values()])

    @precondition(lambda self: self.model.catalog)
    @rule(number=ANY, status=st.sampled_from(["available", "coming_soon", "retired"]))
    def change_catalog(self, number: int, status: str) -> None:
        """The status of a capability, by plain SQL."""
        name = [*self.model.catalog][number % len(self.model.catalog)]
        self.model.catalog[name] = self.model.catalog[name] | {"status": status}
        self._sql("UPDATE capabilities SET status = ? WHERE id = ?", status, name)

    @precondition(lambda self: len(self.backups) < 3)
    @rule()
    def back_up(self) -> None:
        """A backup is made."""
        path = self.folder / f"backup-{len(self.backups)}"
        with self.app.app_context(), db.snapshot() as connection, closing(sqlite3.connect(path)) as backup:
            connection.backup(backup)
        self.backups.append((path, copy.deepcopy(self.model)))

    @precondition(lambda self: self.backups)
    @rule(number=ANY)
    def restore(self, number: int) -> None:
        """The service is stopped, a backup put in place of the database, and the service started."""
        db.reader(self.app).close()
        path, model = self.backups[number % len(self.backups)]
        for suffix in ("-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        self.path.unlink()
        shutil.copy(path, self.path)
        known = self.model.keys
        self.model = copy.deepcopy(model)
        self.model.keys = {key: (org, "bad") for key, (org, _) in known.items()} | self.model.keys
        self._open()

    # --- what must hold

    @precondition(_has_sessions)
    @rule(number=ANY, limit=st.integers(1, 5), of_an_agent=st.booleans())
    def walk(self, number: int, limit: int, of_an_agent: bool) -> None:
        """Following `Link` from the first page on, each session is seen once, in order."""
        org, here, session = self._session(number)
        keys = [key for key, (of, state) in self.model.keys.items() if (of, state) == (org, "good")]
        if not keys:
            return
        asked = {"agent_id": here.sessions[session]["agent_id"]} if of_an_agent else {}
        found, url = [], f"?{urlencode({**asked, 'limit': limit})}"
        for _ in range(len(here.sessions) + 1):
            answer = self.client.get(f"/v1/sessions{url}", headers={"Authorization": keys[0]})
            found += [item["id"] for item in answer.get_json()["data"]]
            following = re.search('<([^<>]*)>; rel="next"', answer.headers["Link"])
            if following is None:
                break
            url = following[1]
        seen["walks"] += 1
        wanted = [item["id"] for item in self.model.matching(org, asked)]
        if found != wanted:
            raise Broken(f"a walk by {limit} found {found}, not {wanted}")

    @invariant()
    def every_answer_is_that_of_the_model(self) -> None:
        """Every key, every question."""
        for key, (org, state) in self.model.keys.items():
            good = state == "good"
            for asked in QUESTIONS if good else [{}]:
                self._ask(key, org if good else None, asked)
        unasked = set(self.model.organizations) - {org for org, state in self.model.keys.values() if state == "good"}
        seen["organizations without a key"] += len(unasked)

    @invariant()
    def every_count_is_right(self) -> None:
        """What `everruns check` compares."""
        with self.app.app_context(), db.snapshot() as connection:
            faults = [*spans.faults(connection), *connection.execute("PRAGMA foreign_key_check")]
        if faults:
            raise Broken(f"everruns check: {faults}")

    def _ask(self, key: str, org: str | None, asked: dict[str, Any]) -> None:
        url, headers = f"/v1/sessions?{urlencode(asked)}", {"Authorization": f"Bearer {key}"}
        answer = self.client.get(url, headers=headers)
        seen["answers"] += 1
        if org is None:
            if answer.status_code != 401:
                raise Broken(f"a key that is not good: {answer.status_code} {answer.text}")
            return
        matching = self.model.matching(org, asked)
        offset, limit = asked.get("offset", 0), asked.get("limit", 20)
        wanted = {"data": matching[offset : offset + limit], "total": len(matching), "offset": offset, "limit": limit}
        told = json.loads(answer.data)
        if answer.status_code != 200 or told != wanted:
            raise Broken(f"{url} of {org}: {answer.status_code} {told}, not {wanted}")
        self._judge_etag(url, headers, answer.headers["ETag"], answer.data)

    def _judge_etag(self, url: str, headers: dict[str, str], etag: str, body: bytes) -> None:
        if self.bodies.setdefault(etag, body) != body:
            raise Broken(f"{url}: ETag {etag} stands for {self.bodies[etag]!r} and for {body!r}")
        again = self.client.get(url, headers=headers | {"If-None-Match": etag})
        if (again.status_code, again.data, again.headers["ETag"]) != (304, b"", etag):
            raise Broken(f"{url} again, with its ETag: {again.status_code} {again.headers} {again.data!r}")
        seen["answers 304"] += 1


WHICH = """
  lower(replace(public_id, '-', '')) = ?
  AND organization_id = (SELECT id FROM organizations WHERE public_id = ?)
"""


def attack(examples: int, seed: int | None = None, shrink: bool = True) -> dict[str, Any]:
    """So many examples; `seed` None always draws the same ones. Raises `Broken`, or what a step raised."""
    seen.clear()
    machine = Machine if seed is None else hypothesis.seed(seed)(Machine)
    wanted = settings(
        max_examples=examples,
        stateful_step_count=20,
        deadline=None,
        database=None,
        derandomize=seed is None,
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    with scratch(in_memory=True) as folder:
        Machine.template = Target(folder).path
        run_state_machine_as_test(machine, settings=wanted)
    return {"examples asked for": examples, **dict(sorted(seen.items()))}


def main(given: argparse.Namespace, found: dict[str, Any]) -> None:
    """The command."""
    try:
        found.update(attack(given.examples, given.seed))
    except Broken as broken:
        raise Broken("\n".join([str(broken), *getattr(broken, "__notes__", [])])) from None


if __name__ == "__main__":
    options = argparse.ArgumentParser(prog="python -m tests.attack.isolation")
    options.add_argument("--examples", type=int, default=2000)
    run("isolation", options, main)
