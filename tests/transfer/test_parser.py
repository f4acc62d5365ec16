"""Files → records: where each object is, what is wrong with an invalid one, and how much is read at once."""

import errno
import gzip
import io
import json
import os
import threading
from pathlib import Path

import pytest

from everruns.transfer.parser import MAX_DIGITS, ParsedRecord, parse, parse_files

A, B = {"id": "a"}, {"id": "b"}
MIB = 1024 * 1024


def parsed(content: str | bytes) -> list[list[ParsedRecord]]:
    """Return the groups of a file named `data`."""
    return list(parse("data", io.BytesIO(content if isinstance(content, bytes) else content.encode())))


def first_error(content: str | bytes) -> str:
    """Return the first error with its position."""
    record = next(record for group in parsed(content) for record in group if record.error)
    assert record.record is None
    return f"{record.where} {record.error}"


def test_each_line_is_a_group() -> None:
    assert parsed('{"id": "a"}\n{"id": "b"}') == [[ParsedRecord("data:1", A)], [ParsedRecord("data:2", B)]]


def test_an_array_or_page_is_a_group_on_one_line_and_on_many() -> None:
    page = {"data": [A, B], "total": 9, "offset": 0, "limit": 20}
    assert parsed(json.dumps([A, B])) == [[ParsedRecord("data:1[0]", A), ParsedRecord("data:1[1]", B)]]
    assert parsed(json.dumps([A, B], indent=1)) == [[ParsedRecord("data[0]", A), ParsedRecord("data[1]", B)]]
    assert parsed(json.dumps(page)) == [[ParsedRecord("data:1: data[0]", A), ParsedRecord("data:1: data[1]", B)]]
    assert parsed(json.dumps(page, indent=1)) == [[ParsedRecord("data: data[0]", A), ParsedRecord("data: data[1]", B)]]


def test_lines_may_be_of_different_kinds() -> None:
    assert [[record.where for record in group] for group in parsed('{"id": "a"}\n[{}, {}]\n{"data": [{}]}\n')] == [
        ["data:1"],
        ["data:2[0]", "data:2[1]"],
        ["data:3: data[0]"],
    ]


@pytest.mark.parametrize("start", ["", "\n", "\r\n \n", "\ufeff", "\ufeff\n", "\ufeff \r\n"])
@pytest.mark.parametrize("indent", [None, 2])
def test_blank_lines_and_a_byte_order_mark_are_skipped(start: str, indent: int | None) -> None:
    (group,) = parsed(start + json.dumps([A, B], indent=indent) + "\n\n")
    assert [record.record for record in group] == [A, B]


def test_line_ends_of_windows_are_taken() -> None:
    assert [group[0].record for group in parsed('{"id": "a"}\r\n\r\n{"id": "b"}\r\n')] == [A, B]


@pytest.mark.parametrize("content", ["", "\n \n", "[]", '{"data": []}', "[\n]"])
def test_an_empty_input_has_no_records(content: str) -> None:
    assert [record for group in parsed(content) for record in group] == []


def test_an_object_with_id_and_data_is_not_a_page() -> None:
    assert parsed('{"id": "a", "data": [1]}') == [[ParsedRecord("data:1", {"id": "a", "data": [1]})]]


@pytest.mark.parametrize("content", ['{"id": "a"}\n{"id": "b"}\n', '\ufeff[\n{"id": "a"},\n{"id": "b"}\n]'])
def test_gzip_is_unpacked(content: str) -> None:
    assert parsed(gzip.compress(content.encode())) == parsed(content)
    two_members = gzip.compress(content[:5].encode()) + gzip.compress(content[5:].encode())
    assert parsed(two_members) == parsed(content)


def test_a_damaged_gzip_file_is_an_error() -> None:
    packed = gzip.compress(b'{"id": "a"}\n' * 1000)
    for damaged in (packed[:-9], packed[:20] + b"\xff\xff\xff\xff" + packed[24:], packed[:2], packed + b"x"):
        assert first_error(damaged).startswith("data must be a complete gzip file; got an error: ")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_utf16_is_named(encoding: str) -> None:
    mark = "" if encoding == "utf-16" else "\ufeff"
    content = (mark + '{"id": "a"}\n').encode(encoding)
    assert first_error(content) == first_error(gzip.compress(content)) == "data must be UTF-8; got UTF-16"


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (
            '{"id": "a",\n',
            "data must be valid JSON: Expecting property name enclosed in double quotes (line 1, column 12)",
        ),
        (
            '{\n"id": "a",\n}\n',
            "data must be valid JSON: Expecting property name enclosed in double quotes (line 3, column 1)",
        ),
        ('\n\n{\n"id": x\n}\n', "data must be valid JSON: Expecting value (line 4, column 7)"),
        ('[\n{"id": "a"}', "data must be valid JSON: Expecting ',' delimiter (line 2, column 12)"),
        ('{"id": "a"}\n{"id": "b', "data:2 must be valid JSON: Unterminated string starting at (line 2, column 8)"),
        ('{"id": "a"} {"id": "b"}\n', "data:1 must be valid JSON: Extra data (line 1, column 13)"),
        ("nonsense", "data:1 must be valid JSON: Expecting value (line 1, column 1)"),
        (b'{"a": "\xff"}', "data:1 must be valid UTF-8; byte 8 is not"),
        ('{"a": NaN}', "data:1 must be valid JSON: NaN is not a JSON number"),
        ('{"a": -Infinity}', "data:1 must be valid JSON: -Infinity is not a JSON number"),
        ('{"a": 1e400}', "data:1 must contain numbers in the range of a double; got 1e400"),
        ('{"a": 1' + "0" * 400 + ".5}", "data:1 must contain numbers in the range of a double; got 1" + "0" * 39),
        ('{"a": -1' + "0" * 4300 + "}", "data:1 must contain numbers of at most 4300 digits; got -1" + "0" * 38),
        ('{"a": "\\udc00"}', "data:1 must not contain half of a surrogate pair (\\ud800 to \\udfff)"),
        ('{"a": "\\uD800"}', "data:1 must not contain half of a surrogate pair (\\ud800 to \\udfff)"),
        ("[" * 100_000, "data:1 must not be nested so deeply"),
        ('{"a": 1, "a": 2}', "data:1 must have each key once in an object; got 'a' more than once"),
        ('{"x": {"b": 0, "a": 1, "a": 2}}', "data:1 must have each key once in an object; got 'a' more than once"),
        ("1", "data:1 must be an object; got a number"),
        ("null", "data:1 must be an object; got null"),
        ('["x"]', "data:1[0] must be an object; got a string"),
        ("[[1]]", "data:1[0] must be an object; got an array"),
        ('{"data": [true]}', "data:1: data[0] must be an object; got a boolean"),
    ],
)
def test_an_error_names_its_position(content: str | bytes, error: str) -> None:
    assert first_error(content) == error


