"""The attack by timing, short: keys that are refused cannot be told apart, and a planted difference is found."""

import random
from pathlib import Path

import pytest

from everruns import create_app
from tests.attack import planted, timing
from tests.attack.target import Target

REQUESTS = 10_000


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Target:
    return Target(tmp_path_factory.mktemp("timing"))


@pytest.fixture(scope="module")
def keys(target: Target) -> dict[str, list[str]]:
    return {kind: pool for kind, pool in timing.make_keys(target).items() if kind != timing.GOOD}


def told_apart(path: Path, keys: dict[str, list[str]]) -> list[str]:
    """The kinds of keys that can be told from unknown ones."""
    ask = timing.in_process(create_app({"DATABASE": path}))
    compared = timing.compare(timing.measure(ask, keys, REQUESTS, random.Random(1)), timing.UNKNOWN)
    return [kind for kind, figures in compared.items() if timing.told_apart(figures)]


def test_refused_keys_cannot_be_told_apart(target: Target, keys: dict[str, list[str]]) -> None:
    assert told_apart(target.path, keys) == []


def test_a_lookup_that_dawdles_is_found(target: Target, keys: dict[str, list[str]]) -> None:
    with planted.FAULTS["a_lookup_that_dawdles"]():
        assert told_apart(target.path, keys) == ["revoked", "expired"]
