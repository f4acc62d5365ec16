"""The length of the stress tests: short by default, `STRESS_FACTOR` times as long with that environment variable."""

import os

FACTOR = float(os.environ.get("STRESS_FACTOR", "1"))


def scaled(number: float) -> int:
    """Return how often to do what a short run does `number` times."""
    return max(1, round(number * FACTOR))
