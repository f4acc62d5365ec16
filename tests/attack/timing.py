"""Attack: tell keys apart by the time that it takes to refuse them.

python -m tests.attack.timing --requests 200000

Keys that are refused: unknown ones, revoked ones, expired ones, ones that begin as a good key does, and ones whose
SHA-256 begins as a good key's does, as far as can be found by trying. As many of each kind are asked with, in random
order, so that whatever else the machine does falls on all alike. Told are, of each kind against the unknown ones, the
ratio of the medians, and the probability that a request with it takes longer than one with an unknown one (0.5 when
nothing can be told; by Mann and Whitney, with its z). Of the authentication alone also for good keys, in process, and
through a real gunicorn.
"""

import argparse
import gc
import hashlib
import math
import random
import secrets
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.datastructures import Headers

from everruns import auth, create_app, db
from everruns.errors import Unauthorized
from tests import servers
from tests.attack.target import Broken, Target, run, say, scratch

GOOD = "good"
UNKNOWN = "unknown"
STORED = {
    GOOD: None,
    "revoked": "revoked_at",
    "expired": "expires_at",
}  # kinds of keys, and the column that spoils them
MOST_RATIO = 1.05
MOST_BIAS = 0.05  # of that probability
TRIED_HASHES = 20_000
POOL = 32  # keys of a kind

Ask = Callable[[str], None]


def unknown() -> str:
    """A key that nobody has."""
    return f"evr_{secrets.token_urlsafe(32)}"


def make_keys(target: Target) -> dict[str, list[str]]:
    """As many keys of each kind."""
    org, good = target.organization()
    made = {kind: [target.everruns("create-key", org).stdout.strip() for _ in range(POOL)] for kind in STORED}
    with closing(sqlite3.connect(target.path)) as connection, connection:
        for kind, column in STORED.items():
            if column is not None:
                digests = [(hashlib.sha256(key.encode()).digest(),) for key in made[kind]]
                connection.executemany(f"UPDATE api_keys SET {column} = created_at WHERE sha256 = ?", digests)
    tried = sorted((unknown() for _ in range(TRIED_HASHES)), key=lambda key: common_bits(key, good))
    return made | {
        UNKNOWN: [unknown() for _ in range(POOL)],
        "beginning as a good one": [good[:30] + unknown()[30:] for _ in range(POOL)],
        "with a hash beginning as a good one's": tried[-POOL:],
    }


def common_bits(key: str, other: str) -> int:
    """How many bits the hashes of two keys have in common at their beginning."""
    one, two = (int.from_bytes(hashlib.sha256(each.encode()).digest(), "big") for each in (key, other))
    return 256 - (one ^ two).bit_length()


def measure(ask: Ask, keys: dict[str, list[str]], requests: int, choice: random.Random) -> dict[str, list[int]]:
    """Nanoseconds of each request, by the kind of its key: as many of each kind, in random order."""
    times: dict[str, list[int]] = {kind: [] for kind in keys}
    kinds = [*keys]
    gc.collect()
    gc.disable()
    try:
        for _ in range(requests // len(kinds)):
            for kind in choice.sample(kinds, len(kinds)):
                key = choice.choice(keys[kind])
                begin = time.perf_counter_ns()
                ask(key)
                times[kind].append(time.perf_counter_ns() - begin)
    finally:
        gc.enable()
    return times


def compare(times: dict[str, list[int]], against: str) -> dict[str, dict[str, float]]:
    """Each kind against one of them."""
    return {
        kind: {
            "median_us": round(statistics.median(taken) / 1000, 3),
            "ratio": round(statistics.median(taken) / statistics.median(times[against]), 4),
        }
        | mann_whitney(taken, times[against])
        for kind, taken in times.items()
    }


def mann_whitney(one: list[int], other: list[int]) -> dict[str, float]:
    """The probability that one of `one` is larger than one of `other`, ties counting half, and its z."""
    ranked = sorted([(value, 1) for value in one] + [(value, 0) for value in other])
    ranks, place = 0.0, 0
    while place < len(ranked):
        end = place
        while end < len(ranked) and ranked[end][0] == ranked[place][0]:
            end += 1
        ranks += sum(of for _, of in ranked[place:end]) * (place + 1 + end) / 2
        place = end
    larger = ranks - len(one) * (len(one) + 1) / 2
    pairs = len(one) * len(other)
    deviation = math.sqrt(pairs * (len(one) + len(other) + 1) / 12)
    return {"probability": round(larger / pairs, 4), "z": round((larger - pairs / 2) / deviation, 2)}


def in_process(app: Flask) -> Ask:
    """Asks the WSGI application itself."""
    environ = app.test_request_context("/v1/sessions").request.environ

    def ask(key: str) -> None:
        statuses: list[str] = []
        list(app({**environ, "HTTP_AUTHORIZATION": f"Bearer {key}"}, lambda status, *_: statuses.append(status)))  # type: ignore[arg-type]
        assert statuses[0].startswith("401")

    return ask


@contextmanager
def by_socket(folder: Path, target: Target) -> Iterator[Ask]:
    """Asks a real gunicorn."""
    with (
        servers.service(folder / "server", target.path, EVERRUNS_WORKERS="1") as service,
        closing(servers.connection(service.path)) as connection,
    ):

        def ask(key: str) -> None:
            connection.request("GET", "/v1/sessions", headers={"Authorization": f"Bearer {key}"})
            response = connection.getresponse()
            response.read()
            assert response.status == 401

        yield ask


def authentication(connection: sqlite3.Connection) -> Ask:
    """Only authenticates."""

    def ask(key: str) -> None:
        with suppress(Unauthorized):
            auth.authenticate(connection, Headers({"Authorization": f"Bearer {key}"}))

    return ask


def told_apart(figures: dict[str, float]) -> bool:
    """Whether a kind of keys can be told from unknown ones."""
    ratio, probability = figures["ratio"], figures["probability"]
    return max(ratio, 1 / ratio) > MOST_RATIO or abs(probability - 0.5) > MOST_BIAS


def attack(requests: int, seed: int) -> dict[str, Any]:
    """All of it: raises `Broken` when keys can be told apart."""
    choice = random.Random(seed)
    found: dict[str, Any] = {"requests": requests}
    with scratch() as folder:
        target = Target(folder)
        keys = make_keys(target)
        refused = {kind: pool for kind, pool in keys.items() if kind != GOOD}
        app = create_app({"DATABASE": target.path})
        with app.app_context(), db.snapshot() as connection:
            found["authentication"] = compare(measure(authentication(connection), keys, requests, choice), UNKNOWN)
        say(f"{found}")
        found["in process"] = compare(measure(in_process(app), refused, requests, choice), UNKNOWN)
        say(f"{found}")
        with by_socket(folder, target) as ask:
            found["through gunicorn"] = compare(measure(ask, refused, requests, choice), UNKNOWN)
    for way in ("in process", "through gunicorn"):
        for kind, figures in found[way].items():
            if told_apart(figures):
                raise Broken(f"{way}, a key {kind} can be told from an unknown one: {found[way]}")
    return found


def main(given: argparse.Namespace, found: dict[str, Any]) -> None:
    """The command."""
    found.update(attack(given.requests, given.seed))


if __name__ == "__main__":
    options = argparse.ArgumentParser(prog="python -m tests.attack.timing")
    options.add_argument("--requests", type=int, default=200_000)
    run("timing", options, main)
