"""The attack of crashes, short, and the faults planted by hand, in the attack's own files, that it must find."""

import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.attack import disk, planted, power, struck
from tests.attack.disk import FROM_THEN_ON, ONCE
from tests.attack.faults import Fault
from tests.attack.struck import Crash
from tests.attack.target import Broken, scratch

pytestmark = pytest.mark.needs("gcc")


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory: the short run must not depend on how fast a disk syncs."""
    with scratch(in_memory=True) as folder:
        yield folder


def test_killed_and_stopped_imports_are_whole_or_absent_and_readers_do_not_notice(folder: Path) -> None:
    choice = random.Random(1)
    with struck.crash(folder, 1) as attacked:
        attacked.calibrate(choice, [5, 40, 1100])
        attacked.kills(choice, 6)
        attacked.kill_workers()
        for _ in range(2):
            attacked.stop(choice)
        locks = disk.locked(attacked, choice, 2)
        figures = attacked.figures()
    assert figures["kills"] >= 4
    assert figures["stops"] >= 1
    assert locks["locks"] == 2
    assert figures["answers"] > 200
    assert figures["answers_304"] > 0


def test_an_import_whose_calls_fail_is_told_and_leaves_nothing(folder: Path) -> None:
    choice = random.Random(1)
    with struck.alone(folder) as attacked:
        figures = disk.failing_calls(attacked, choice, 40, (ONCE[0], FROM_THEN_ON[1]), step=9)
    assert figures["refused, eio"] >= 2
    assert figures["refused, enospc"] >= 2


def test_a_full_disk_at_several_fill_levels(folder: Path) -> None:
    try:
        figures = disk.full_disk(folder, random.Random(1), (1100,), 1 << 18)
    except PermissionError as error:
        pytest.skip(str(error))
    assert figures["refused, 1100 sessions"] >= 2


def test_a_server_that_cannot_read_says_so_and_recovers(folder: Path) -> None:
    assert disk.failing_reads(folder, random.Random(1), 4)["unavailable"] > 0


@pytest.mark.parametrize("held", [True, False], ids=["the WAL stays", "the WAL goes"])
def test_what_was_acknowledged_outlives_a_power_cut(folder: Path, held: bool) -> None:
    assert power.cuts(folder, random.Random(1), 20, held).total() == 20


# --- faults planted by hand -------------------------------------------------------------------------------------


def kill_until_broken(attacked: Crash) -> None:
    """Up to forty kills."""
    choice = random.Random(2)
    attacked.calibrate(choice, [40])
    attacked.kills(choice, 40)


def fails_to_commit(attacked: Crash) -> None:
    disk.failing_calls(attacked, random.Random(1), 40, (Fault("eio", sticky=True),), step=9)


PLANTED: dict[str, tuple[Callable[[Crash], None], str]] = {
    "an_import_in_two_halves": (kill_until_broken, "neither what was before nor what should be after"),
    "an_import_told_before_it_is_stored": (kill_until_broken, "exit status 0: there is neither"),
    "an_importer_that_shrugs": (fails_to_commit, "exit status 0: there is neither"),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_of_the_importer_is_found(folder: Path, fault: str) -> None:
    strike, evidence = PLANTED[fault]
    with struck.alone(folder) as attacked:
        attacked.command = planted.command(fault)
        with pytest.raises(Broken, match=evidence):
            strike(attacked)


def test_a_trigger_that_is_missing_is_found(folder: Path) -> None:
    with struck.alone(folder) as attacked:
        planted.drop_a_trigger(attacked.target.path)
        with pytest.raises(Broken, match=re.escape("has 40 sessions, not 0")):
            attacked.calibrate(random.Random(1), [40])


def test_a_wal_that_is_lost_after_a_kill_is_found(folder: Path) -> None:
    choice = random.Random(1)
    with struck.crash(folder, 1) as attacked:
        attacked.calibrate(choice, [40])
        attacked.spoil = planted.lose_the_wal
        with pytest.raises(Broken):
            attacked.kills(choice, 10)


def test_a_writer_that_does_not_sync_is_found_by_a_power_cut(folder: Path) -> None:
    with pytest.raises(Broken):
        power.cuts(folder, random.Random(1), 50, True, planted.command("a_writer_that_does_not_sync"))


def test_answers_of_two_moments_are_found(folder: Path) -> None:
    server = planted.server(folder / "planted", "a_total_of_another_moment")
    choice = random.Random(1)
    with struck.crash(folder, 1, server) as attacked, pytest.raises(Broken, match="but allowed are"):
        attacked.calibrate(choice, [5, 40] * 50)
