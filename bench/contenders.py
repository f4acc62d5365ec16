"""Who is measured and what is asked: the service, the floors and the peers, each with its command and its URLs."""

import json
import sqlite3
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from urllib.parse import urlencode

from bench.dataset import Database
from bench.load import Answer, MeasurementFailed

LIMIT = 20

_GUNICORN = [
    sys.executable,
    "-m",
    "gunicorn",
    "--config",
    "deploy/gunicorn.conf.py",
    "--workers",
    "1",
    "--threads",
    "4",
]
_GUNICORN += ["--bind", "127.0.0.1:PORT"]
_UVICORN = [sys.executable, "-m", "uvicorn", "--workers", "1", "--no-access-log", "--log-level", "warning"]
_UVICORN += ["--host", "127.0.0.1", "--port", "PORT"]
_DATASETTE = [sys.executable, "-m", "datasette", "serve", "DATABASE", "--host", "127.0.0.1", "--port", "PORT"]
_DATASETTE += ["--setting", "sql_time_limit_ms", "10000"]


@dataclass(frozen=True)
class Contender:
    """A program that answers; in `command`, DATABASE and PORT stand for what they are in a run."""

    label: str
    command: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Question:
    """What is asked: a page of the biggest organization, of its busiest agent, or whether a page has changed."""

    offset: int = 0
    of_agent: bool = False
    unchanged: bool = False


CONTENDERS = {
    "ours": Contender("Everruns Sessions, page cache off", [*_GUNICORN, "app:app"], {"EVERRUNS_CACHED_PAGES": "0"}),
    "floor": Contender("bare WSGI function, the same SQL", [*_GUNICORN, "bench.peers.floor:page"]),
    "cached": Contender("Everruns Sessions", [*_GUNICORN, "app:app"]),
    "memory": Contender("Flask view, bytes from memory", [*_GUNICORN, "bench.peers.floor:memory"]),
    "fastapi": Contender("FastAPI + SQLAlchemy", [*_UVICORN, "bench.peers.fastapi_sqlalchemy:app"]),
    "flask": Contender("Flask + SQLAlchemy", [*_GUNICORN, "bench.peers.flask_sqlalchemy:app"]),
    "datasette": Contender("Datasette, facets not asked for", _DATASETTE),
    "datasette-default": Contender("Datasette, its default answer", _DATASETTE),
}
PEERS = ("fastapi", "flask", "datasette")
KEYLESS = ("datasette", "datasette-default")


def command(name: str, database: Database) -> list[str]:
    """The command that serves `database`; PORT in it is still to be replaced."""
    return [part.replace("DATABASE", str(database.path)) for part in CONTENDERS[name].command]


def environment(name: str, database: Database) -> dict[str, str]:
    """What the command needs in its environment."""
    return {"EVERRUNS_DATABASE": str(database.path), "BENCH_KEY": database.key, **CONTENDERS[name].environment}


def url(name: str, question: Question, database: Database) -> str:
    """Path and query of `question`, as the contender understands it."""
    if name in KEYLESS:
        path = _datasette_url(question, database)
        return path if name == "datasette" else path.replace("&_nofacet=1&_nosuggest=1", "")
    arguments: dict[str, object] = {}
    if question.of_agent:
        arguments["agent_id"] = database.agent_id
    if question.offset:
        arguments["offset"] = question.offset
    return f"/v1/sessions?{urlencode(arguments)}" if arguments else "/v1/sessions"


def check(name: str, answer: Answer, ours: Answer) -> None:
    """Raise `MeasurementFailed` unless `answer` says what the service's own answer says."""
    said, expected = json.loads(answer.body), json.loads(ours.body)
    if name in KEYLESS:
        if [row["public_id"] for row in said["rows"]] != [item["id"] for item in expected["data"]]:
            raise MeasurementFailed(f"{name} answers with other sessions")
    elif (said := json.dumps(said)) != (expected := json.dumps(expected)):  # as text the order of keys counts too
        raise MeasurementFailed(f"{name} does not answer as the service does:\n{said[:2000]}\n{expected[:2000]}")


def _datasette_url(question: Question, database: Database) -> str:
    """The table API, without the facets that we do not show; for depth the SQL API: the table API has no OFFSET."""
    with closing(sqlite3.connect(database.path)) as connection:
        (organization,) = connection.execute(
            "SELECT id FROM organizations WHERE public_id = ?", [database.organization_id]
        ).fetchone()
        (agent,) = connection.execute("SELECT id FROM agents WHERE public_id = ?", [database.agent_id]).fetchone()
    arguments: dict[str, object] = {"organization_id": organization, "_shape": "objects"}
    if question.offset:
        sql = "SELECT * FROM sessions WHERE organization_id = :organization_id ORDER BY created_at DESC, id DESC"
        arguments |= {"sql": f"{sql} LIMIT {LIMIT} OFFSET :offset", "offset": question.offset}
        return f"/{database.path.stem}.json?{urlencode(arguments)}"
    arguments |= {"_sort_desc": "created_at", "_size": LIMIT, "_nofacet": "1", "_nosuggest": "1"}
    if question.of_agent:
        arguments["agent_id"] = agent
    return f"/{database.path.stem}/sessions.json?{urlencode(arguments)}"
