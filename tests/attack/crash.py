"""Attack: kill, stop, starve and cut off the importer at random moments, while a server reads all along.

python -m tests.attack.crash --kills 1000 --seed 1

After each blow `everruns check` is clean, each acknowledged import is wholly there, no other is partly there, and
every answer of the server meanwhile was of one moment. `disk.py` and `power.py` have the blows to the disk.
"""

import argparse
import random
import time
from typing import Any

from tests.attack import disk, power
from tests.attack.struck import SIZES, crash
from tests.attack.target import need, run, say, scratch


def kills_and_stops(kills: int, seed: int) -> dict[str, Any]:
    """So many kills, and a tenth as many stops."""
    choice = random.Random(seed)
    begin = time.monotonic()
    with scratch() as folder, crash(folder, seed) as struck:
        struck.calibrate(choice, [*SIZES])
        say(f"calls that an import makes on the database's files, by its sessions: {struck.calls}")
        while struck.counts["kills"] < kills:
            struck.kill(choice)
            if struck.number % 50 == 0:
                seconds = time.monotonic() - begin
                say(f"{struck.counts['kills']} kills, {struck.onlooker.answers} answers, {seconds:.0f} s")
        while struck.counts["stops"] < kills // 10:
            struck.stop(choice)
        return struck.figures()


def attack(given: argparse.Namespace, found: dict[str, Any]) -> None:
    """All of it."""
    need("gcc", "gcc libc6-dev")
    begin = time.monotonic()
    found["kills and stops"] = kills_and_stops(given.kills, given.seed)
    say(f"{found}")
    found["disk"] = disk.attack(given.seed, exhaustive=given.kills >= 1000)
    found["power cuts"] = power.attack(given.seed, given.kills)
    found["seconds"] = round(time.monotonic() - begin)


if __name__ == "__main__":
    options = argparse.ArgumentParser(prog="python -m tests.attack.crash")
    options.add_argument("--kills", type=int, default=1000)
    run("crash", options, attack)
