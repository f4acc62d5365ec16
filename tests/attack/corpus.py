"""The corpus of hostile values, through every argument, every header that is read, and the path.

    python -m tests.attack.corpus [--figures docs/attacks.json]

Each answer must be a refusal in the envelope, or a 200 where the value does no harm; the database stays as it was.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote_from_bytes

from tests.attack import figures, http
from tests.attack.front import Before, Data, Target, attacked, content, prepare

ARGUMENTS = {
    "/v1/sessions": ("agent_id", "offset", "limit", "created_after", "created_before", "nonsense"),
    "/v1/sessions/activity": ("agent_id", "days", "until", "nonsense"),
}
HEADERS = {
    "Authorization": {400, 401, 431},
    "X-Org-Id": {400, 403, 431},
    "If-None-Match": {200, 304, 400, 431},
    "X-Request-Id": {200, 400, 431},
    "User-Agent": {200, 400, 431},
    "Content-Type": {200, 400, 431},
    "Host": {200, 400, 431},
}
PLACES = ("/", "/v1/", "/v1/sessions/", "/v1/sessions/activity/", "/health/", "/v1/sessions")


class Shot(NamedTuple):
    """A request with a hostile value, where the value is, and the statuses that it may get."""

    place: str
    value: bytes
    request: bytes
    allowed: set[int]


def values() -> list[bytes]:
    """The corpus."""
    lines = Path(__file__).with_name("corpus.txt").read_text("ascii").split("\n")
    return [
        line.encode("ascii").decode("unicode_escape").encode("latin-1")
        for line in lines
        if line and not line.startswith("# ")
    ]


def encodings(value: bytes) -> Iterator[bytes]:
    """`value` as it may stand in a URL: as it is, and percent-encoded where needed, throughout, and twice."""
    yield value
    yield quote_from_bytes(value, safe="").encode()
    yield b"".join(b"%%%02x" % byte for byte in value)
    yield quote_from_bytes(quote_from_bytes(value, safe="").encode(), safe="").encode()


def shots(data: Data) -> Iterator[Shot]:
    """All requests of this attack."""
    for value in values():
        for path, names in ARGUMENTS.items():
            for name in names:
                for encoded in encodings(value):
                    query = f"{path}?{name}=".encode() + encoded
                    yield Shot(f"{path}?{name}", value, _request(data, query), {400})
                query = f"{path}?".encode() + quote_from_bytes(value, safe="").encode() + b"=1"
                yield Shot(f"{path}? name", value, _request(data, query), {400})
        for place in PLACES:
            for encoded in encodings(value):
                # What is behind a raw ? or # is not of the path.
                allowed = {200, 400, 404} if encoded == value else {404}
                yield Shot(f"{place}…", value, _request(data, place.encode() + encoded), allowed)
        for name, allowed in HEADERS.items():
            yield Shot(name, value, _request(data, b"/v1/sessions?limit=1", (name, value)), allowed)


def _request(data: Data, target: bytes, header: tuple[str, bytes] | None = None) -> bytes:
    headers = {"Host": b"a", "Authorization": data.key.encode()}
    if header:
        headers[header[0]] = header[1]
    fields = b"".join(name.encode() + b": " + value + b"\r\n" for name, value in headers.items())
    return b"GET " + target + b" HTTP/1.1\r\n" + fields + b"Connection: close\r\n\r\n"


def fire(target: Target, shot: Shot) -> int:
    """Send a request of the corpus and judge what comes back; gives the status, raises `Broken`."""
    found, _ = http.answers(target.exchange(shot.request), may_be_head=False)
    if not found:
        raise http.Broken("no answer")
    first = found[0]  # a value with line breaks may well be several requests
    for answer in found:
        http.judge(answer, shot.request)
    breaks = shot.place in HEADERS and (b"\r\n" in shot.value or b"\n" in shot.value)
    if first.status not in shot.allowed and not breaks:
        raise http.Broken(f"{first.status} is none of {sorted(shot.allowed)}: {first.body[:200]!r}")
    for answer in found:
        if {b"x-injected", b"set-cookie"} & set(answer.headers):
            raise http.Broken(f"a header was injected: {answer.headers!r}")
    identity = first.headers[b"x-request-id"]
    if (
        shot.place == "X-Request-Id"
        and not breaks
        and not re.fullmatch(rb"[A-Za-z0-9._-]{1,128}", shot.value.strip(b" \t"))
        and not re.fullmatch(rb"[0-9a-f]{32}", identity)
    ):
        raise http.Broken(f"X-Request-Id is {identity!r}")
    return first.status


def run(target: Target, step: int = 1) -> dict[str, object]:
    """Send the corpus, or every `step`-th of its requests; gives the figures, raises `Broken` with what is wrong."""
    database = target.data.database
    stored, before = content(database), Before(target)
    statuses: Counter[int] = Counter()
    chosen = list(shots(target.data))[::step]
    for number, shot in enumerate(chosen):
        if number == len(chosen) // 4:  # what a worker takes into memory once is no leak
            before.memory_kib = target.memory_kib()
        try:
            statuses[fire(target, shot)] += 1
        except http.Broken as broken:
            raise http.Broken(f"{shot.place} with {shot.value!r}: {broken}\n{shot.request!r}") from None
    lines = target.judge_log()
    if content(database) != stored:
        raise http.Broken("the database was changed")
    command = [str(Path(sys.executable).with_name("everruns")), "check"]
    checked = subprocess.run(command, env=target.service.environment, capture_output=True, text=True, check=False)
    if checked.returncode:
        raise http.Broken(f"everruns check: {checked.stdout}")
    return {
        "requests": statuses.total(),
        "values": len(values()),
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
        "log_lines": lines,
        **before.compare(),
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figures", type=Path, help="a JSON file to store the figures in")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with attacked(folder, prepare(folder)) as target:
            try:
                found = run(target)
            except http.Broken as broken:
                sys.exit(f"a promise is broken: {broken}")
    if arguments.figures:
        figures.record(arguments.figures, "corpus", found)
    print(json.dumps({"attack": "corpus", **found}))


if __name__ == "__main__":
    main()
