"""Files → records: finds the JSON objects in pages, arrays, single objects and NDJSON, in constant memory."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from tempfile import TemporaryFile, gettempdir
from typing import IO, Any, NamedTuple

from everruns.schemas import escaped, kind, shown

MAX_VALUE_BYTES = 16 * 1024 * 1024
PROGRESS_BYTES = 64 * 1024
STANDARD_INPUT = "-"


class Found(NamedTuple):
    """An object of an import and where it stood, or else the `fault` that stood there."""

    where: str
    record: dict[str, Any] | None = None
    fault: str = ""


@contextmanager
def source(name: str, standard_input: IO[bytes]) -> Iterator[IO[bytes] | None]:
    """What `read` is to read for the file `name`, `-` being `standard_input`; None: that file itself. Raises `OSError`.

    A pipe is copied, to its end: whoever writes to it may take any time, in which an import must lock nobody out.
    """
    given = standard_input if name == STANDARD_INPUT else None
    path = "/dev/stdin" if given else name
    if not os.path.exists(path) or os.path.isfile(path) or os.path.isdir(path):
        yield given
        return
    with TemporaryFile() as copy:
        try:
            with nullcontext(given) if given else open(name, "rb") as file:
                shutil.copyfileobj(file, copy)
        except OSError as error:
            raise OSError(error.errno, f"cannot be copied to {gettempdir()}: {error.strerror}", name) from None
        copy.seek(0)
        yield copy


def read(name: str, source: IO[bytes] | None, progress: Callable[[int], object]) -> Iterator[Found]:
    """The objects of the file `name`, or of `source` in its place.

    What cannot be read is a `Found` with a fault; nothing is raised. `progress` is told of bytes consumed.
    """
    where = escaped(name)
    try:
        if source is None and os.path.isdir(name):
            yield Found(where, fault="is a folder; name the files in it")
            return
        with nullcontext(source) if source else open(name, "rb") as file:
            yield from _values(where, file, progress)
    except OSError as error:
        yield Found(where, fault=f"cannot be read: {error.strerror}")


def _values(name: str, file: IO[bytes], progress: Callable[[int], object]) -> Iterator[Found]:
    """A JSON value a line; or, when the first line begins a value that goes on, one value in the whole file."""
    begun = False
    for number, line in enumerate(_lines(file, progress), 1):
        where = f"{name}:{number}"
        if len(line) > MAX_VALUE_BYTES:
            yield Found(where, fault=_too_long("line"))
        elif not line.isspace():
            value, fault = _parse(line, number)
            if fault and not begun and _goes_on(line):
                yield from _document(name, line, file, number, progress)
                return
            begun = True
            yield from [Found(where, fault=fault)] if fault else _objects(where, value)


def _document(
    name: str, begin: bytes, file: IO[bytes], number: int, progress: Callable[[int], object]
) -> Iterator[Found]:
    rest = file.read(MAX_VALUE_BYTES + 1 - len(begin))
    progress(len(rest))
    if len(begin) + len(rest) > MAX_VALUE_BYTES:
        yield Found(name, fault=_too_long("JSON value"))
        return
    value, fault = _parse(begin + rest, number)
    yield from [Found(name, fault=fault)] if fault else _objects(name, value)


def _lines(file: IO[bytes], progress: Callable[[int], object]) -> Iterator[bytes]:
    """The lines of `file`; of one that is too long, the beginning, one byte longer than is allowed."""
    consumed = 0
    try:
        while line := file.readline(MAX_VALUE_BYTES + 1):
            consumed += len(line)
            rest = line
            while len(rest) > MAX_VALUE_BYTES and not rest.endswith(b"\n"):
                rest = file.readline(MAX_VALUE_BYTES + 1)
                consumed += len(rest)
            if consumed >= PROGRESS_BYTES:
                progress(consumed)
                consumed = 0
            yield line
    finally:  # also when the rest of the file is read otherwise
        progress(consumed)


def _too_long(what: str) -> str:
    mebibytes = MAX_VALUE_BYTES // 1024 // 1024
    return f"this {what} is longer than {mebibytes} MiB; give one object a line, for example with jq -c '.[]'"


def _parse(raw: bytes, line: int) -> tuple[Any, str]:
    """The JSON value in `raw`, which begins at `line`, and what is wrong with it, if anything."""
    try:
        text = raw.decode("utf-8").rstrip().removeprefix("\ufeff")
        value = _decoder.decode(text)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")  # half of a surrogate pair is no character
    except UnicodeDecodeError as error:
        return None, f"is not valid UTF-8 (byte {error.start + 1})"
    except UnicodeEncodeError:
        return None, "holds half of a surrogate pair (\\ud800 to \\udfff alone), which is no character"
    except json.JSONDecodeError as error:
        return None, f"is not valid JSON: {error.msg} (line {line + error.lineno - 1}, column {error.colno})"
    except RecursionError:
        return None, "is nested too deeply"
    except ValueError as error:
        return None, str(error)
    return value, ""


def _goes_on(line: bytes) -> bool:
    """Whether `line`, which is no JSON, is the beginning of a value, so that more lines may complete it."""
    try:
        text = line.decode("utf-8-sig")
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.pos >= len(text.rstrip())
    except (ValueError, RecursionError):
        pass
    return False


def _objects(where: str, value: Any) -> Iterator[Found]:
    if isinstance(value, dict) and "id" not in value and isinstance(value.get("data"), list):
        where, value = f"{where}: data", value["data"]
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield _object(f"{where}[{index}]", item)
    else:
        yield _object(where, value)


def _object(where: str, value: Any) -> Found:
    if isinstance(value, dict):
        return Found(where, value)
    return Found(where, fault=f"must be an object, an agent or a session, not {kind(value)}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"{shown(twice)} comes twice in the same object; give it once")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"is not valid JSON: {name} is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"holds a number that is out of range: {text[:40]}")
    return number


_decoder = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite)
