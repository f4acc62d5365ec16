"""Whoever reads all along: asks the server, and sees that each answer is of one moment of the history."""

import hashlib
import http.client
import json
import random
import threading
import time
from typing import Any, NamedTuple

from tests import servers
from tests.attack.batches import Question, State
from tests.attack.target import Broken

MAX_REMEMBERED = 2000
PAUSE = 0.003  # seconds between two questions: the attacked process needs the machine too

Page = tuple[int, list[dict[str, Any]]]


class _Answer(NamedTuple):
    """An answer: `since` is the number of the state that was in force before it was asked for."""

    since: int
    question: Question
    page: Page


class Onlooker:
    """Threads that ask. `end` raises `Broken` for an answer that fits no state that was in force meanwhile.

    onlooker.begin(after)      # from here on, `after` may come into force at any moment
    ...
    onlooker.end(committed)    # it did, or it can no more
    """

    def __init__(self, address: str, key: str, state: State, threads: int = 2, seed: int = 1) -> None:
        self.address = address
        self.headers = {"Authorization": f"Bearer {key}"}
        self.states = [state]
        self.numbers: list[int] = []
        self.answers = self.not_modified = self.interrupted = self.unavailable = 0
        self.shaken = False
        self.slowest = 0.0
        self.faults: list[str] = []
        self._pending: list[_Answer] = []
        self._bodies: dict[str, tuple[str, Page]] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=[random.Random(f"{seed} {n}")]) for n in range(threads)
        ]

    def __enter__(self) -> "Onlooker":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    @property
    def state(self) -> State:
        """What is in force."""
        return self.states[-1]

    def begin(self, after: State) -> None:
        """Tell what may come into force."""
        with self._lock:
            self.numbers = [batch.number for batch in after.batches[-6:]]

    def end(self, state: State) -> None:
        """Tell what is in force now, and judge every answer since the last time."""
        with self._lock:
            if state != self.states[-1]:
                self.states.append(state)
            answers, self._pending = self._pending, []
            faults = self.faults
        if faults:
            raise Broken(faults[0])
        for answer in answers:
            allowed = [state.page(answer.question) for state in self.states[answer.since :]]
            if answer.page not in allowed:
                raise Broken(f"{answer.question.url} told {answer.page}, but allowed are {allowed}")

    def more(self, count: int, seconds: float = 10) -> None:
        """Wait for so many more answers; raises `Broken` when they do not come."""
        wanted, deadline = self.answers + count, time.monotonic() + seconds
        while self.answers < wanted:
            if self.faults:
                raise Broken(self.faults[0])
            if time.monotonic() > deadline:
                raise Broken(f"readers got no {count} answers in {seconds} s")
            time.sleep(0.002)

    def figures(self) -> dict[str, Any]:
        """What was seen."""
        return {
            "answers": self.answers,
            "answers_304": self.not_modified,
            "answers_interrupted": self.interrupted,
            "slowest_answer_ms": round(self.slowest * 1000),
            "states": len(self.states),
        }

    def _run(self, choice: random.Random) -> None:
        connection = servers.connection(self.address)
        while not self._over.is_set():
            shaken = self.shaken
            time.sleep(PAUSE)
            try:
                self._ask(connection, choice)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if shaken or self.shaken:
                    self.interrupted += 1
                    time.sleep(0.01)
                else:
                    self.faults.append(f"the server broke off: {error!r}")
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection, choice: random.Random) -> None:
        number = choice.choice([None, *self.numbers])
        question = Question(number, choice.choice([0, 0, 0, 3, 40, 600, 1500]), choice.choice([1, 5, 20]))
        known = choice.choice([*self._bodies][-20:]) if self._bodies and choice.random() < 0.3 else None
        since, begin = len(self.states) - 1, time.monotonic()
        connection.request("GET", question.url, headers=self.headers | ({"If-None-Match": known} if known else {}))
        response = connection.getresponse()
        body = response.read()
        self.slowest = max(self.slowest, time.monotonic() - begin)
        etag = response.headers.get("ETag", "")
        with self._lock:
            self.answers += 1
            if response.status == 304 and etag == known:
                self.not_modified += 1
                self._pending.append(_Answer(since, question, self._bodies[etag][1]))
            elif response.status == 200:
                self._pending.append(_Answer(since, question, self._page(etag, body)))
            else:
                self.faults.append(f"{question.url} (If-None-Match {known}): {response.status} {body!r}")

    def _page(self, etag: str, body: bytes) -> Page:
        digest = hashlib.sha256(body).hexdigest()
        answer = json.loads(body)
        keys = ("id", "agent_id", "title", "created_at", "capabilities")
        page = answer["total"], [{key: session[key] for key in keys} for session in answer["data"]]
        if self._bodies.setdefault(etag, (digest, page))[0] != digest:
            self.faults.append(f"ETag {etag} stands for two answers: {self._bodies[etag][1]} and {page}")
        while len(self._bodies) > MAX_REMEMBERED:
            self._bodies.pop(next(iter(self._bodies)))
        return page
