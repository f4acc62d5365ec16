"""Fixtures of the deployment tests: a database with 100 sessions, the service on it, nginx in front."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.servers import Database, Nginx, Service, agent, session, unlimited


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """Database file to copy, never served itself: an organization, a key, an agent with 100 sessions."""
    database = Database(tmp_path_factory.mktemp("template") / "everruns.db")
    database.everruns("init-db")
    database.create_organization()
    database.load([agent(capabilities=["skills"]), *(session(number) for number in range(100))])
    return database


@pytest.fixture
def database(template: Database, tmp_path: Path) -> Database:
    """Database with 100 sessions, for one test that changes it."""
    return template.copy(tmp_path / "everruns.db")


@pytest.fixture(scope="module")
def shared_database(template: Database, tmp_path_factory: pytest.TempPathFactory) -> Database:
    """Database with 100 sessions, for all tests of a module that only read it."""
    return template.copy(tmp_path_factory.mktemp("shared") / "everruns.db")


@pytest.fixture(scope="module")
def service(shared_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service on `shared_database`, with one worker."""
    with servers.service(tmp_path_factory.mktemp("service"), shared_database.path) as running:
        yield running


@pytest.fixture(scope="module")
def nginx(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """nginx in front of `service`, without its rate limits."""
    with Nginx(tmp_path_factory.mktemp("nginx"), [f"unix:{service.path}"], unlimited) as running:
        yield running
