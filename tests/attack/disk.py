"""Attack: a disk that is full, that fails at each call in turn, that cannot be read; a database that is locked.

Part of `python -m tests.attack.crash`. After each: exit status 1 and a clear message, or 0 and all of it is there;
`everruns check` clean, nothing half there, and every answer meanwhile of one moment.
"""

import json
import os
import random
import sqlite3
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tests import servers
from tests.attack import faults
from tests.attack.batches import Question, State, delete
from tests.attack.faults import READS, Fault
from tests.attack.struck import Crash, alone, crash
from tests.attack.target import Broken, Target, say, scratch
from tests.conftest import ROOT

DISK_BYTES = 6 << 20
FULL = "the disk is full; make room and try again; nothing was changed"
LOCKED = "the database is locked by another program; wait, or raise EVERRUNS_DATABASE_TIMEOUT; nothing was changed"
CLEAR = (FULL, "the database cannot be used: ", LOCKED)
ONCE = (Fault("eio"), Fault("enospc"), Fault("short"))
FROM_THEN_ON = (Fault("eio", sticky=True), Fault("enospc", sticky=True))
QUESTIONS = [Question(None, 0, 5), Question(None, 4, 20), Question(None, 600, 100)]


def struck(attacked: Crash, after: State, fault: Fault | None, what: str, clear: tuple[str, ...]) -> bool:
    """Import with a fault of the machine; see what it says and what is there; returns whether it was stored."""
    attacked.onlooker.begin(after)
    process = attacked.start(fault)
    _, stderr = process.communicate()
    text = stderr.decode("utf-8", "replace")
    if process.returncode not in (0, 1) or "Traceback" in text:
        raise Broken(f"{what}: exit status {process.returncode}: {text}")
    if process.returncode == 1 and not any(message in text for message in clear):
        raise Broken(f"{what}: exit status 1 without a clear message: {text}")
    return attacked.settle(after, process.returncode, what)


