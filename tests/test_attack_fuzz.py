"""The attacks on the front door, in short; and that each finds the faults that were planted for it."""

import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from everruns import create_app
from tests.attack import corpus, environs, fuzz, http
from tests.attack.front import Data, Target, attacked, prepare
from tests.attack.planted_front import planted
from tests.conftest import ROOT
from tests.servers import service


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return prepare(tmp_path_factory.mktemp("data"), sessions=300)


@pytest.fixture(scope="module")
def target(data: Data, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with attacked(tmp_path_factory.mktemp("service"), data) as target:
        yield target


def test_random_and_mutated_bytes_break_no_promise(target: Target) -> None:
    found = fuzz.Run(target, seed=7, requests=4000, seconds=20).run()
    assert {"200", "400", "401", "404", "405", "431"} <= set(found["statuses"])


def test_no_value_of_the_corpus_breaks_a_promise_wherever_it_stands(target: Target) -> None:
    assert corpus.run(target, step=13)["values"] == len(corpus.values())


def test_no_wsgi_environment_breaks_a_promise(data: Data) -> None:
    app = create_app({"DATABASE": data.database})
    found = environs.Run(app, data, seed=7).run(requests=4000, seconds=20)
    assert {"200", "400", "401", "403", "404", "405"} <= set(found["statuses"])


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("fault", "500: "),
        ("logged", "the log tells of a fault"),
        ("key_logged", "a whole key is in the log"),
        ("length", "no status line|a body has"),
        ("silent", "requests got|no answer"),
        ("memory", "memory grows"),
        ("slow", "slower than before"),
    ],
)
def test_the_fuzzer_finds_a_planted_fault(data: Data, tmp_path: Path, name: str, told: str) -> None:
    with (
        attacked(tmp_path, data, name, EVERRUNS_WORKERS="1") as target,
        pytest.raises(http.Broken, match=told) as found,
    ):
        fuzz.Run(target, seed=7, requests=4000, seconds=1.5 if name == "slow" else 20).run()
    if name not in ("memory", "slow"):
        assert "smallest case" in str(found.value)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("fault", "an exception leaves"),
        ("no_envelope", "the body is no JSON"),
        ("no_code", "request_id is"),
        ("told", "the body tells b'sqlite'"),
        ("logged", "the log tells of a fault"),
        ("length", "Content-Length is"),
        ("injected", "no header that can be sent"),
        ("memory", "memory grows"),
        ("slow", "slower than before"),
    ],
)
def test_the_attack_in_process_finds_a_planted_fault(data: Data, name: str, told: str) -> None:
    app = planted(create_app({"DATABASE": data.database}), name)
    with pytest.raises(http.Broken, match=told):
        environs.Run(app, data, seed=7).run(requests=4000, seconds=0.5 if name == "slow" else 20)


def test_the_corpus_finds_a_question_that_writes(tmp_path: Path) -> None:
    with (
        attacked(tmp_path, prepare(tmp_path, 50), "write") as target,
        pytest.raises(http.Broken, match="the database was changed"),
    ):
        corpus.run(target, step=29)


REFUSED_WITH_AN_ANSWER = {
    "a header that may stand once, twice": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, b"HTTP/1.1"),
    "two lengths": (b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", 400, b"HTTP/1.1"),
    "no transfer coding": (b"GET / HTTP/1.1\r\nTransfer-Encoding: x\r\n\r\n", 400, b"HTTP/1.1"),
    "a mount point": (b"GET /health HTTP/1.1\r\nSCRIPT_NAME: /x\r\n\r\n", 200, b"HTTP/1.1"),
    "a later version": (b"GET /health HTTP/1.7\r\n\r\n", 200, b"HTTP/1.1"),
    "an expectation": (b"GET / HTTP/1.1\r\nExpect: x\r\n\r\n", 417, b"HTTP/1.1"),
}


@pytest.mark.parametrize("what", REFUSED_WITH_AN_ANSWER)
def test_what_the_fuzzer_once_found(target: Target, what: str) -> None:
    request, status, version = REFUSED_WITH_AN_ANSWER[what]
    data = target.exchange(request)
    (answer,), _ = http.answers(data, may_be_head=False)
    http.judge(answer, request)
    assert (answer.status, data[:8]) == (status, version)
    time.sleep(0.05)
    target.judge_log()
    if status >= 400:
        assert answer.headers[b"x-request-id"].decode() in target.service.log.read_text("utf-8")


@pytest.mark.parametrize("sent", [b"", b"garbage\r\n\r\n"], ids=["nothing", "garbage"])
def test_clients_that_stay_after_their_answer_or_say_nothing_hold_nobody_up(target: Target, sent: bytes) -> None:
    usual, held = target.usual_ms(20), []
    try:
        for _ in range(60):
            held.append(socket.socket(socket.AF_UNIX))
            held[-1].connect(target.service.path)
            held[-1].sendall(sent)
        started = time.monotonic()
        target.usual_ms(5)
        assert time.monotonic() - started < 2 + usual / 100
    finally:
        for client in held:
            client.close()
    assert target.memory_kib()


def test_a_half_sent_request_holds_a_thread_no_longer_than_its_time(data: Data, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(ROOT / "everruns", copy / "everruns")
    shutil.copytree(ROOT / "deploy", copy / "deploy")
    for name in ("app.py", "schema.sql"):
        shutil.copy(ROOT / name, copy)
    config = copy / "deploy" / "gunicorn.conf.py"
    config.write_text(config.read_text().replace("REQUEST_SECONDS = 10.0", "REQUEST_SECONDS = 1.0"))
    with service(tmp_path, data.database, copy, EVERRUNS_WORKERS="1") as running:
        held = [socket.socket(socket.AF_UNIX) for _ in range(4)]
        for client in held:
            client.connect(running.path)
            client.sendall(b"GET / HT")
        started = time.monotonic()
        Target(running, data).usual_ms(1)
        assert 0.5 < time.monotonic() - started < 5
        assert [client.recv(1000) for client in held] == [b""] * 4
        for client in held:
            client.close()
