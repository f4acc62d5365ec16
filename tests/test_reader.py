"""Files → records: where each object stood, what is wrong with what is none, and how much is read."""

import io
import json
from pathlib import Path

import pytest

from everruns import reader
from everruns.reader import Found


def read(tmp_path: Path, content: str | bytes) -> list[Found]:
    """What is found in a file, with its folder left out of the places."""
    file = tmp_path / "data.json"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    found = reader.read(str(file), None, lambda _: None)
    return [item._replace(where=item.where.replace(f"{tmp_path}/", "")) for item in found]


def test_each_object_is_told_with_its_place(tmp_path: Path) -> None:
    one = {"id": "a"}
    assert read(tmp_path, '{"id": "a"}\n\n[{"id": "a"}]\n{"data": [{"id": "a"}]}\n') == [
        Found("data.json:1", one),
        Found("data.json:3[0]", one),
        Found("data.json:4: data[0]", one),
    ]
    assert read(tmp_path, '[\n{"id": "a"},\n{"id": "a"}\n]\n') == [
        Found("data.json[0]", one),
        Found("data.json[1]", one),
    ]
    assert read(tmp_path, '{\n"id": "a"\n}') == [Found("data.json", one)]


def test_standard_input_is_read_by_its_name_and_left_open() -> None:
    stream = io.BytesIO(b'{"id": "a"}\n')
    assert list(reader.read("-", stream, lambda _: None)) == [Found("-:1", {"id": "a"})]
    assert not stream.closed


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (
            '{\n"id": "a",\n}\n',
            "data.json: is not valid JSON: Expecting property name enclosed in double quotes (line 3, column 1)",
        ),
        ('\n\n{\n"id": x\n}\n', "data.json: is not valid JSON: Expecting value (line 4, column 7)"),
        ('[\n{"id": "a"}', "data.json: is not valid JSON: Expecting ',' delimiter (line 2, column 12)"),
        (
            '{"id": "a"}\n{\n"id": "a"}\n',
            "data.json:2: is not valid JSON: Expecting property name enclosed in double quotes (line 2, column 2)",
        ),
        ('{"id": "a"} {"id": "b"}\n', "data.json:1: is not valid JSON: Extra data (line 1, column 13)"),
        (b'{\n"id": "\xff"\n}\n', "data.json: is not valid UTF-8 (byte 10)"),
        ('{"a": 1e400}', "data.json:1: holds a number that is out of range: 1e400"),
        ('{"a": -1e400}', "data.json:1: holds a number that is out of range: -1e400"),
        ('{"a": 1' + "0" * 400 + ".5}", "data.json:1: holds a number that is out of range: 1" + "0" * 39),
        (
            '{"a": "\\udc00"}',
            "data.json:1: holds half of a surrogate pair (\\ud800 to \\udfff alone), which is no character",
        ),
        (
            '{"a": "\\uD800"}',
            "data.json:1: holds half of a surrogate pair (\\ud800 to \\udfff alone), which is no character",
        ),
        ("[[1]]", "data.json:1[0]: must be an object, an agent or a session, not an array"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, content: str | bytes, found: str) -> None:
    first = next(item for item in read(tmp_path, content) if item.fault)
    assert f"{first.where}: {first.fault}" == found


def test_what_is_at_the_edge_of_wrong_is_taken(tmp_path: Path) -> None:
    assert read(tmp_path, '{"a": "\\ud83d\\ude80 \\\\ud800"}') == [Found("data.json:1", {"a": "🚀 \\ud800"})]
    assert read(tmp_path, '{"a": 1e300, "b": -1e300}') == [Found("data.json:1", {"a": 1e300, "b": -1e300})]
    assert read(tmp_path, '{"id": "a", "data": [1]}') == [Found("data.json:1", {"id": "a", "data": [1]})]


def test_after_a_first_line_that_is_whole_each_line_is_a_value_of_its_own(tmp_path: Path) -> None:
    found = read(tmp_path, '{"id": "a"}\n{\n{"id": "b"}\n')
    assert [item.record for item in found] == [{"id": "a"}, None, {"id": "b"}]


@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize("pretty", [False, True])
def test_a_value_may_have_just_so_many_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: int, pretty: bool
) -> None:
    monkeypatch.setattr(reader, "MAX_VALUE_BYTES", 3 * 1024 * 1024)
    begin, end = ('{\n"a": "', '"\n}') if pretty else ('{"a": "', '"}')
    content = begin + "x" * (3 * 1024 * 1024 + extra - len(begin) - len(end)) + end
    (found,) = read(tmp_path, content)
    if extra:
        what, place = ("JSON value", "data.json") if pretty else ("line", "data.json:1")
        fault = f"this {what} is longer than 3 MiB; give one object a line, for example with jq -c '.[]'"
        assert found == Found(place, None, fault)
    else:
        assert found.record == json.loads(content)


def test_no_more_than_is_allowed_is_ever_held(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int | None] = []

    class Stream(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            asked.append(size)
            return super().read(size)

        def readline(self, size: int | None = -1) -> bytes:
            asked.append(size)
            return super().readline(size)

    monkeypatch.setattr(reader, "MAX_VALUE_BYTES", 1000)
    content = b'{\n"a": "' + b"x" * 10_000
    assert len(list(reader.read("-", Stream(content), lambda _: None))) == 1
    assert len(list(reader.read("-", Stream(b"x" * 10_000 + b"\n{}\n"), lambda _: None))) == 2
    assert {size for size in asked if size != 1001} == {1001 - 2}


def test_progress_adds_up_to_the_bytes_of_the_file() -> None:
    for content in (b'{"id": "a"}\n' * 20_000, b"[\n" + b'{"id": "a"},\n' * 20_000 + b"{}]", b"", b"x" * 200_000):
        told: list[int] = []
        list(reader.read("-", io.BytesIO(content), told.append))
        assert sum(told) == len(content)
        assert len(told) < 10
