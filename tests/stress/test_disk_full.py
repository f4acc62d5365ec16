"""A full or failing disk: an import says so and leaves nothing, or is stored.

A power cut is not simulated. SQLite is tested for it; what we owe is that a commit is synced before it is acknowledged,
and that the write-ahead log is not emptied before the database file is synced.
"""

import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from tests.stress.imports import Failure, Importer, Reader
from tests.stress.scale import scaled
from tests.support.disks import small_disk

pytestmark = pytest.mark.needs("gcc")

DISK_BYTES = 6 * 1024 * 1024
DISK_FULL = "the disk is full; free some space and retry; nothing was changed"
REFUSALS = (DISK_FULL, "the database cannot be used: ")
FAILURES = [
    Failure("eio"),
    Failure("enospc"),
    Failure("short"),
    Failure("eio", sticky=True),
    Failure("enospc", sticky=True),
]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MiB."""
    with small_disk(tmp_path / "small", DISK_BYTES) as folder:
        yield folder


def test_a_full_disk_refuses_the_import_and_readers_go_on(
    disk: Path, database_path: Path, failing_calls: Path, record_property: Callable[[str, object], None]
) -> None:
    """An import that was committed is not reported as refused because its log cannot be moved into the file then."""
    path = disk / "everruns.db"
    path.write_bytes(database_path.read_bytes())
    importer, filler = Importer(path, failing_calls), disk / "filler"
    importer.record_calls(1100)
    outcomes = Counter[str]()
    levels = scaled(2)
    with Reader(importer):
        for level in range(levels):
            after = importer.write_file(1300 + level)
            free = 32 * 1024 + level * 1024 * 1024 // levels
            filler.write_bytes(bytes(_free_bytes(disk) - free))
            process = importer.start()
            _, stderr = process.communicate()
            filler.unlink()
            what = f"{free} bytes free: exit status {process.returncode}: {stderr.decode()}"
            stored = importer.verify(after, process.returncode, what)
            assert process.returncode == 0 or (DISK_FULL in stderr.decode() and not stored), what
            outcomes["stored" if stored else "refused"] += 1
    assert outcomes["refused"]
    for outcome, count in outcomes.items():
        record_property(outcome, count)


def test_a_failing_call_is_reported_and_leaves_nothing(
    database_path: Path, failing_calls: Path, record_property: Callable[[str, object], None]
) -> None:
    """After a failed sync nobody knows what is on the disk: then the import may be stored though it was refused."""
    importer = Importer(database_path, failing_calls)
    calls = importer.record_calls(40)
    failures = [failure._replace(at=at) for failure in FAILURES for at in range(1, len(calls) + 1)]
    outcomes = Counter[str]()
    for failure in Random(1).sample(failures, min(len(failures), scaled(4))):
        after = importer.write_file(40)
        process = importer.start(failure)
        _, stderr = process.communicate()
        what = f"{failure}: exit status {process.returncode}: {stderr.decode()}"
        assert process.returncode in (0, 1), what
        assert process.returncode == 0 or any(refusal in stderr.decode() for refusal in REFUSALS), what
        importer.verify(after, process.returncode, what)
        outcomes["stored" if process.returncode == 0 else "refused"] += 1
    assert outcomes["refused"]
    for outcome, count in outcomes.items():
        record_property(outcome, count)


def test_an_import_is_synced_before_it_is_acknowledged(database_path: Path, failing_calls: Path) -> None:
    importer = Importer(database_path, failing_calls)
    check_synced(importer.record_calls(1100))


def check_synced(calls: str) -> None:
    """Check that each write is synced before the next step; upper case is the database file, lower case its log."""
    assert "w" in calls, calls
    assert re.search(r"w[^s]*(W|$)", calls) is None, f"the log is not synced: {calls}"
    assert re.search(r"W[^S]*(t|$)", calls) is None, f"the database file is not synced: {calls}"


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


# --- the checks find what a wrong importer does ---------------------------------------------------------------------

HIDES_FAILURE = """
from everruns.cli import main
try:
    main()
except SystemExit:
    pass
"""

DOES_NOT_SYNC = """
import os, sqlite3
connection = sqlite3.connect(os.environ["EVERRUNS_DATABASE"])
connection.execute("PRAGMA synchronous = OFF")
connection.execute("UPDATE organizations SET name = 'other'")
connection.commit()
connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
"""


def test_an_importer_that_hides_a_failure_is_found(database_path: Path, failing_calls: Path) -> None:
    importer = Importer(database_path, failing_calls, command=[sys.executable, "-c", HIDES_FAILURE])
    after = importer.write_file(40)
    process = importer.start(Failure("eio", at=5, sticky=True))
    process.communicate()
    with pytest.raises(AssertionError, match="acknowledged, but not stored"):
        importer.verify(after, process.returncode, "a hidden failure")


def test_a_writer_that_does_not_sync_is_found(database_path: Path, failing_calls: Path) -> None:
    importer = Importer(database_path, failing_calls, command=[sys.executable, "-c", DOES_NOT_SYNC])
    with pytest.raises(AssertionError, match="is not synced"):
        check_synced(importer.record_calls(0))
