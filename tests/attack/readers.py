"""A reader of the attack of concurrency: asks all the while, and writes down what it was told and when."""

import hashlib
import json
import random
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path

from tests import servers
from tests.attack.history import QUESTIONS, Answer, Session, mark

PATIENCE = 60  # seconds, until all have started


def read(address: str, keys: list[str], start: Barrier, seconds: float, seed: str, path: Path) -> None:
    """Ask for so many seconds from `start`; the answers are lines of the file at `path`."""
    choice = random.Random(seed)
    connection = servers.connection(address)
    known: dict[tuple[int, int], Answer] = {}
    start.wait(PATIENCE)
    end = time.monotonic() + seconds
    with path.open("w") as file:
        while time.monotonic() < end:
            organization, question = choice.randrange(len(keys)), choice.randrange(len(QUESTIONS))
            headers = {"Authorization": f"Bearer {keys[organization]}"}
            last = known.get((organization, question))
            if last is not None and choice.random() < 0.5:
                headers["If-None-Match"] = last.etag
            sent = time.monotonic()
            connection.request("GET", QUESTIONS[question].url, headers=headers)
            response = connection.getresponse()
            body = response.read()
            received = time.monotonic()
            etag = response.headers.get("ETag", "")
            if response.status == 304 and last is not None and etag == last.etag:
                told, digest = last.mark, last.digest
            else:
                told, digest = _mark(body) if response.status == 200 else "", hashlib.sha256(body).hexdigest()[:20]
            answer = Answer(sent, received, organization, question, response.status, etag, told, digest)
            known[organization, question] = answer
            file.write(json.dumps(answer) + "\n")
    connection.close()


def _mark(body: bytes) -> str:
    answer = json.loads(body)
    sessions = [
        Session(session["id"], session["agent_id"], session["title"], session["created_at"])
        for session in answer["data"]
    ]
    return mark(answer["total"], sessions, [session["features"] for session in answer["data"]])
