"""The report: what was measured → BENCHMARKS.md and its two plots."""

import argparse
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from bench.contenders import CONTENDERS, LIMIT, PEERS
from bench.dataset import DATA
from bench.verdicts import Measurement, find, milliseconds, near_million, rows, shown

SIZE_PLOT, DEPTH_PLOT = "benchmark-size.png", "benchmark-depth.png"
DEEP_LABELS = {"datasette": "Datasette's SQL API, without a total"}
SERVICE = ("cached", "ours")

METHOD = Path(__file__).with_name("method.md")


def write(results: dict[str, Any], folder: Path) -> None:
    """Write BENCHMARKS.md and the plots into `folder`."""
    largest = max(results["sizes"])

    def at_size(name: str) -> Iterable[tuple[int, Measurement | None]]:
        return ((size, find(results, size, name)) for size in results["sizes"])

    def at_depth(name: str) -> Iterable[tuple[int, Measurement | None]]:
        # At the top Datasette answers through another API.
        offsets = sorted({m["offset"] for m in results["measurements"] if m["offset"] or name != "datasette"})
        return ((offset + LIMIT, find(results, largest, name, offset=offset)) for offset in offsets)

    everyone = [*SERVICE, *PEERS, "datasette-default"]
    _plot(folder / SIZE_PLOT, "sessions in the database", "first page", everyone, at_size)
    title = f"any page, {largest:,} sessions"
    _plot(
        folder / DEPTH_PLOT,
        "sessions from the first to the end of the page",
        title,
        ["ours", *PEERS],
        at_depth,
        DEEP_LABELS,
    )
    (folder / "BENCHMARKS.md").write_text(text(results), encoding="utf-8")


