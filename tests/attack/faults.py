"""Faults of the machine: calls of a process on its database that fail, stop half way, or are its last act."""

import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).with_name("faults.c")
CHANGES = "wstu"  # writes, syncs, truncations, unlinks
READS = "r"

_CALL = struct.Struct("=cc6xqq")


def build(folder: Path) -> Path:
    """Compile the library that is preloaded; needs gcc and the headers of libc."""
    library = folder / "faults.so"
    command = ["gcc", "-Wall", "-Wextra", "-Werror", "-O2", "-shared", "-fPIC", "-o", str(library), str(SOURCE)]
    subprocess.run(command, check=True)
    return library


@dataclass(frozen=True)
class Fault:
    """What happens to the `at`th call; `faults.c` tells the actions."""

    action: str = "none"
    at: int = 0
    ops: str = CHANGES
    sticky: bool = False
    switch: Path | None = None
    log: Path | None = None

    def environment(self, library: Path, database: Path) -> dict[str, str]:
        """What the process must find in its environment."""
        found = {
            "LD_PRELOAD": str(library),
            "FAULT_FILE": str(database),
            "FAULT_ACTION": self.action,
            "FAULT_AT": str(self.at),
            "FAULT_OPS": self.ops,
        }
        if self.sticky:
            found["FAULT_STICKY"] = "1"
        if self.switch:
            found["FAULT_SWITCH"] = str(self.switch)
        if self.log:
            found["FAULT_LOG"] = str(self.log)
        return found


class Call(NamedTuple):
    """A call that was made: `op` as in `CHANGES`, or x where the fault set in.

    `file` is d, w or o: the database, its WAL, another of its files.
    """

    op: str
    file: str
    offset: int
    bytes: bytes


def calls(log: Path) -> Iterator[Call]:
    """The calls that a process has made, from what it recorded."""
    recorded = log.read_bytes()
    place = 0
    while place < len(recorded):
        op, file, offset, length = _CALL.unpack_from(recorded, place)
        place += _CALL.size
        written = recorded[place : place + length] if op == b"w" else b""
        place += len(written)
        yield Call(op.decode(), file.decode(), offset, written)
