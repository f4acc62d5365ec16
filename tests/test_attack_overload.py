"""Overload and slow clients through nginx, in short; and that the attack finds the faults that were planted for it."""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.attack import http, overload
from tests.attack.front import Data, Target, attacked, prepare
from tests.servers import Nginx, unlimited

pytestmark = pytest.mark.needs("nginx")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return prepare(tmp_path_factory.mktemp("data"), sessions=300)


@pytest.fixture(scope="module")
def target(data: Data, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with attacked(tmp_path_factory.mktemp("service"), data) as target:
        yield target


def without(pattern: str, instead: str = "") -> Callable[[str], str]:
    """A change of nginx's configuration, without its limits of requests, that plants a fault."""

    def change(text: str) -> str:
        changed = re.sub(pattern, instead, unlimited(text), count=1)
        assert changed != unlimited(text)
        return changed

    return change


def test_ten_times_the_load_that_the_service_can_serve(target: Target, tmp_path: Path) -> None:
    with Nginx(tmp_path, [f"unix:{target.service.path}"], unlimited) as front:
        found = overload.overload(target, front, 3, {200, 503})
    assert found["statuses"]["503"] > found["statuses"]["200"]


def test_ten_times_the_load_meets_the_limits_first(target: Target, tmp_path: Path) -> None:
    with Nginx(tmp_path, [f"unix:{target.service.path}"]) as front:
        found = overload.overload(target, front, 1, {200, 429, 503}, rate=100)
    assert found["statuses"]["429"] > found["statuses"]["200"]


def test_500_slow_clients_do_not_slow_the_others(target: Target, tmp_path: Path) -> None:
    def came() -> int:
        with Nginx(tmp_path, [f"unix:{target.service.path}"], unlimited) as front:
            return int(overload.slow_clients(target, front, 3)["came"])

    for _ in range(4):  # a machine with other work is slow for a moment; clients that slow the others do so each time
        with suppress(http.Broken):
            assert came() >= 500
            return
    assert came() >= 500


def test_the_overload_finds_a_service_where_everybody_waits(target: Target, tmp_path: Path) -> None:
    with (
        Nginx(tmp_path, [f"unix:{target.service.path}"], without(" max_conns=64")) as front,
        pytest.raises(http.Broken, match="waits too long"),
    ):
        overload.overload(target, front, 2, {200, 503}, rate=200)


def test_the_overload_finds_a_refusal_that_is_none_of_the_promised(target: Target, tmp_path: Path) -> None:
    with (
        Nginx(tmp_path, [f"unix:{target.service.path}"], without("=503 /everruns", "/everruns")) as front,
        pytest.raises(http.Broken, match="502"),
    ):
        overload.overload(target, front, 1, {200, 503}, rate=200)


def test_slow_clients_are_found_where_they_take_the_place_of_others(target: Target, tmp_path: Path) -> None:
    change = without("(?m)^server {", "limit_conn_zone $server_name zone=planted:1m; limit_conn planted 20; server {")
    with (
        Nginx(tmp_path, [f"unix:{target.service.path}"], change) as front,
        pytest.raises(http.Broken, match="a normal request gets 503"),
    ):
        overload.slow_clients(target, front, 3)
