"""The last answers, by ETag: the repeated page at the price of finding out that nothing has changed.

An ETag never stands for two different answers, so nothing in here can be out of date; without it, everything is the
same but slower.
"""

import threading
from collections import OrderedDict
from typing import NamedTuple

from flask import Flask, current_app

MAX_BODY_BYTES = 128 * 1024

_EXTENSION = "everruns.pages"


class Answer(NamedTuple):
    """An answer to `GET /v1/sessions`: its body and its `Link` header."""

    body: bytes
    link: str


def init_app(app: Flask) -> None:
    """Let each process of `app` keep its `app.config["CACHED_PAGES"]` last used answers; 0 keeps none."""
    size = app.config["CACHED_PAGES"]
    if not isinstance(size, int) or not 0 <= size <= 100_000:
        raise SystemExit(f"EVERRUNS_CACHED_PAGES must be a whole number from 0 to 100000, not {size!r}")
    app.extensions[_EXTENSION] = _Pages(size)


def get(etag: str) -> Answer | None:
    """The answer with this ETag, if it is still kept."""
    pages: _Pages = current_app.extensions[_EXTENSION]
    return pages.get(etag)


def keep(etag: str, answer: Answer) -> None:
    """Keep `answer`, and forget the one that was not used for longest; very large ones are not kept."""
    pages: _Pages = current_app.extensions[_EXTENSION]
    pages.keep(etag, answer)


class _Pages:
    def __init__(self, size: int) -> None:
        self.size = size
        self.lock = threading.Lock()
        self.answers: OrderedDict[str, Answer] = OrderedDict()

    def get(self, etag: str) -> Answer | None:
        with self.lock:
            answer = self.answers.get(etag)
            if answer is not None:
                self.answers.move_to_end(etag)
            return answer

    def keep(self, etag: str, answer: Answer) -> None:
        if len(answer.body) > MAX_BODY_BYTES:
            return
        with self.lock:
            self.answers[etag] = answer
            if len(self.answers) > self.size:
                self.answers.popitem(last=False)
