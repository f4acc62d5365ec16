"""The settings: `EVERRUNS_*` environment variables with their defaults, checks and meanings."""

import os
import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple


class Config(NamedTuple):
    """The settings of the service and of the commands, checked."""

    database: Path
    database_timeout: float
    read_only: bool
    max_replica_lag: float
    cached_responses: int


class Setting(NamedTuple):
    """A setting: its default, the function that checks it, and its meaning. The check raises `ValueError`."""

    default: str
    check: Callable[[str], Any]
    meaning: str


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


SETTINGS = {
    "DATABASE": Setting("instance/everruns.db", _path, "database file; relative to the current directory"),
    "DATABASE_TIMEOUT": Setting("5", _seconds(3600), "seconds to wait for a locked database"),
    "READ_ONLY": Setting("0", _flag, "1 on a read replica: refuse all writes"),
    "MAX_REPLICA_LAG": Setting(
        "0", _seconds(7 * 24 * 3600), "respond 503 when a replica is older, in seconds; 0: never"
    ),
    "CACHED_RESPONSES": Setting("16", _whole_number(10_000), "recent responses that each thread keeps; 0: none"),
}


# Read by deploy/gunicorn.conf.py, by `everruns pull` and by the official SDK.
OTHER_SETTINGS = ("BIND", "WORKERS", "STATSD", "PULL_KEY", "API_URL", "API_KEY")


def unknown_settings(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return a warning for each `EVERRUNS_*` variable that is not a setting, perhaps a misspelt one."""
    known = (*SETTINGS, *OTHER_SETTINGS)
    warnings = []
    for variable in sorted(environ):
        name = variable.removeprefix("EVERRUNS_")
        if name != variable and name not in known:
            similar = get_close_matches(name, known, 1)
            hint = f"; did you mean EVERRUNS_{similar[0]}?" if similar else ""
            warnings.append(f"{variable} is not a setting{hint}")
    return warnings


def load(overrides: Mapping[str, Any] | None = None, environ: Mapping[str, str] = os.environ) -> Config:
    """Return the settings from `environ`; `overrides` maps names without `EVERRUNS_` to values that win.

    Raises `SystemExit` with one line that names an invalid setting and its rule.
    """
    values: dict[str, Any] = {}
    for name, setting in SETTINGS.items():
        text = str((overrides or {}).get(name, environ.get(f"EVERRUNS_{name}", setting.default)))
        try:
            values[name.lower()] = setting.check(text)
        except ValueError as error:
            raise SystemExit(f"EVERRUNS_{name} must be {error}; got {text!r}") from None
    return Config(**values)
