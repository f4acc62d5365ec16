"""A database with a server on it, readers, and imports that are killed, stopped, or struck by a failing disk."""

import os
import random
import signal
import statistics
import subprocess
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests import servers
from tests.attack import faults
from tests.attack.batches import Facts, State, delete, observe, write_import
from tests.attack.faults import Fault
from tests.attack.onlooker import Onlooker
from tests.attack.target import EVERRUNS, Broken, Target
from tests.conftest import ROOT

SIZES = {5: 40, 40: 25, 300: 20, 1100: 10, 3000: 5}  # sessions of an import, and how often
MODES = {"any moment": 15, "near the end": 20, "before a write": 25, "within a write": 20, "after a write": 20}
ACTIONS = {"before a write": "kill", "within a write": "torn", "after a write": "after"}
MOST_SESSIONS = 9000
BY_COMMAND_EVERY = 20
WORKERS_KILLED_EVERY = 25


class Crash:
    """A database with a server on it, and imports that are struck; `settle` sees what is left of each."""

    def __init__(self, target: Target, onlooker: Onlooker, org: str, library: Path) -> None:
        self.target, self.onlooker, self.org, self.library = target, onlooker, org, library
        self.service: servers.Service | None = None
        self.command = EVERRUNS
        self.spoil: Callable[[Path], None] = lambda path: None
        self.counts: Counter[str] = Counter()
        self.file = target.folder / "import.ndjson"
        self.log = target.folder / "calls"
        self.number = 0
        self.undecided: list[State] = []
        self.seconds: dict[int, deque[float]] = defaultdict(lambda: deque(maxlen=5))
        self.calls: dict[int, int] = {}

    def prepare(self, choice: random.Random, size: int) -> State:
        """Write the file of an import of `size` sessions; returns what is stored when it succeeds."""
        before = self.onlooker.state
        self.number += 1
        small = [batch for batch in before.batches if batch.sessions <= 300]
        after = before.with_import(self.number, size, choice.choice(small) if small and choice.random() < 0.5 else None)
        write_import(self.file, before, after, choice.random() < 0.5)
        return after

    def start(self, fault: Fault | None = None) -> subprocess.Popen[bytes]:
        """Start the import."""
        environment = self.target.process_environment(
            **(fault.environment(self.library, self.target.path) if fault else {})
        )
        command = [*self.command, "import", "--org", self.org, str(self.file)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def settle(self, after: State, status: int, what: str) -> bool:
        """See that the database is clean and holds what it may; returns whether the import is there."""
        self.check(what)
        before, found = self.onlooker.state, observe(self.target.path)
        # What was killed right before its commit was told to the others may still come, whole, when all of them are
        # gone, unless something was committed since.
        allowed = [after] if status == 0 else [after, before, *self.undecided]
        now = next((state for state in allowed if found == state.facts()), None)
        if now is None:
            raise Broken(f"{what}, exit status {status}: {told(found, before, after)}")
        outcomes = {before: "not stored", after: "acknowledged" if status == 0 else "stored unacknowledged"}
        self.counts[outcomes.get(now, "stored unacknowledged, later")] += 1
        self.undecided = [*self.undecided, after] if now == before else []
        self.onlooker.end(now)
        self.trim()
        return now == after

    def check(self, what: str) -> None:
        """`everruns check`, now and then in a process of its own."""
        self.counts["checks"] += 1
        if self.counts["checks"] % BY_COMMAND_EVERY:
            ran = self.target.everruns("check", status=None)
            status, output = ran.status, ran.stdout + ran.stderr
        else:
            self.counts["checks by the command itself"] += 1
            environment = self.target.process_environment()
            done = subprocess.run([*EVERRUNS, "check"], env=environment, capture_output=True, text=True, check=False)
            status, output = done.returncode, done.stdout + done.stderr
        if status != 0:
            raise Broken(f"{what}: everruns check: exit status {status}: {output[:2000]}")

    def trim(self) -> None:
        """Delete the oldest imports when there are many sessions."""
        before = self.onlooker.state
        if before.sessions() > MOST_SESSIONS:
            gone = before.batches[: len(before.batches) // 2]
            after = State(before.batches[len(gone) :])
            self.onlooker.begin(after)
            delete(self.target.path, gone)
            self.onlooker.end(after)
            self.undecided = []

    def calibrate(self, choice: random.Random, sizes: list[int]) -> None:
        """One import of each size that is left in peace: how long it takes, and how many calls it makes."""
        for size in sizes:
            after = self.prepare(choice, size)
            self.onlooker.begin(after)
            self.log.unlink(missing_ok=True)
            begin = time.monotonic()
            process = self.start(Fault(log=self.log))
            _, stderr = process.communicate()
            self.seconds[size].append(time.monotonic() - begin)
            if process.returncode != 0:
                raise Broken(f"an import left in peace ends with {process.returncode}: {stderr!r}")
            self.settle(after, 0, "an import left in peace")
            self.calls[size] = sum(1 for _ in faults.calls(self.log))

    def kills(self, choice: random.Random, imports: int) -> None:
        """Kill so many imports, one after the other, as far as they live long enough."""
        for _ in range(imports):
            self.kill(choice)

    def kill(self, choice: random.Random) -> None:
        """Kill one import, at a moment that chance chooses."""
        size = choice.choice([size for size in self.calls for _ in range(SIZES[size])])
        mode = choice.choices([*MODES], [*MODES.values()])[0]
        after = self.prepare(choice, size)
        self.onlooker.begin(after)
        begin = time.monotonic()
        if mode in ACTIONS:
            last = self.calls[size]
            at = choice.randint(1, last) if choice.random() < 0.5 else choice.randint(max(1, last - 30), last)
            what = f"import {self.number} of {size}, killed {mode}, number {at} of about {last}"
            process = self.start(Fault(ACTIONS[mode], at))
        else:
            seconds = statistics.median(self.seconds[size])
            delay = choice.uniform(0.0 if mode == "any moment" else 0.6 * seconds, 1.05 * seconds)
            what = f"import {self.number} of {size}, killed after {delay:.4f} of {seconds:.4f} s"
            process = self.start()
            try:
                process.wait(delay)
            except subprocess.TimeoutExpired:
                process.kill()
        _, stderr = process.communicate()
        status = process.returncode
        if status == 0:
            self.seconds[size].append(time.monotonic() - begin)
        elif status == -signal.SIGKILL:
            self.counts["kills"] += 1
            self.counts[f"kills, {mode}"] += 1
        else:
            raise Broken(f"{what}: exit status {status}: {stderr!r}")
        self.spoil(self.target.path)
        if self.counts["kills"] % WORKERS_KILLED_EVERY == WORKERS_KILLED_EVERY - 1:
            self.kill_workers()
        self.settle(after, status, what)

    def kill_workers(self) -> None:
        """Kill whoever has the database open: the next one to open it finds what a crash of all leaves."""
        service = self.service
        if service is None:
            return
        self.counts["kills of all workers of the server"] += 1
        self.onlooker.shaken = True
        for pid in service.workers():
            os.kill(pid, signal.SIGKILL)
        servers.wait_until(lambda: len(service.workers()) == 2, "the workers are back")
        self.onlooker.more(2)
        self.onlooker.shaken = False

    def stop(self, choice: random.Random) -> None:
        """Stop one import at a write; readers go on, another writer is told; then it goes on or is killed."""
        size = choice.choice([*self.calls])
        after = self.prepare(choice, size)
        self.onlooker.begin(after)
        at = choice.randint(1, self.calls[size])
        what = f"import {self.number} of {size}, stopped at write {at} of about {self.calls[size]}"
        process = self.start(Fault("stop", at))
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        stopped = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] in "Tt"
        locked = False
        if stopped:
            self.counts["stops"] += 1
            self.onlooker.more(4)
            ran = self.target.everruns("revoke-key", self.org, "evr_nokey", status=1)
            locked = "the database is locked by another program" in ran.stderr
            self.counts["stops that kept another writer waiting"] += locked
            if not locked and "no key of" not in ran.stderr:
                raise Broken(f"{what}: another writer is told {ran}")
            killed = choice.random() < 0.5
            process.send_signal(signal.SIGKILL if killed else signal.SIGCONT)
        _, stderr = process.communicate()
        if process.returncode not in ((-signal.SIGKILL,) if stopped and killed else (0,)):
            raise Broken(f"{what}: exit status {process.returncode}: {stderr!r}")
        if not self.settle(after, process.returncode, what) and not locked:
            raise Broken(f"{what}: another writer could write in the midst of an import that was not stored")

    def figures(self) -> dict[str, Any]:
        """What was done and seen."""
        return {**dict(sorted(self.counts.items())), **self.onlooker.figures()}


def told(found: Facts, before: State, after: State) -> str:
    """How what was found differs from what may be there."""
    only, missing = found - after.facts(), after.facts() - found
    return (
        f"there is neither what was before nor what should be after. Only there: {sorted(map(str, only))}; "
        f"missing: {sorted(map(str, missing))}; lost of what was before: {sorted(map(str, before.facts() - found))}"
    )


@contextmanager
def crash(folder: Path, seed: int, application: Path = ROOT, log: Path | None = None) -> Iterator[Crash]:
    """A database, a server on it, which serves `app:app` of the folder `application`, and readers, all running.

    `log` is the folder of the server's log, if that is not to be beside the database.
    """
    with alone(folder) as attacked:
        key = attacked.target.everruns("create-key", attacked.org).stdout.strip()
        log = log or folder / "server"
        with (
            servers.service(log, attacked.target.path, application, PYTHONPATH=str(ROOT)) as service,
            Onlooker(service.path, key, State(), seed=seed) as onlooker,
        ):
            attacked.service, attacked.onlooker = service, onlooker
            yield attacked


@contextmanager
def alone(folder: Path) -> Iterator[Crash]:
    """A database that nobody but the importer opens: who closes it last empties its WAL and removes it."""
    library = faults.build(folder)
    target = Target(folder)
    org, key = target.organization()
    yield Crash(target, Onlooker("", key, State()), org, library)
