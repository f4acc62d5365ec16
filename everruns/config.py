"""The settings: `EVERRUNS_*` environment variables with their defaults and checks."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from everruns.hints import did_you_mean


class Config(NamedTuple):
    """The settings of the service and of the commands, checked."""

    database: Path
    database_timeout: float
    read_only: bool
    max_replica_lag: float
    cached_responses: int


def _seconds(maximum: int) -> Callable[[str], float]:
    def check(text: str) -> float:
        if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) or not float(text) <= maximum:
            raise ValueError(f"a number of seconds from 0 to {maximum}")
        return float(text)

    return check


def _whole_number(maximum: int) -> Callable[[str], int]:
    def check(text: str) -> int:
        if not re.fullmatch("[0-9]{1,9}", text) or not int(text) <= maximum:
            raise ValueError(f"a whole number from 0 to {maximum}")
        return int(text)

    return check


def _flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError("0 or 1")
    return text == "1"


def _path(text: str) -> Path:
    if not text:
        raise ValueError("a path")
    try:
        return Path(text).absolute()
    except FileNotFoundError:
        raise ValueError("an absolute path, as the current directory no longer exists") from None


# The default, and the function that returns the value or raises `ValueError` with the rule.
SETTINGS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "DATABASE": ("instance/everruns.db", _path),  # relative to the current directory
    "DATABASE_TIMEOUT": ("5", _seconds(3600)),  # to wait for a lock
    "READ_ONLY": ("0", _flag),  # 1 on a read replica: refuse all writes
    "MAX_REPLICA_LAG": ("0", _seconds(7 * 24 * 3600)),  # respond 503 when a replica is older; 0: never
    "CACHED_RESPONSES": ("16", _whole_number(10_000)),  # recent responses that each thread keeps
}

# The first three are those of deploy/gunicorn.conf.py; then `everruns pull`, and the official SDK.
OTHER_SETTINGS = ("BIND", "WORKERS", "STATSD", "PULL_KEY", "API_URL", "API_KEY")


def unknown_settings(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return a warning for each `EVERRUNS_*` variable that is not a setting, perhaps a misspelt one."""
    known = (*SETTINGS, *OTHER_SETTINGS)
    names = [key.removeprefix("EVERRUNS_") for key in sorted(environ) if key.startswith("EVERRUNS_")]
    return [
        f"EVERRUNS_{name} is not a setting{did_you_mean(name, known, 'EVERRUNS_')}"
        for name in names
        if name not in known
    ]


def load(overrides: Mapping[str, Any] | None = None, environ: Mapping[str, str] = os.environ) -> Config:
    """Return the settings from `environ`; `overrides` maps names without `EVERRUNS_` to values that win.

    Raises `SystemExit` with one line that names an invalid setting and its rule.
    """
    values: dict[str, Any] = {}
    for name, (default, check) in SETTINGS.items():
        text = str((overrides or {}).get(name, environ.get(f"EVERRUNS_{name}", default)))
        try:
            values[name.lower()] = check(text)
        except ValueError as error:
            raise SystemExit(f"EVERRUNS_{name} must be {error}; got {text!r}") from None
    return Config(**values)
