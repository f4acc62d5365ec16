"""Parsing JSON objects from pages, arrays, single objects and NDJSON, in constant memory.

The keys of records are validated later, by the schemas.
"""

import gzip
import json
import shutil
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from tempfile import TemporaryFile
from typing import IO, Any, NamedTuple

from everruns.schemas.fields import escape, json_type, shown

MAX_VALUE_BYTES = 16 * 1024 * 1024
MAX_DIGITS = 4300  # Python's limit of an int
GZIP_MAGIC = b"\x1f\x8b"
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_TOO_LONG = "must have at most 16 MiB in one JSON value; write one object per line, for example with jq -c '.[]'"


class ParsedRecord(NamedTuple):
    """A JSON object and where it is, or the `error` that is there instead."""

    where: str
    record: dict[str, Any] | None = None
    error: str = ""


# The objects of an array or page, which are newest first; or a single object of NDJSON.
Group = list[ParsedRecord]


@contextmanager
def parse_files(names: Sequence[str], standard_input: IO[bytes]) -> Iterator[Iterator[Group]]:
    """Yield the groups of the files `names`, `-` being `standard_input`. Raises `OSError`.

    Regular files are opened one by one. Pipes are copied to temporary files before: reading one may take any time,
    during which an import must not lock the database.
    """
    opened: dict[str, IO[bytes]] = {}
    with ExitStack() as stack:
        for name in dict.fromkeys(names):
            with nullcontext(standard_input) if name == "-" else open(name, "rb") as file:
                if not file.seekable():
                    opened[name] = stack.enter_context(TemporaryFile())
                    shutil.copyfileobj(file, opened[name])
                    opened[name].seek(0)
                elif name == "-":
                    opened[name] = file
        yield (group for name in names for group in _parse_file(name, opened.get(name)))


def _parse_file(name: str, opened: IO[bytes] | None) -> Iterator[Group]:
    with nullcontext(opened) if opened else open(name, "rb") as file:
        yield from parse("<stdin>" if name == "-" else name, file)


def parse(name: str, file: IO[bytes]) -> Iterator[Group]:
    """Yield the objects of `file`, which messages call `name`, in groups.

    Input that cannot be read becomes a `ParsedRecord` with an error.
    """
    where = escape(name)
    start = file.read(2)
    file.seek(0)
    try:
        with gzip.open(file) if start == GZIP_MAGIC else nullcontext(file) as unpacked:
            yield from _parse_lines(where, unpacked)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        yield [ParsedRecord(where, error=f"must be a complete gzip file; got an error: {error}")]
    except OSError as error:
        yield [ParsedRecord(where, error=f"cannot be read: {error.strerror}")]


def _parse_lines(name: str, file: IO[bytes] | gzip.GzipFile) -> Iterator[Group]:
    """One JSON value per line; or one in the whole file, when the first line is only the start of a value."""
    number = 0
    is_first = True  # value, which blank lines may precede
    while line := file.readline(MAX_VALUE_BYTES + 1):
        number += 1
        if number == 1 and line.startswith(UTF16_MARKS):
            yield [ParsedRecord(name, error="must be UTF-8; got UTF-16")]
            return
        if line.isspace():
            continue
        where = f"{name}:{number}"
        value, error = parse_json(line, number)
        if error and is_first and _is_incomplete(line):
            where = name
            line += file.read(MAX_VALUE_BYTES + 1 - len(line))
            value, error = parse_json(line, number)
        if len(line) > MAX_VALUE_BYTES:
            yield [ParsedRecord(where, error=_TOO_LONG)]
            return
        is_first = False
        yield [ParsedRecord(where, error=error)] if error else _objects(where, value)


def parse_json(raw: bytes, line: int = 1) -> tuple[Any, str]:
    """Return the JSON value in `raw`, which starts at `line`, and an error message, empty if there is none."""
    try:
        text = raw.decode("utf-8").rstrip().removeprefix("\ufeff")
        value = _decoder.decode(text)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")  # fails for half of a surrogate pair
    except UnicodeDecodeError as error:
        return None, f"must be valid UTF-8; byte {error.start + 1} is not"
    except UnicodeEncodeError:
        return None, "must not contain half of a surrogate pair (\\ud800 to \\udfff)"
    except json.JSONDecodeError as error:
        return None, f"must be valid JSON: {error.msg} (line {line + error.lineno - 1}, column {error.colno})"
    except RecursionError:
        return None, "must not be nested so deeply"
    except ValueError as error:
        return None, str(error)
    return value, ""


def _is_incomplete(line: bytes) -> bool:
    """Return whether `line` is the start of a JSON value that more lines may complete."""
    try:
        text = line.decode("utf-8-sig")
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.pos >= len(text.rstrip())
    except (ValueError, RecursionError):
        pass
    return False


def _objects(where: str, value: Any) -> Group:
    if isinstance(value, dict) and "id" not in value and isinstance(value.get("data"), list):
        where, value = f"{where}: data", value["data"]
    if isinstance(value, list):
        return [_object(f"{where}[{index}]", item) for index, item in enumerate(value)]
    return [_object(where, value)]


def _object(where: str, value: Any) -> ParsedRecord:
    if isinstance(value, dict):
        return ParsedRecord(where, value)
    return ParsedRecord(where, error=f"must be an object; got {json_type(value)}")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        duplicate = next(key for key, count in counts.items() if count > 1)
        raise ValueError(f"must have each key once in an object; got {shown(duplicate)} more than once")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"must be valid JSON: {name} is not a JSON number")


def _finite_number(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"must contain numbers in the range of a double; got {text[:40]}")
    return number


def _whole_number(text: str) -> int:
    if len(text.lstrip("-")) > MAX_DIGITS:
        raise ValueError(f"must contain numbers of at most {MAX_DIGITS} digits; got {text[:40]}")
    return int(text)


_decoder = json.JSONDecoder(
    object_pairs_hook=_unique_keys,
    parse_constant=_refuse_constant,
    parse_float=_finite_number,
    parse_int=_whole_number,
)
