"""Attack: the power is cut at random moments, and of what was not yet synced any part may have reached the disk.

Part of `python -m tests.attack.crash`. A kill leaves the operating system to write what the process has written; a
power cut does not. So importers record every call that they make on the database's files. A cut is any place in the
record: what came before the last sync of a file is there; of the rest, each write is there, missing, or torn between
sectors, in any combination. Of what is left, `everruns check` must be clean, each acknowledged import be there, and
no other partly.
"""

import random
import sqlite3
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from tests.attack import faults
from tests.attack.batches import State, observe
from tests.attack.faults import Call, Fault
from tests.attack.struck import Crash, alone, told
from tests.attack.target import Broken, Target, scratch

SECTOR = 512
IMPORTS = 6  # a recording
FILES = {"d": "", "w": "-wal"}


class Disk:
    """The database's files as the disk surely holds them, and what it was given since the last sync of each."""

    def __init__(self, database: bytes) -> None:
        self.durable = {"d": bytearray(database), "w": bytearray()}
        self.unsynced: dict[str, list[Call]] = {"d": [], "w": []}

    def take(self, call: Call) -> None:
        """A call was made."""
        if call.op == "s":
            for late in self.unsynced[call.file]:
                apply(self.durable[call.file], late)
        if call.op in "su":
            self.unsynced[call.file].clear()
        if call.op == "u":
            self.durable[call.file].clear()
        elif call.op != "s":
            self.unsynced[call.file].append(call)

    def cut(self, choice: random.Random) -> dict[str, bytes]:
        """What may be left of each file when the power goes now."""
        left = {}
        for file, content in self.durable.items():
            after = bytearray(content)
            luck = choice.choice([0.0, 0.5, 0.9, 1.0])
            for call in self.unsynced[file]:
                if choice.random() < luck:
                    apply(after, call)
                elif call.op == "w" and choice.random() < 0.5:
                    apply(after, torn(call, choice))
            left[file] = bytes(after)
        return left


def apply(content: bytearray, call: Call) -> None:
    """What a call does to a file."""
    if len(content) < call.offset:
        content.extend(bytes(call.offset - len(content)))
    if call.op == "t":
        del content[call.offset :]
    else:
        content[call.offset : call.offset + len(call.bytes)] = call.bytes


def torn(call: Call, choice: random.Random) -> Call:
    """The part of a write before the end of one of its sectors."""
    ends = [*range(SECTOR - call.offset % SECTOR, len(call.bytes), SECTOR)]
    return call._replace(bytes=call.bytes[: choice.choice([0, *ends])])


def recording(attacked: Crash, choice: random.Random, held: bool) -> tuple[bytes, list[Call], list[tuple[int, State]]]:
    """The database before, all calls of some imports, and by which call which state was acknowledged.

    With `held`, another connection is open all along, so that imports leave the WAL behind.
    """
    begin, acknowledged = attacked.target.path.read_bytes(), [(0, attacked.onlooker.state)]
    with ExitStack() as stack:
        if held:
            reader = stack.enter_context(closing(sqlite3.connect(attacked.target.path)))
            reader.execute("SELECT COUNT(*) FROM sessions").fetchone()
        for _ in range(IMPORTS):
            after = attacked.prepare(choice, choice.choice([5, 40, 300, 1100]))
            process = attacked.start(Fault(log=attacked.log))
            _, stderr = process.communicate()
            if process.returncode != 0:
                raise Broken(f"an import left in peace ends with {process.returncode}: {stderr!r}")
            attacked.onlooker.end(after)
            acknowledged.append((sum(1 for _ in faults.calls(attacked.log)), after))
    return begin, list(faults.calls(attacked.log)), acknowledged


def cuts(folder: Path, choice: random.Random, count: int, held: bool, command: list[str] | None = None) -> Counter[str]:
    """Record some imports, and cut the power `count` times while they run; `command` instead of `everruns`."""
    with alone(folder) as attacked:
        attacked.command = command or attacked.command
        begin, calls, acknowledged = recording(attacked, choice, held)
    outcomes: Counter[str] = Counter()
    disk, made = Disk(begin), 0
    for moment in sorted(choice.randint(0, len(calls)) for _ in range(count)):
        for call in calls[made:moment]:
            if call.file in FILES:
                disk.take(call)
        made = moment
        before = [state for by, state in acknowledged if by <= moment][-1]
        after = next((state for by, state in acknowledged if by > moment), before)
        outcomes[judge(attacked.target, disk.cut(choice), before, after, f"power cut at call {moment}")] += 1
    return outcomes


def judge(target: Target, left: dict[str, bytes], before: State, after: State, what: str) -> str:
    """See that what is left of the files is one of two states; says which."""
    target.path.with_name(f"{target.path.name}-shm").unlink(missing_ok=True)
    for file, suffix in FILES.items():
        path = target.path.with_name(target.path.name + suffix)
        path.unlink(missing_ok=True)
        if left[file] or file == "d":
            path.write_bytes(left[file])
    found = observe_clean(target, what)
    if found == before.facts():
        return "what was acknowledged"
    if found == after.facts():
        return "what was about to be acknowledged"
    raise Broken(f"{what}: {told(found, before, after)}")


def observe_clean(target: Target, what: str) -> Any:
    """What a database holds that `everruns check` finds no fault in."""
    ran = target.everruns("check", status=None)
    if ran.status != 0:
        raise Broken(f"{what}: everruns check: {ran}")
    return observe(target.path)


def attack(seed: int, cuts_in_all: int) -> dict[str, Any]:
    """Cut the power so many times, over several recordings."""
    choice = random.Random(seed)
    outcomes: Counter[str] = Counter()
    recordings = max(2, cuts_in_all // 100)
    for number in range(recordings):
        with scratch(in_memory=True) as folder:
            outcomes += cuts(folder, choice, cuts_in_all // recordings, held=number % 2 == 0)
    return {"cuts": sum(outcomes.values()), "recordings": recordings, **outcomes}
