"""ETag, 304 and the question asked again: never another answer, and never an old one."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from werkzeug.test import TestResponse, create_environ

from everruns import create_app, pages
from tests.conftest import AGENT, ROOT, World, agent, session

ORG = "org_00000000000000000000000000000001"


@pytest.fixture
def key(world: World) -> str:
    _, key = world.organization(ORG)
    harness = {"id": "harness_1", "capabilities": ["a2ui"]}
    sessions = (session(n, harness_id="harness_1", capabilities=["openui"]) for n in range(3))
    world.load(ORG, harness, agent(capabilities=["skills"]), *sessions)
    return key


def conditional(world: World, key: str, header: str, url: str = "/v1/sessions") -> TestResponse:
    return world.get(key, url, If_None_Match=header)


def test_an_answer_has_a_weak_etag_and_unchanged_is_304_without_a_body(world: World, key: str) -> None:
    first = world.get(key)
    assert first.headers["ETag"].startswith('W/"')
    for _ in range(2):
        response = conditional(world, key, first.headers["ETag"])
        assert response.status_code == 304
        assert response.data == b""
        assert response.headers["ETag"] == first.headers["ETag"]
        assert response.headers["Cache-Control"] == "private, no-cache"
        assert response.headers["Vary"] == "Authorization"
        assert len(response.headers["X-Request-Id"]) == 32
        assert "Content-Type" not in response.headers
    head = world.client.head("/v1/sessions", headers={"Authorization": key, "If-None-Match": first.headers["ETag"]})
    assert head.status_code == 304


@pytest.mark.parametrize("form", ["{}", '"other", {}', ' {} , "x"', 'W/"a,b", {}', "*", "{strong}", "{},", ",,{}"])
def test_if_none_match_matches_by_the_weak_comparison(world: World, key: str, form: str) -> None:
    etag = world.get(key).headers["ETag"]
    assert conditional(world, key, form.format(etag, strong=etag.removeprefix("W/"))).status_code == 304


@pytest.mark.parametrize(
    "header",
    ["", '""', 'W/""', "garbage", '"', "W/", '"unclosed', ",", "\x7f", "é", '"x", ' * 2000, "x" * 10_000, "**"],
)
def test_any_other_if_none_match_gets_the_answer(world: World, key: str, header: str) -> None:
    response = conditional(world, key, header)
    assert response.status_code == 200
    assert response.json == world.json(key)


def test_if_none_match_changes_nothing_for_an_error(world: World, key: str) -> None:
    etag = world.get(key).headers["ETag"]
    assert conditional(world, key, "*", "/v1/sessions?limit=0").status_code == 400
    assert world.get(None, If_None_Match=etag).status_code == 401
    assert world.get(key, If_None_Match=etag, X_Org_Id="org_2").status_code == 403


CHANGES: list[str] = [
    "UPDATE sessions SET title = 'new' WHERE id = 1",
    "UPDATE sessions SET updated_at = '2027-01-01T00:00:00.000000Z' WHERE id = 1",
    "UPDATE sessions SET tags = '[\"a\"]' WHERE id = 1",
    "UPDATE sessions SET created_at = '2020-01-01T00:00:00.000000Z' WHERE id = 3",
    "DELETE FROM sessions WHERE id = 1",
    """
    INSERT INTO sessions (organization_id, agent_id, public_id, created_at, updated_at)
    SELECT organization_id, agent_id, 'session_x', created_at, updated_at FROM sessions WHERE id = 1
    """,
    """
    INSERT OR REPLACE INTO sessions (organization_id, agent_id, public_id, created_at, updated_at)
    SELECT organization_id, agent_id, public_id, created_at, updated_at FROM sessions WHERE id = 1
    """,
    "INSERT INTO session_capabilities VALUES (1, 7, 'browserless', NULL)",
    "UPDATE session_capabilities SET config = '{}' WHERE session_id = 1",
    "DELETE FROM session_capabilities WHERE session_id = 1",
    "INSERT INTO agent_capabilities VALUES (1, 7, 'browserless', NULL)",
    "UPDATE agent_capabilities SET capability_id = 'browserless'",
    "DELETE FROM agent_capabilities",
    "UPDATE agents SET public_id = 'agent_renamed'",
    "UPDATE sessions SET harness_id = NULL WHERE id = 1",
    "INSERT INTO harness_capabilities VALUES (1, 7, 'browserless', NULL)",
    "UPDATE harness_capabilities SET capability_id = 'browserless'",
    "DELETE FROM harness_capabilities",
    "UPDATE harnesses SET public_id = 'harness_renamed'",
    "UPDATE organizations SET public_id = 'org_renamed'",
    "UPDATE capabilities SET status = 'retired' WHERE id = 'openui'",
    "DELETE FROM capabilities WHERE id = 'openui'",
    "INSERT INTO capability_features VALUES ('openui', 'a_new_one')",
    "UPDATE capability_features SET feature = 'changed' WHERE capability_id = 'openui'",
    "DELETE FROM capability_features",
    "INSERT INTO capability_dependencies VALUES ('openui', 'browserless')",
    "UPDATE capability_dependencies SET dependency_id = 'browserless' WHERE capability_id = 'skills'",
    "DELETE FROM capability_dependencies",
]


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_the_answer_changes_the_etag(world: World, key: str, change: str) -> None:
    before = world.get(key)
    world.get(key)
    world.sql(change)
    after = conditional(world, key, before.headers["ETag"])
    assert after.status_code == 200
    assert after.data != before.data
    assert after.headers["ETag"] != before.headers["ETag"]
    assert conditional(world, key, after.headers["ETag"]).status_code == 304


def test_a_command_that_changes_the_answer_changes_the_etag(world: World, key: str, tmp_path: Path) -> None:
    empty = tmp_path / "catalog.json"
    empty.write_text("[]")
    commands: list[Callable[[], object]] = [
        lambda: world.load(ORG, session(1, title="changed")),
        lambda: world.load(ORG, *(session(n) for n in range(100, 5000))),
        lambda: world.everruns("load-catalog", str(empty)),
    ]
    for command in commands:
        before = world.get(key)
        command()
        after = conditional(world, key, before.headers["ETag"])
        assert after.status_code == 200
        assert after.data != before.data


def test_what_changes_nothing_keeps_the_etag(world: World, key: str) -> None:
    etag = world.get(key).headers["ETag"]
    world.load(ORG, agent(capabilities=["skills"]), session(1, harness_id="harness_1", capabilities=["openui"]))
    other, _ = world.organization()
    world.load(other, agent(), session(1))
    world.everruns("create-key", ORG)
    assert conditional(world, key, etag).status_code == 304


def test_a_restored_backup_never_matches_what_came_after_it(world: World, key: str) -> None:
    before = world.get(key)
    world.everruns("backup", str(world.folder / "backup.db"))
    world.load(ORG, session("lost"))
    lost = world.get(key)
    for name in ("", "-wal", "-shm"):
        (world.folder / f"{world.path.name}{name}").unlink(missing_ok=True)
    (world.folder / "backup.db").rename(world.path)
    restored = conditional(world, key, lost.headers["ETag"])
    assert (restored.status_code, restored.data) == (200, before.data)
    world.load(ORG, session("other"))
    other = conditional(world, key, lost.headers["ETag"])
    assert other.status_code == 200
    assert other.data != lost.data
    assert conditional(world, key, before.headers["ETag"]).status_code == 200


def test_each_organization_and_each_question_has_its_own_etag(world: World, key: str) -> None:
    org, other = world.organization()
    world.load(org, agent(capabilities=["skills"]), *(session(n, capabilities=["openui"]) for n in range(3)))
    urls = ["", "?limit=1", "?offset=1", f"?agent_id={AGENT}", "?created_after=2020-01-01T00:00:00Z"]
    etags = [world.get(k, f"/v1/sessions{url}").headers["ETag"] for k in (key, other) for url in urls]
    assert len(set(etags)) == len(etags)


def test_another_program_has_other_etags(world: World, key: str, tmp_path: Path) -> None:
    ask = f"get('/v1/sessions', headers={{'Authorization': '{key}'}})"
    code = f"from everruns import create_app; print(create_app().test_client().{ask}.headers['ETag'])"
    etags = []
    for number, more in enumerate(["", "", "# another line\n"]):
        copy = tmp_path / str(number)
        shutil.copytree(ROOT / "everruns", copy / "everruns")
        shutil.copy(ROOT / "schema.sql", copy)
        with (copy / "everruns" / "links.py").open("a") as file:
            file.write(more)
        ran = subprocess.run([sys.executable, "-c", code], cwd=copy, capture_output=True, text=True, check=True)
        etags.append(ran.stdout)
    assert etags[0] == etags[1] != etags[2]


def test_a_copied_row_of_an_organization_gets_its_own_answers(world: World, key: str) -> None:
    etag = world.get(key).headers["ETag"]
    world.sql(
        "INSERT INTO organizations (public_id, name, revision) SELECT 'org_copy', name, revision FROM organizations"
    )
    copy = world.everruns("create-key", "org_copy").stdout.strip()
    assert world.json(copy)["total"] == 0
    assert conditional(world, copy, etag).status_code == 200


def test_a_revoked_key_gets_nothing_that_was_kept(world: World, key: str) -> None:
    etag = world.get(key).headers["ETag"]
    assert world.get(key).status_code == 200
    world.everruns("revoke-key", ORG, key)
    assert world.get(key).status_code == 401
    assert conditional(world, key, etag).status_code == 401


def test_an_expired_key_gets_nothing_that_was_kept(world: World, key: str) -> None:
    assert world.get(key).status_code == 200
    world.sql("UPDATE api_keys SET expires_at = '2020-01-01T00:00:00.000000Z'")
    assert world.get(key).status_code == 401


def test_a_database_that_is_gone_is_503_also_for_what_was_kept(world: World, key: str) -> None:
    assert world.get(key).status_code == 200
    world.path.rename(world.folder / "away.db")
    assert world.get(key).status_code == 503
    (world.folder / "away.db").rename(world.path)
    assert world.get(key).status_code == 200


def test_the_log_is_told_the_organization_of_each_answer_kept_or_not(world: World, key: str) -> None:
    for _ in range(2):
        environ = create_environ("/v1/sessions", headers={"Authorization": key})
        assert list(world.app(environ, lambda *_: lambda _: None))
        assert environ["everruns.organization"] == ORG


def test_kept_or_not_the_answer_is_the_same(world: World, key: str) -> None:
    bare = create_app({"CACHED_PAGES": 0}).test_client()
    etag = world.get(key).headers["ETag"]
    queries = [
        "",
        "?limit=2",
        "?offset=1&limit=1",
        "?offset=9",
        "?limit=0",
        "?x=1",
        f"?agent_id={AGENT}",
        "?agent_id=x",
    ]
    headers = [
        {},
        {"X-Org-Id": ORG},
        {"X-Org-Id": "org_2"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"apikey {key}"},
        {"If-None-Match": etag},
        {"If-None-Match": "*"},
        {"X-Request-Id": "mine"},
        {"X-Request-Id": "not mine!"},
    ]
    for method in ("GET", "HEAD", "POST"):
        for query in queries:
            for more in headers:
                asked = {"Authorization": f"Bearer {key}", "X-Request-Id": "same", **more}
                expected = bare.open(f"/v1/sessions{query}", method=method, headers=asked)
                for _ in range(2):
                    got = world.client.open(f"/v1/sessions{query}", method=method, headers=asked)
                    assert got.status == expected.status
                    if more.get("X-Request-Id") != "not mine!":
                        assert sorted(got.headers) == sorted(expected.headers)
                        assert got.data == expected.data


def test_only_so_many_answers_are_kept_and_no_very_large_one(world: World, key: str) -> None:
    app = create_app({"CACHED_PAGES": 2})
    client = app.test_client()
    kept = app.extensions["everruns.pages"].answers
    for limit in (1, 2, 1, 3):
        client.get(f"/v1/sessions?limit={limit}", headers={"Authorization": key})
    assert sorted(len(answer.body) for answer in kept.values()) == sorted(
        len(world.get(key, f"/v1/sessions?limit={limit}").data) for limit in (1, 3)
    )
    world.load(ORG, session(9, title="x" * pages.MAX_BODY_BYTES, created_at="2027-01-01T00:00:00Z"))
    client.get("/v1/sessions", headers={"Authorization": key})
    assert max(len(answer.body) for answer in kept.values()) < pages.MAX_BODY_BYTES


@pytest.mark.parametrize("value", ["-1", "many", "10001", "1.5", '""'])
def test_a_number_of_pages_that_makes_no_sense_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("EVERRUNS_CACHED_PAGES", value)
    with pytest.raises(SystemExit, match="EVERRUNS_CACHED_PAGES must be a whole number from 0 to 10000"):
        create_app()


def test_the_row_of_the_catalog_cannot_be_deleted(world: World) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="must stay"):
        world.sql("DELETE FROM catalog")