def text(results: dict[str, Any]) -> str:
    """The text of BENCHMARKS.md."""
    table = rows(results)
    counts = [sum(row.verdict == verdict for row in table) for verdict in ("met", "missed", "not measured")]
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    method = METHOD.read_text("utf-8").format(
        connections=results["connections"],
        rounds=results["rounds"],
        duration=results["duration"],
        sizes=_list(f"{size:,}" for size in results["sizes"]),
        totals=_list(f"{total:,}" for total in results["totals"]),
        limit=LIMIT,
    )
    parts = [
        "# Benchmarks",
        f"Written by `make bench` on {results['date']}: {results['cores']} cores, {results['cpu']}. {versions}.",
        f"{counts[0]} budgets met, {counts[1]} missed, {counts[2]} not measured.",
        "## Budgets",
        _table(["what", "ours", "the other", "measured", "budget", "verdict"], (row.cells for row in table)),
        _import_memory(results),
        "## Where others are better",
        "\n".join(f"- {line}" for line in _beaten(results)),
        "## Time against size and depth",
        f"![Time of the first page against the number of sessions]({SIZE_PLOT})",
        _sizes_table(results),
        f"![Time of a page against its depth]({DEPTH_PLOT})",
        _depths_table(results),
        method.strip(),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _beaten(results: dict[str, Any]) -> list[str]:
    """Every measurement in which a peer was better than the service."""
    lines = ["The floors do less than the service; how much quicker they are, the first rows of the table say."]
    if imported := results.get("import"):
        ratio = imported["bare_rate"] / imported["rate"]
        lines.append(
            f"A bare `executemany` stores rows {ratio:.2g} times as fast as the import, which reads and validates."
        )
    quicker = []
    for theirs in results["measurements"]:
        if theirs["contender"] not in (*PEERS, "datasette-default"):
            continue
        instead = DEEP_LABELS if theirs["offset"] else {}
        question = {key: theirs[key] for key in ("offset", "of_agent", "unchanged")}
        for name in SERVICE:
            mine = find(results, theirs["sessions"], name, **question)
            if mine and mine["rate"] and (theirs["rate"] or 0) > mine["rate"]:
                page = "first page of an agent" if theirs["of_agent"] else f"page at offset {theirs['offset']:,}"
                quicker.append(
                    f"{_label(theirs['contender'], instead)}: {page}, {theirs['sessions']:,} sessions: "
                    f"{shown(theirs)}, {_label(name)} {shown(mine)}."
                )
    million = near_million(results)
    ours = find(results, million, "cached")
    for name in PEERS:
        measurement = find(results, million, name)
        if ours and measurement and measurement["memory"] < ours["memory"]:
            quicker.append(f"{_label(name)} takes less memory: {measurement['memory']:.0f} MiB.")
    return lines + (quicker or ["No peer was better than the service in anything that was measured."])


def _sizes_table(results: dict[str, Any]) -> str:
    def line(name: str, **question: object) -> list[str]:
        found = [find(results, size, name, **question) for size in results["sizes"]]
        memory = find(results, near_million(results), name)
        label = _label(name) + (", 304" if question else "")
        return [label, *map(shown, found), _latency(found[-1]), f"{memory['memory']:.0f} MiB" if memory else ""]

    sizes = [f"{size:,}" for size in results["sizes"]]
    head = ["first page, requests a second", *sizes, f"p50 / p99 at {sizes[-1]}", "memory"]
    return _table(head, [*map(line, CONTENDERS), line("cached", unchanged=True)])


def _depths_table(results: dict[str, Any]) -> str:
    largest = max(results["sizes"])
    offsets = sorted({m["offset"] for m in results["measurements"]})
    names = ["ours", *PEERS]
    head = [f"offset, {largest:,} sessions", *(_label(name, DEEP_LABELS) for name in names)]
    lines = [[f"{o:,}", *(milliseconds(find(results, largest, name, offset=o)) for name in names)] for o in offsets]
    of_agent = (milliseconds(find(results, largest, name, of_agent=True)) for name in names)
    return _table(head, [*lines, ["0, of the busiest agent", *of_agent]])


def _import_memory(results: dict[str, Any]) -> str:
    if "import" not in results:
        return "The import was not measured in this run."
    peaks = _list(f"{peak:.0f} MiB for {sessions:,} sessions" for sessions, peak in results["import"]["memory"])
    return f"The most memory that the import took: {peaks}."


def _plot(
    file: Path,
    x: str,
    title: str,
    names: list[str],
    points: Callable[[str], Iterable[tuple[int, Measurement | None]]],
    labels: Mapping[str, str] = MappingProxyType({}),
) -> None:
    figure, axes = plt.subplots(figsize=(8, 4.5), dpi=120)
    for name in names:
        found = [(place, 1000 / m["rate"]) for place, m in points(name) if m and m["rate"]]
        if found:
            style = "-" if name in SERVICE else "--"
            axes.plot(*zip(*found, strict=True), style, marker="o", label=_label(name, labels))
    axes.set(xscale="log", yscale="log", xlabel=x, ylabel="milliseconds of the server a request", title=title)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(file, metadata={"Software": None})
    plt.close(figure)


def _latency(measurement: Measurement | None) -> str:
    if measurement is None or not measurement["p50_ms"]:
        return ""
    return f"{measurement['p50_ms']:.3g} / {measurement['p99_ms']:.3g} ms"


def _label(name: str, instead: Mapping[str, str] = MappingProxyType({})) -> str:
    return instead.get(name, CONTENDERS[name].label)


def _list(items: Iterable[str]) -> str:
    *others, last = items
    return f"{', '.join(others)} and {last}" if others else last


def _table(head: list[str], lines: Iterable[Iterable[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *lines))


def main() -> None:
    """Write the report of the last run."""
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    parser.add_argument("--results", type=Path, default=DATA / "results.json", help="%(default)s")
    parser.add_argument("--output", type=Path, default=Path("docs"), help="the folder to write to (%(default)s)")
    given = parser.parse_args()
    write(json.loads(given.results.read_text()), given.output)


if __name__ == "__main__":
    main()
