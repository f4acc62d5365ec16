"""Fixtures: a database in the test's own directory, the application on it, and the command line."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import Phase, settings

from everruns import create_app
from everruns.records import Organization
from everruns.store import keys, organizations
from everruns.store.db import Database
from tests.support.client import client_with_key
from tests.support.commands import CommandRunner
from tests.support.database import create_database
from tests.support.records import ORGANIZATION_ID

settings.register_profile("no-deadline", deadline=None)  # a busy machine is not a failure
settings.load_profile("no-deadline")
settings.register_profile(  # for `make mutation`: the same examples for each mutant, and no shrinking
    "mutation", deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate]
)

DEBIAN_PACKAGES = {
    "nginx": "nginx-light",
    "systemd-analyze": "systemd",
    "openssl": "openssl",
    "chromium": "chromium-headless-shell",
    "gcc": "gcc libc6-dev",
}


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        for program in mark.args:
            if shutil.which(program) is None:
                pytest.skip(f"{program} is not installed: apt-get install {DEBIAN_PACKAGES[program]}")


@pytest.fixture(scope="session")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new database, to be copied."""
    return create_database(tmp_path_factory.mktemp("new") / "everruns.db")


@pytest.fixture
def database_path(tmp_path: Path, new_database: Path) -> Path:
    """The file of a new database, with the built-in catalog and nothing else."""
    path = tmp_path / "everruns.db"
    shutil.copy(new_database, path)
    return path


@pytest.fixture
def database(database_path: Path) -> Iterator[Database]:
    """The database, for reading and writing by our functions."""
    database = Database(database_path, timeout=1.0)
    yield database
    database.close()


@pytest.fixture
def organization(database: Database) -> Organization:
    """An organization."""
    with database.write() as connection:
        organization = organizations.create_organization(connection, "Acme", ORGANIZATION_ID)
    database.close()  # some tests move or lock the file
    return organization


@pytest.fixture
def key(database: Database, organization: Organization) -> str:
    """A key of the organization."""
    with database.write() as connection:
        key = keys.create_key(connection, organization, "test")
    database.close()
    return key


@pytest.fixture
def app(database_path: Path) -> Iterator[Flask]:
    """The application on the database."""
    app = create_app({"DATABASE": database_path, "DATABASE_TIMEOUT": 0.2})
    yield app
    app.extensions["everruns"].close()


@pytest.fixture
def client(app: Flask, key: str) -> FlaskClient:
    """A test client that sends the key with each request."""
    return client_with_key(app, key)


@pytest.fixture
def run_command(database_path: Path) -> CommandRunner:
    """Run a command of `everruns` on the database; see `CommandRunner`."""
    return CommandRunner(database_path)