def test_what_is_just_valid_is_taken() -> None:
    assert parsed('{"a": "\\ud83d\\ude80 \\\\ud800"}') == [[ParsedRecord("data:1", {"a": "🚀 \\ud800"})]]
    assert parsed('{"a": 1e300, "b": -1e300}') == [[ParsedRecord("data:1", {"a": 1e300, "b": -1e300})]]
    digits = "9" * MAX_DIGITS
    assert parsed(f'{{"a": -{digits}}}') == [[ParsedRecord("data:1", {"a": -int(digits)})]]


def test_after_a_complete_first_line_each_line_is_a_value_of_its_own() -> None:
    assert [group[0].record for group in parsed('{"id": "a"}\n{\n{"id": "b"}\n')] == [A, None, B]


def test_a_name_is_escaped() -> None:
    assert list(parse("\x1b[2J\n", io.BytesIO(b"{}"))) == [[ParsedRecord("\\u001b[2J\\u000a:1", {})]]


@pytest.mark.parametrize("pretty", [False, True])
def test_a_value_has_at_most_16_mib(pretty: bool) -> None:
    begin, end = ('{\n"a": "', '"\n}') if pretty else ('{"a": "', '"}')
    where = "data" if pretty else "data:1"
    longest = "x" * (16 * MIB - len(begin) - len(end))
    assert parsed(begin + longest + end) == [[ParsedRecord(where, {"a": longest})]]
    rule = "must have at most 16 MiB in one JSON value; write one object per line, for example with jq -c '.[]'"
    assert first_error(begin + longest + "x" + end) == f"{where} {rule}"


@pytest.mark.parametrize("start", [b"", b"[\n", b'{"id": "a"}\n'])
def test_no_more_than_that_is_read_at_once(start: bytes) -> None:
    sizes: list[int | None] = []

    class File(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            sizes.append(size)
            return super().read(size)

        def readline(self, size: int | None = -1) -> bytes:
            sizes.append(size)
            return super().readline(size)

    assert first_error_of(File(start + b"x" * 40 * MIB))
    assert all(size is not None and 0 <= size <= 16 * MIB + 1 for size in sizes)
    assert len(sizes) < 5


def test_a_file_that_cannot_be_read_to_its_end_is_an_error() -> None:
    class File(io.BytesIO):
        def readline(self, size: int | None = -1) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

    assert list(parse("data", File())) == [[ParsedRecord("data", error="cannot be read: Input/output error")]]


def first_error_of(file: io.BytesIO) -> str:
    return next(record.error for group in parse("data", file) for record in group if record.error)


def test_files_are_parsed_in_their_order_and_a_dash_is_standard_input(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b'{"id": "a"}')
    with parse_files([str(path), "-", str(path)], io.BytesIO(b'{"id": "b"}')) as groups:
        records = [record for group in groups for record in group]
    assert [record.where for record in records] == [f"{path}:1", "<stdin>:1", f"{path}:1"]
    assert [record.record for record in records] == [A, B, A]


@pytest.mark.parametrize("count", [1, 2000])
def test_no_more_than_one_of_many_files_is_open(tmp_path: Path, count: int) -> None:
    for number in range(count):
        (tmp_path / f"file{number}").write_bytes(b'{"id": "a"}')
    before = len(os.listdir("/proc/self/fd"))
    with parse_files(list(map(str, tmp_path.iterdir())), io.BytesIO()) as groups:
        assert [len(os.listdir("/proc/self/fd")) - before for _ in groups] == [1] * count


def test_a_file_that_cannot_be_opened_is_an_error_before_any_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"{}")
    with pytest.raises(FileNotFoundError), parse_files([str(path), str(tmp_path / "none")], io.BytesIO()):
        pass


def test_a_pipe_is_copied_before_it_is_parsed(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=[b'{"id": "a"}\n' * 20_000])
    writer.start()
    with parse_files([str(pipe)], io.BytesIO()) as groups:
        writer.join(60)
        assert not writer.is_alive()
        assert sum(map(len, groups)) == 20_000
