"""More requests than can be served, through nginx with the configuration of `deploy/`.

Each request is served in bounded time or refused at once in the envelope, and the service is back to normal as soon as
they end. tests/deploy/test_nginx.py has slow clients and the limits of rates.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from random import Random
from statistics import median, quantiles
from urllib.parse import urlsplit

import pytest

from everruns.records import Organization
from everruns.store.db import Database
from tests.stress.imports import START, records
from tests.stress.scale import scaled
from tests.support.database import import_records
from tests.support.server import serve
from tests.support.servers import Nginx, unlimited

pytestmark = pytest.mark.needs("nginx")

CLIENTS = 200
MAX_CONNECTIONS = 64  # of deploy/nginx.conf
SERVED_SECONDS = 3.0  # for 99 of 100 responses, or three times what MAX_CONNECTIONS responses take
REFUSED_SECONDS = 1.0
RECOVERY_SECONDS = 5.0
USUAL_SECONDS = 0.02  # a median below this is not slow, whatever it was before
REFUSALS = [(503, "unavailable"), (429, "too_many_requests")]


class Client:
    """A connection that sends one request after the other, and is opened again when the server closes it."""

    def __init__(self, port: int, key: str) -> None:
        self.port, self.key = port, key
        self.writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.writer is not None:
            self.writer.close()
            with suppress(OSError):
                await self.writer.wait_closed()
            self.writer = None

    async def get(self, path: str) -> tuple[int, dict[str, str], bytes, float]:
        """Return status, headers, body and seconds."""
        started = time.monotonic()
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: {self.key}\r\n\r\n".encode())
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-2])}
        body = await self.reader.readexactly(int(headers["content-length"]))
        if headers.get("connection") == "close":
            await self.__aexit__()
        return int(head[0].split()[1]), headers, body, time.monotonic() - started


async def usual_seconds(port: int, key: str) -> float:
    """Return the median time of a small request, all of which must be served."""
    times = []
    async with Client(port, key) as client:
        for _ in range(30):
            status, _, body, seconds = await client.get("/v1/sessions?limit=1")
            assert status == 200, f"a normal request gets {status} {body!r}"
            times.append(seconds)
    return median(times)


async def overload(port: int, key: str, seconds: float) -> dict[str, int]:
    """Send more than can be served; return figures, raise `AssertionError` for what is not promised."""
    before = await usual_seconds(port, key)
    started, served, refused = time.monotonic(), list[float](), list[float]()

    async def send_all(random: Random) -> None:
        async with Client(port, key) as client:
            while time.monotonic() < started + seconds:
                created_before = START + timedelta(days=10, microseconds=random.randrange(1_000_000))  # not in a cache
                path = f"/v1/sessions?limit=100&created_before={created_before:%Y-%m-%dT%H:%M:%S.%fZ}"
                status, headers, body, taken = await client.get(path)
                if status == 200:
                    served.append(taken)
                    continue
                refused.append(taken)
                assert (status, json.loads(body)["error"]["code"]) in REFUSALS, f"{status} {body!r}"
                assert headers["retry-after"] in ("1", "5")
                await asyncio.sleep(random.uniform(0.1, 0.3))

    async with asyncio.TaskGroup() as clients:
        for number in range(CLIENTS):
            clients.create_task(send_all(Random(number)))
    ended = time.monotonic()
    while await usual_seconds(port, key) > max(USUAL_SECONDS, 2 * before):
        assert time.monotonic() < ended + RECOVERY_SECONDS, "the service does not recover"
    assert len(refused) > 1, "nothing is refused"
    turn = MAX_CONNECTIONS * (ended - started) / len(served)
    served_p99, refused_p99 = quantiles(served, n=100)[-1], quantiles(refused, n=100)[-1]
    assert served_p99 < max(SERVED_SECONDS, 3 * turn), f"1 of 100 is served after {served_p99:.2f} s"
    assert refused_p99 < REFUSED_SECONDS, f"1 of 100 is refused after {refused_p99:.2f} s"
    return {
        "served": len(served),
        "refused": len(refused),
        "ms until served, p99": round(served_p99 * 1000),
        "ms until refused, p99": round(refused_p99 * 1000),
    }


@pytest.fixture
def gunicorn_port(database: Database, organization: Organization) -> Iterator[int]:
    import_records(database, organization, *records(1, 1000))
    with serve(database.path) as url:
        yield urlsplit(url).port or 0


def test_overload_is_refused_at_once(
    gunicorn_port: int, key: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with Nginx(tmp_path / "nginx", [f"127.0.0.1:{gunicorn_port}"], unlimited) as nginx:
        for name, value in asyncio.run(overload(nginx.port, key, scaled(2))).items():
            record_property(name, value)


def test_a_service_where_everyone_waits_is_found(gunicorn_port: int, key: str) -> None:
    """gunicorn alone refuses nothing."""
    with pytest.raises(AssertionError, match="nothing is refused"):
        asyncio.run(overload(gunicorn_port, key, 0.5))
