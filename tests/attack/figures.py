"""The figures of the attacks, in one file: each attack replaces its own."""

import json
from pathlib import Path
from typing import Any


def record(path: Path, name: str, figures: dict[str, Any]) -> None:
    """Store `figures` of the attack `name` in the JSON file at `path`, beside those of the others."""
    known = json.loads(path.read_text("utf-8")) if path.exists() else {}
    known[name] = figures
    path.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n", "utf-8")
