"""Measurements → the rows of the table: what was measured, its budget, and whether it was met."""

from dataclasses import dataclass
from typing import Any

from bench.contenders import CONTENDERS

FIRST_PAGE = {"offset": 0, "of_agent": False, "unchanged": False}

Measurement = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """A line of the table; `measured` is a ratio or MiB, None when it could not be measured; not all have a budget."""

    what: str
    ours: str
    other: str
    measured: float | None
    budget: float | None
    at_least: bool = True
    unit: str = " ×"

    @property
    def verdict(self) -> str:
        """Met, missed, not measured, or nothing where there is no budget."""
        if self.measured is None:
            return "not measured"
        if self.budget is None:
            return ""
        met = self.measured >= self.budget if self.at_least else self.measured <= self.budget
        return "met" if met else "missed"

    @property
    def cells(self) -> tuple[str, str, str, str, str, str]:
        """The line as the table shows it."""
        measured = "" if self.measured is None else f"{_number(self.measured)}{self.unit}"
        budget = "" if self.budget is None else f"{'≥' if self.at_least else '≤'} {self.budget:g}{self.unit}"
        return self.what, self.ours, self.other, measured, budget, self.verdict


def find(results: dict[str, Any], sessions: int, contender: str, **question: object) -> Measurement | None:
    """The measurement of `contender` at `sessions`; the question is the first page unless told otherwise."""
    wanted = {"sessions": sessions, "contender": contender, **FIRST_PAGE, **question}
    return next((m for m in results["measurements"] if all(m[key] == wanted[key] for key in wanted)), None)


def rows(results: dict[str, Any]) -> list[Row]:
    """Every row of the table, in the order of the budgets."""
    smallest, largest, million = min(results["sizes"]), max(results["sizes"]), near_million(results)

    def against(what: str, budget: float | None, sessions: int, ours: str, other: str, **question: object) -> Row:
        mine, theirs = find(results, sessions, ours, **question), find(results, sessions, other)
        off = ", page cache off" if ours == "ours" else ""
        what = f"{what}, {sessions:,} sessions{off}, against: {CONTENDERS[other].label}"
        return Row(what, shown(mine), shown(theirs), _ratio(mine, theirs), budget)

    table = [against("first page", 0.8, million, "ours", "floor")]
    table.append(against("the same page asked again", 1.0, million, "cached", "memory"))
    table.append(against("304", 1.0, million, "cached", "memory", unchanged=True))
    first, small = find(results, largest, "ours"), find(results, smallest, "ours")
    what = f"time of the first page, page cache off, {largest:,} sessions against {smallest:,}"
    table.append(Row(what, milliseconds(first), milliseconds(small), _ratio(small, first), 1.2, at_least=False))
    deep = [m for m in results["measurements"] if (m["sessions"], m["contender"]) == (largest, "ours") and m["offset"]]
    slowest = min(deep, key=lambda m: float(m["rate"] or 0))
    what = f"time of the slowest of {len(deep)} deep pages (offset {slowest['offset']:,} of {results['totals'][-1]:,})"
    what += f", page cache off, {largest:,} sessions, against the first page"
    table.append(Row(what, milliseconds(slowest), milliseconds(first), _ratio(first, slowest), 1.5, at_least=False))
    for other, budgets in (("fastapi", (12, 100)), ("datasette", (20, 100)), ("datasette-default", (20, 1000))):
        for sessions, budget in dict(zip((smallest, million), budgets, strict=True)).items():
            table.append(against("first page", budget, sessions, "cached", other))
            table.append(against("first page", None, sessions, "ours", other))
    memory = max(served["memory"] for name in ("ours", "cached") if (served := find(results, million, name)))
    what = f"memory of a worker after the load, {million:,} sessions"
    table.append(Row(what, f"{memory:.0f} MiB", "", memory, 48, at_least=False, unit=" MiB"))
    if done := results.get("import"):
        what = f"import of {done['sessions']:,} sessions, against: a bare executemany of the same rows"
        ours, bare = f"{done['rate']:,.0f} rows/s", f"{done['bare_rate']:,.0f} rows/s"
        table.append(Row(what, ours, bare, done["rate"] / done["bare_rate"], 0.5))
    return table


def near_million(results: dict[str, Any]) -> int:
    """The size that is nearest to a million sessions."""
    sizes: list[int] = results["sizes"]
    return min(sizes, key=lambda size: abs(size - 1_000_000))


def shown(measurement: Measurement | None) -> str:
    """A rate as the table shows it, with what must be known of it."""
    if measurement is None:
        return ""
    rate, note = measurement["rate"], measurement["note"]
    return " ".join(filter(None, [f"{_number(rate)}/s" if rate else "", f"({note})" if note else ""]))


def milliseconds(measurement: Measurement | None) -> str:
    """The time of the server that a request takes: a second over the requests a second."""
    return f"{_number(1000 / measurement['rate'])} ms" if measurement and measurement["rate"] else ""


def _ratio(mine: Measurement | None, theirs: Measurement | None) -> float | None:
    if not (mine and theirs and mine["rate"] and theirs["rate"]):
        return None
    return float(mine["rate"] / theirs["rate"])


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
