"""The figures of the attacks, in one file, where each attack replaces its own; and their table in docs/TRUST.md.

python -m tests.attack.figures     writes the table anew
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"
BEGIN = "| attack | figure | value |\n| --- | --- | --- |\n"


def record(path: Path, name: str, figures: dict[str, Any]) -> None:
    """Store `figures` of the attack `name` in the JSON file at `path`, beside those of the others."""
    known = json.loads(path.read_text("utf-8")) if path.exists() else {}
    known[name] = figures
    path.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n", "utf-8")


def trust() -> str:
    """What docs/TRUST.md is with the figures of docs/attacks.json: its last table, a row for each figure."""
    text = (DOCS / "TRUST.md").read_text("utf-8")
    known = json.loads((DOCS / "attacks.json").read_text("utf-8"))
    rows = [f"| `{name}` | {what} | {value} |\n" for name in known for what, value in _flat(known[name])]
    return text[: text.index(BEGIN)] + BEGIN + "".join(rows)


def _flat(figures: dict[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for name, value in figures.items():
        what = above + name.replace("_", " ")
        if isinstance(value, dict):
            yield from _flat(value, f"{what}: ")
        else:
            yield what, f"{value:,}" if isinstance(value, int) and name not in ("seed",) else str(value)


if __name__ == "__main__":
    (DOCS / "TRUST.md").write_text(trust(), "utf-8")
