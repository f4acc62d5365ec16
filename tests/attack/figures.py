"""The figures of the attacks, in one file, where each attack replaces its own; and their table in docs/TRUST.md.

python -m tests.attack.figures     writes the table anew
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"
BEGIN = "| attack | last full run | figures |\n| --- | --- | --- |\n"
# What docs/TRUST.md tells, by its place among the figures; docs/attacks.json has all.
TOLD = {
    "concurrency": [
        "answers",
        "answers_304",
        "answers_with_one_allowed_state",
        "states",
        "readers",
        "writers",
        "seconds",
    ],
    "corpus": ["values", "requests", "memory_growth_kib", "latency_ratio"],
    "crash": [
        "kills and stops/kills",
        "kills and stops/kills, within a write",
        "kills and stops/stops",
        "kills and stops/acknowledged",
        "kills and stops/stored unacknowledged",
        "kills and stops/not stored",
        "kills and stops/answers",
        "disk/failing calls, small import/calls that failed",
        "disk/failing calls, large import/calls that failed",
        "disk/failing reads/rounds",
        "disk/full disk/fill levels",
        "disk/locked/locks",
        "power cuts/cuts",
        "power cuts/what was acknowledged",
    ],
    "environs": ["requests", "memory_growth_kib", "latency_before_ms", "latency_after_ms"],
    "fuzz": ["requests", "memory_growth_kib", "latency_ratio"],
    "isolation": ["examples", "answers", "answers 304", "walks"],
    "mutants": ["mutants", "that change nothing", "survivors", "killed_share"],
    "overload": [
        f"{front}/{figure}"
        for front in ("service", "limits")
        for figure in (
            "capacity_per_second",
            "offered_per_second",
            "served_per_second",
            "served_p50_ms",
            "served_p99_ms",
            "refused_p99_ms",
            "recovery_seconds",
            "memory_growth_kib",
        )
    ]
    + ["slow/slow_clients", "slow/latency_ratio_p50", "slow/latency_ratio_p99"],
    "timing": ["requests"]
    + [
        f"{way}/{kind}/{figure}"
        for way in ("through gunicorn", "in process", "authentication")
        for kind in ("revoked", "expired")
        for figure in ("ratio", "probability")
    ],
}


def record(path: Path, name: str, figures: dict[str, Any]) -> None:
    """Store `figures` of the attack `name`, the day and the options in the JSON file at `path`, beside the others."""
    known = json.loads(path.read_text("utf-8")) if path.exists() else {}
    options = " ".join(sys.argv[1:]).replace(f"--figures {path}", "").strip()
    known[name] = {"day": datetime.now(UTC).date().isoformat(), "options": options, **figures}
    path.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n", "utf-8")


def trust() -> str:
    """What docs/TRUST.md is with the figures of docs/attacks.json: its last table, a row for each attack."""
    text = (DOCS / "TRUST.md").read_text("utf-8")
    known = json.loads((DOCS / "attacks.json").read_text("utf-8"))
    rows = []
    for name in [name for name in TOLD if name in known]:
        run = f"{known[name]['day']} {known[name]['options']}".rstrip()
        rows.append(f"| `{name}` | {run} | {'; '.join(_told(known[name], TOLD[name]))} |\n")
    return text[: text.index(BEGIN)] + BEGIN + "".join(rows)


def _told(figures: dict[str, Any], places: list[str]) -> list[str]:
    told: list[str] = []
    above = ""
    for place in places:
        *path, name = place.split("/")
        value: Any = figures
        for key in [*path, name]:
            value = value[key]
        number = f"{value:,}" if isinstance(value, int) else str(value)
        begin = f"*{': '.join(path)}*: " if path and "/".join(path) != above else ""
        above = "/".join(path)
        told.append(f"{begin}{name.replace('_', ' ')} = {number}")
    return told


if __name__ == "__main__":
    (DOCS / "TRUST.md").write_text(trust(), "utf-8")
