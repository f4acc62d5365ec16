"""Reload, restart and crash of the service behind nginx, under load."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.servers import Database, Load, Nginx, Service, unlimited, wait_until

pytestmark = pytest.mark.needs("nginx")

URL = "/v1/sessions?limit=5"


@pytest.fixture
def service(shared_database: Database, tmp_path: Path) -> Iterator[Service]:
    """Service with two workers for one test, which stops or kills them."""
    with servers.service(tmp_path / "service", shared_database.path, EVERRUNS_WORKERS="2") as running:
        yield running


@pytest.fixture
def nginx(service: Service, tmp_path: Path) -> Iterator[Nginx]:
    with Nginx(tmp_path / "nginx", [f"unix:{service.path}"], unlimited) as running:
        yield running


def test_reload_and_restart_lose_no_request(service: Service, nginx: Nginx, shared_database: Database) -> None:
    with Load(nginx.port, URL, shared_database.key, pause=0.002) as load:
        load.wait_for(100)
        service.reload()
        load.wait_for(100)
        service.stop()
        service.start()
        load.wait_for(100)
    assert load.errors == []


def test_a_killed_worker_costs_at_most_its_own_requests(
    service: Service, nginx: Nginx, shared_database: Database
) -> None:
    """nginx repeats a request that got no response; a response that has begun is cut off, which the client sees."""
    with Load(nginx.port, URL, shared_database.key, clients=4, pause=0.002) as load:
        for kills in range(1, 3):
            load.wait_for(100)
            victim = service.workers()[0]
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda: victim not in service.workers() and len(service.workers()) == 2, "a new worker")  # noqa: B023
            load.wait_for(100)
            assert len(load.errors) <= kills * 4
    assert [error for error in load.errors if not error.startswith(("IncompleteRead", "503"))] == []
