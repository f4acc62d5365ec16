"""The layers of the package: who may import whom, and where SQL and HTTP are."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT

PACKAGE = ROOT / "everruns"
MODULES = sorted(PACKAGE.rglob("*.py"))

BASE = {"records", "ids", "timestamps", "hints"}
# The layers that each layer may import besides itself; "" is everruns/__init__.py.
ALLOWED: dict[str, set[str]] = {
    "records": set(),
    "ids": set(),
    "timestamps": set(),
    "hints": set(),
    "config": {"hints"},
    "schemas": BASE,
    "store": BASE,
    "transfer": {"store", "schemas", *BASE},
    "api": {"", "transfer", "store", "schemas", *BASE},
    "cli": {"", "config", "transfer", "store", "schemas", *BASE},
    "": {"api", "config", "store"},
}


def layer_of(path: Path) -> str:
    """Return the layer of a module: its folder, or its own name at the top."""
    name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if name == "__init__" else name


def imported_names(path: Path) -> Iterator[str]:
    """Yield the full names of everything that a module imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_layers(path: Path) -> set[str]:
    layers = set()
    for name in imported_names(path):
        package, _, rest = f"{name}.".partition(".")
        if package == "everruns":
            layer = rest.split(".")[0]
            layers.add(layer if layer in ALLOWED else "")
    return layers - {layer_of(path)}


def test_all_layers_are_known() -> None:
    assert {layer_of(path) for path in MODULES} == set(ALLOWED)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_imports_upward(path: Path) -> None:
    assert imported_layers(path) <= ALLOWED[layer_of(path)]


@pytest.mark.parametrize(
    ("library", "layers"),
    [
        ("flask", {"", "api"}),
        ("werkzeug", {"api"}),
        ("click", {"cli"}),
        ("marshmallow", {"schemas", "transfer", "api"}),
    ],
)
def test_each_library_is_used_in_its_layers_only(library: str, layers: set[str]) -> None:
    users = {layer_of(path) for path in MODULES if library in {name.split(".")[0] for name in imported_names(path)}}
    assert users == layers


def test_sql_is_run_in_the_store_only() -> None:
    users = {
        layer_of(path)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("execute", "executemany", "executescript")
    }
    assert users == {"store"}
