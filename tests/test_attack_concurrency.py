"""The attack of concurrency, short, and the faults planted by hand, in the attack's own files, that it must find."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.attack import concurrency, planted
from tests.attack.concurrency import Size
from tests.attack.target import Broken, Target


def test_every_answer_is_of_one_moment_of_the_history(tmp_path: Path) -> None:
    figures = concurrency.attack(tmp_path, Size(4, readers=3, writers=2))
    assert figures["states"] > 20
    assert figures["answers"] > 200
    assert figures["answers_304"] > 20
    assert figures["answers_with_one_allowed_state"] > figures["answers"] / 2


def until_broken(folder: Path, **planted_fault: Any) -> None:
    """Attack, and again where a slow machine gave readers and writers too little to do."""
    for seed in range(1, 6):
        (folder / str(seed)).mkdir()
        concurrency.attack(folder / str(seed), Size(2.5, readers=3, writers=1, seed=seed), **planted_fault)


@pytest.mark.parametrize("fault", ["a_total_of_another_moment", "an_etag_without_the_revision"])
def test_a_planted_fault_of_the_server_is_found(tmp_path: Path, fault: str) -> None:
    server = planted.server(tmp_path / "planted", fault)
    with pytest.raises(Broken, match=r"is (of no moment|the answer of another moment)|stands for two bodies"):
        until_broken(tmp_path, application=server)


def test_a_writer_that_commits_in_two_halves_is_found(tmp_path: Path) -> None:
    with pytest.raises(Broken, match="is of no moment"):
        until_broken(tmp_path, fault="an_import_in_two_halves")


def test_a_count_that_goes_wrong_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare = concurrency.prepare

    def without_a_trigger(target: Target) -> tuple[str, str]:
        with closing(sqlite3.connect(target.path)) as connection:
            connection.execute("DROP TRIGGER IF EXISTS sessions_delete_count")
        return prepare(target)

    monkeypatch.setattr(concurrency, "prepare", without_a_trigger)
    with pytest.raises(Broken, match="everruns check"):
        until_broken(tmp_path)
