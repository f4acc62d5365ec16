"""Attack: readers and writers all at once; each answer must be that of one moment of the history.

python -m tests.attack.concurrency --seconds 180 --readers 8 --writers 4

Writers import (by the command itself, and by the package), change, move and delete by plain SQL, and change the
catalog. Each notes its change before it commits, while it holds the write lock: the notes are the true history.
Readers ask a real gunicorn through connections that they keep, with and without If-None-Match, and write down what
they were told and when. Afterwards each answer is compared with every state that was in force between the moments of
asking and of being answered; and an ETag must never have stood for two different answers.
"""

import argparse
import json
import multiprocessing
from pathlib import Path
from typing import Any, NamedTuple

from tests import servers
from tests.attack import writers
from tests.attack.history import AGENTS, Answer, History, judge
from tests.attack.readers import read
from tests.attack.target import Broken, Target, run, say, scratch
from tests.conftest import ROOT

ORGANIZATIONS = 3


class Size(NamedTuple):
    """How much of it."""

    seconds: float
    readers: int
    writers: int
    seed: int = 1


def attack(folder: Path, size: Size, application: Path = ROOT, fault: str | None = None) -> dict[str, Any]:
    """Let readers and writers loose, and judge what was answered; returns the figures.

    `application` is the folder whose `app:app` is served, `fault` one that is planted in the writers.
    """
    target = Target(folder)
    organizations = [prepare(target) for _ in range(ORGANIZATIONS)]
    notes, answers = folder / "notes", [folder / f"answers-{number}" for number in range(size.readers)]
    notes.touch()
    written_to = writers.Written(target.path, [org for org, _ in organizations], notes, fault)
    keys = [key for _, key in organizations]
    spawn = multiprocessing.get_context("spawn")
    with servers.service(folder / "server", target.path, application, PYTHONPATH=str(ROOT)) as service:
        start = spawn.Barrier(size.readers + size.writers)
        processes = [
            spawn.Process(
                target=writers.write, args=(written_to, number, start, size.seconds, f"{size.seed} writer {number}")
            )
            for number in range(size.writers)
        ]
        processes += [
            spawn.Process(
                target=read, args=(service.path, keys, start, size.seconds, f"{size.seed} reader {number}", path)
            )
            for number, path in enumerate(answers)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(size.seconds + 60)
            process.kill()
    target.everruns("check")
    if any(process.exitcode != 0 for process in processes):
        raise Broken(f"writers, then readers, end with {[process.exitcode for process in processes]}")
    say("judging the answers")
    told = [Answer(*json.loads(line)) for path in answers for line in path.read_text().splitlines()]
    return size._asdict() | judge(History(notes, ORGANIZATIONS), told)


def prepare(target: Target) -> tuple[str, str]:
    """An organization with its agents, and a key of it."""
    catalog = target.folder / "catalog.json"
    catalog.write_text(json.dumps(writers.CATALOG))
    target.everruns("load-catalog", str(catalog))
    org, key = target.organization()
    agents = "".join(f"{json.dumps({'id': agent, 'capabilities': ['attack']})}\n" for agent in AGENTS)
    target.everruns("import", "--org", org, "-", stdin=agents)
    return org, key


def main(given: argparse.Namespace, found: dict[str, Any]) -> None:
    """The command."""
    with scratch() as folder:
        found.update(attack(folder, Size(given.seconds, given.readers, given.writers, given.seed)))


if __name__ == "__main__":
    options = argparse.ArgumentParser(prog="python -m tests.attack.concurrency")
    options.add_argument("--seconds", type=float, default=180)
    options.add_argument("--readers", type=int, default=8)
    options.add_argument("--writers", type=int, default=4)
    run("concurrency", options, main)
