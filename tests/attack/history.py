"""The history of a database that several programs change, and whether answers are of moments of it."""

import bisect
import hashlib
import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from everruns.values import instant
from tests.attack.batches import BEGIN
from tests.attack.target import Broken

MIDDLE = instant(BEGIN.replace(second=30))
AGENTS = ["agent_0", "agent_1", "agent_2"]


class Question(NamedTuple):
    """What is asked for."""

    agent: str | None = None
    before: str | None = None
    offset: int = 0
    limit: int = 20

    @property
    def url(self) -> str:
        agent = f"agent_id={self.agent}&" if self.agent else ""
        before = f"created_before={self.before}&" if self.before else ""
        return f"/v1/sessions?{agent}{before}offset={self.offset}&limit={self.limit}"


QUESTIONS = [
    Question(),
    Question(offset=7, limit=50),
    Question(offset=500),
    Question(offset=100_000),
    Question(agent=AGENTS[0], limit=10),
    Question(agent=AGENTS[1], offset=3, limit=100),
    Question(before=MIDDLE),
    Question(agent=AGENTS[2], before=MIDDLE, limit=5),
]


class Session(NamedTuple):
    """What is compared of a session, besides its features."""

    id: str
    agent: str
    title: str
    created_at: str


class Note(NamedTuple):
    """A change of one organization, or of all with None: what is stored, what deleted, which feature all have."""

    organization: int | None
    stored: Sequence[Session] = ()
    deleted: Sequence[str] = ()
    feature: str | None = None


class Answer(NamedTuple):
    """What a reader was told, and when; `mark` is of total, sessions and features, `digest` of the whole body."""

    sent: float
    received: float
    organization: int
    question: int
    status: int
    etag: str
    mark: str
    digest: str


def mark(total: int, sessions: list[Session], features: list[list[str]]) -> str:
    """A short mark of what is answered."""
    return hashlib.sha256(json.dumps([total, sessions, features]).encode()).hexdigest()[:20]


class Notebook:
    """Where a writer notes its changes: `begins` while it holds the write lock, `ends` when the commit is over."""

    def __init__(self, path: Path, writer: int) -> None:
        self.file = path.open("a", buffering=1)
        self.writer = writer

    def begins(self, note: Note) -> None:
        """The change is about to be committed."""
        self.file.write(json.dumps({"writer": self.writer, "at": time.monotonic(), "note": note}) + "\n")

    def ends(self) -> None:
        """The change is committed."""
        self.file.write(json.dumps({"writer": self.writer, "at": time.monotonic()}) + "\n")


class _Organization:
    """The sessions of one organization at a moment."""

    def __init__(self) -> None:
        self.sessions: dict[str, tuple[int, Session]] = {}
        self.stored = 0

    def take(self, note: Note) -> None:
        """A change is made."""
        for session_id in note.deleted:
            del self.sessions[session_id]
        for fields in note.stored:
            session = Session(*fields)
            self.stored += 1
            order = self.sessions[session.id][0] if session.id in self.sessions else self.stored
            self.sessions[session.id] = order, session

    def marks(self, feature: str) -> list[str]:
        """What each question must be answered with."""
        ordered = sorted(self.sessions.values(), key=lambda stored: (stored[1].created_at, stored[0]), reverse=True)
        found = []
        for question in QUESTIONS:
            matching = [
                session
                for _, session in ordered
                if question.agent in (None, session.agent) and session.created_at < (question.before or "9")
            ]
            page = matching[question.offset : question.offset + question.limit]
            found.append(mark(len(matching), page, [[feature]] * len(page)))
        return found


class History:
    """Every state, by its number; 0 is before the first change."""

    def __init__(self, path: Path, organizations: int) -> None:
        self.begins = [0.0]
        self.ends = [0.0]
        self.feature = "feature0"
        self.organizations = [_Organization() for _ in range(organizations)]
        # For each organization and question the marks, and the numbers of the states from which they hold.
        self.since: list[list[list[int]]] = [[[] for _ in QUESTIONS] for _ in range(organizations)]
        self.marks: list[list[list[str]]] = [[[] for _ in QUESTIONS] for _ in range(organizations)]
        self._mark(None)
        open_notes: dict[int, int] = {}
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            if "note" in entry:
                self._take(Note(*entry["note"]), entry["at"])
                open_notes[entry["writer"]] = len(self.begins) - 1
            else:
                self.ends[open_notes.pop(entry["writer"])] = entry["at"]
        # By when at least which state was in force.
        self.certain = sorted((end, number) for number, end in enumerate(self.ends))
        for index in range(1, len(self.certain)):
            end, number = self.certain[index]
            self.certain[index] = end, max(number, self.certain[index - 1][1])

    def _take(self, note: Note, at: float) -> None:
        self.begins.append(at)
        self.ends.append(float("inf"))
        self.feature = note.feature or self.feature
        if note.organization is not None:
            self.organizations[note.organization].take(note)
        self._mark(note.organization)

    def _mark(self, changed: int | None) -> None:
        for number in range(len(self.organizations)) if changed is None else [changed]:
            for question, found in enumerate(self.organizations[number].marks(self.feature)):
                since, marks = self.since[number][question], self.marks[number][question]
                if not marks or marks[-1] != found:
                    since.append(len(self.begins) - 1)
                    marks.append(found)

    def allowed(self, answer: Answer) -> list[str]:
        """The marks of all states that were in force between asking and being answered."""
        _, first = self.certain[bisect.bisect_right(self.certain, (answer.sent, 1 << 60)) - 1]
        last = bisect.bisect_right(self.begins, answer.received) - 1
        since = self.since[answer.organization][answer.question]
        marks = self.marks[answer.organization][answer.question]
        return marks[bisect.bisect_right(since, first) - 1 : bisect.bisect_right(since, last)]


def judge(history: History, answers: list[Answer]) -> dict[str, Any]:
    """See that every answer is of one moment of the history, and that no ETag stands for two."""
    statuses: Counter[int] = Counter()
    bodies: dict[str, str] = {}
    choices: Counter[int] = Counter()
    for answer in answers:
        statuses[answer.status] += 1
        if answer.status not in (200, 304):
            raise Broken(f"an answer that is none: {answer}")
        allowed = history.allowed(answer)
        choices[len(allowed)] += 1
        if answer.mark not in allowed:
            other = answer.mark in history.marks[answer.organization][answer.question]
            when = "the answer of another moment" if other else "of no moment"
            raise Broken(f"{QUESTIONS[answer.question].url}: {answer} is {when}, but allowed are {allowed}")
        if bodies.setdefault(answer.etag, answer.digest) != answer.digest:
            raise Broken(f"ETag {answer.etag} stands for two bodies: {answer}")
    return {
        "answers": len(answers),
        "answers_304": statuses[304],
        "states": len(history.begins),
        "etags": len(bodies),
        "answers_with_one_allowed_state": choices[1],
    }