def undo(attacked: Crash) -> None:
    """Delete all, and empty the WAL as far as readers let us, so that the next import meets the same calls."""
    before = attacked.onlooker.state
    attacked.onlooker.begin(State())
    delete(attacked.target.path, before.batches)
    attacked.onlooker.end(State())
    attacked.undecided = []
    with closing(sqlite3.connect(attacked.target.path, timeout=5)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def failing_calls(
    attacked: Crash, choice: random.Random, size: int, failures: tuple[Fault, ...], step: int = 1
) -> dict[str, Any]:
    """Every `step`th call of an import of `size` sessions fails, in turn, in each way."""
    counts: Counter[str] = Counter()
    for failure in failures:
        at, reached = 1, True
        while reached:
            undo(attacked)
            after = attacked.prepare(choice, size)
            attacked.log.unlink(missing_ok=True)
            fault = Fault(failure.action, at, sticky=failure.sticky, log=attacked.log)
            stored = struck(attacked, after, fault, f"import of {size}, {fault}", CLEAR)
            reached = any(call.op == "x" for call in faults.calls(attacked.log))
            counts[f"{'stored' if stored else 'refused'}, {fault.action}"] += reached
            at += step
    return {"calls that failed": sum(counts.values()), **counts}


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A real file system of a few MB; raises `PermissionError` where none can be mounted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        raise PermissionError("needs the right to mount a small tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def full_disk(folder: Path, choice: random.Random, sizes: tuple[int, ...], step: int) -> dict[str, Any]:
    """Imports with all but so many bytes of the disk taken, from none on, `step` more each time."""
    counts: Counter[str] = Counter()
    log, seed = folder / "server", choice.randrange(1 << 30)  # a log that grows would take the room on the small disk
    with small_disk(folder / "small") as small, crash(small, seed, log=log) as attacked:
        attacked.file = folder / "import.ndjson"
        ballast = small / "ballast"
        for size in sizes:
            free, full = 0, True
            while full:
                undo(attacked)
                after = attacked.prepare(choice, size)
                fill(ballast, free)
                what = f"import of {size} with {free} bytes free"
                attacked.onlooker.begin(after)
                process = attacked.start()
                _, stderr = process.communicate()
                attacked.onlooker.more(3)
                ballast.unlink()
                if process.returncode not in (0, 1) or (process.returncode == 1 and FULL.encode() not in stderr):
                    raise Broken(f"{what}: exit status {process.returncode}: {stderr!r}")
                full = not attacked.settle(after, process.returncode, what)
                counts[f"{'refused' if full else 'stored'}, {size} sessions"] += 1
                free += step
        return {"fill levels": sum(counts.values()), **counts, **attacked.onlooker.figures()}


def fill(ballast: Path, free: int) -> None:
    """Take all of the disk but `free` bytes."""
    with ballast.open("wb") as file:
        room = os.fstatvfs(file.fileno())
        if room.f_bavail * room.f_frsize > free:
            os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize - free)


def locked(attacked: Crash, choice: random.Random, rounds: int) -> dict[str, Any]:
    """Another program holds the write lock for a while: imports wait, or say so; readers do not notice."""
    counts: Counter[str] = Counter()
    for _ in range(rounds):
        after = attacked.prepare(choice, 40)
        seconds = choice.choice([0.0, 0.3, 0.6, 5.0])
        with closing(sqlite3.connect(attacked.target.path, isolation_level=None, check_same_thread=False)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            holder.execute("DELETE FROM sessions")
            letting_go = threading.Timer(seconds, holder.execute, ["ROLLBACK"])
            letting_go.start()
            attacked.onlooker.begin(after)
            process = attacked.start()
            _, stderr = process.communicate()
            attacked.onlooker.more(3)
            letting_go.cancel()
            letting_go.join()
        if process.returncode not in (0, 1) or (process.returncode == 1 and LOCKED.encode() not in stderr):
            raise Broken(f"locked for {seconds} s: exit status {process.returncode}: {stderr!r}")
        stored = attacked.settle(after, process.returncode, f"locked for {seconds} s")
        counts["stored after a wait" if stored else "refused"] += 1
    return {"locks": rounds, **counts}


def locked_out(folder: Path) -> dict[str, Any]:
    """Another program has the database to itself: commands and server say so, and recover."""
    target = Target(folder)
    org, key = target.organization()
    times = 5
    with servers.service(folder / "server", target.path, EVERRUNS_DATABASE_TIMEOUT="0.2") as service:
        for _ in range(times):
            service.stop()
            with closing(sqlite3.connect(target.path, isolation_level=None)) as holder:
                holder.execute("PRAGMA locking_mode = EXCLUSIVE")
                holder.execute("BEGIN EXCLUSIVE")
                holder.execute("UPDATE organizations SET name = 'held'")
                service.start()
                for command in (("check",), ("list-keys", org), ("import", "--org", org, "-")):
                    ran = target.everruns(*command, status=1)
                    if "the database is locked by another program" not in ran.stderr:
                        raise Broken(f"{command} on a locked database: {ran}")
                expect_unavailable(service.path, key)
            status, answer = servers.get(service.path, "/v1/sessions", key)
            if status != 200:
                raise Broken(f"after the lock: {status} {answer}")
    return {"times locked out": times}


def expect_unavailable(address: str, key: str) -> None:
    """503 in the envelope, with Retry-After."""
    status, headers, body = servers.ask(address, "/v1/sessions", {"Authorization": f"Bearer {key}"})
    if (status, headers.get("retry-after")) != (503, "5") or b'{"error": {"code": "database_unavailable"' not in body:
        raise Broken(f"a database that cannot be read: {status} {headers} {body!r}")


def failing_reads(folder: Path, choice: random.Random, rounds: int) -> dict[str, Any]:
    """The server cannot read the disk for a while: right answers or 503, and all is well when it can."""
    library = faults.build(folder)
    target = Target(folder)
    org, key = target.organization()
    switch = folder / "cannot-read"
    environment = Fault("eio", 1, READS, sticky=True, switch=switch).environment(library, target.path)
    environment["EVERRUNS_WORKERS"] = "1"
    counts: Counter[str] = Counter()
    state = State()
    with servers.service(folder / "server", target.path, ROOT, **environment) as service:
        for number in range(1, rounds + 1):
            before, state = state, state.with_import(number, choice.choice([3, 90, 1100]))
            state = State(state.batches[-4:])
            lines = "".join(f"{json.dumps(record)}\n" for record in state.batches[-1].records())
            target.everruns("import", "--org", org, "-", stdin=lines)
            delete(target.path, tuple(batch for batch in before.batches if batch not in state.batches))
            for bad in (True, False):
                switch.touch() if bad else switch.unlink()
                for question in QUESTIONS:
                    counts[expect_right(service.path, key, state, question, bad)] += 1
    if not counts["unavailable"]:
        raise Broken(f"no read failed: the attack is too weak: {counts}")
    return {"rounds": rounds, **counts}


def expect_right(address: str, key: str, state: State, question: Question, may_fail: bool) -> str:
    """Ask, and see that the answer is that of `state`, or, if `may_fail`, 503; says which."""
    status, _, body = servers.ask(address, question.url, {"Authorization": f"Bearer {key}"})
    answer = json.loads(body)
    if status == 503 and may_fail and answer["error"]["code"] == "database_unavailable":
        return "unavailable"
    total, data = state.page(question)
    told = [{name: session[name] for name in ("id", "title")} for session in answer.get("data", [])]
    right = [{name: session[name] for name in ("id", "title")} for session in data]
    if (status, answer.get("total"), told) != (200, total, right):
        raise Broken(
            f"{question}, reads {'fail' if may_fail else 'work'}: {status} {body[:2000]!r}, not {total} {right}"
        )
    return "right though reads fail" if may_fail else "right"


def attack(seed: int, exhaustive: bool) -> dict[str, Any]:
    """All of it; each call in turn if `exhaustive`, else some."""
    choice = random.Random(seed)
    found: dict[str, Any] = {}
    failures = ONCE + FROM_THEN_ON
    step = 1 if exhaustive else 9
    with scratch() as folder, crash(folder, seed) as attacked:
        found["failing calls, small import, read meanwhile"] = failing_calls(attacked, choice, 40, failures, step)
        say(f"{found}")
        found["locked"] = locked(attacked, choice, 60 if exhaustive else 6) | attacked.onlooker.figures()
    with scratch() as folder, alone(folder) as attacked:
        found["failing calls, small import"] = failing_calls(attacked, choice, 40, failures, step)
        say(f"{found}")
        found["failing calls, large import"] = failing_calls(attacked, choice, 1100, failures, step * 3 - 2)
        say(f"{found}")
    with scratch() as folder:
        found["locked out"] = locked_out(folder)
    with scratch() as folder:
        found["failing reads"] = failing_reads(folder, choice, 200 if exhaustive else 10)
    with scratch() as folder:
        try:
            found["full disk"] = full_disk(folder, choice, (40, 1100), 4096 if exhaustive else 65536)
        except PermissionError as error:
            say(f"full disk: not tried: {error}")
    say(f"disk: {found}")
    return found
