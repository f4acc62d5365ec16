"""Catalog files: what is read, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from everruns.store import catalog as built_in
from everruns.transfer.catalog import read
from everruns.transfer.importer import ImportRefused

VALID = {
    "id": "skills",
    "name": "Skills",
    "description": "d",
    "category": None,
    "status": "available",
    "dependencies": ["files"],
    "features": ["file_system"],
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "catalog.json"


def write(file: Path, content: Any) -> Path:
    file.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return file


def test_the_built_in_catalog_is_valid() -> None:
    capabilities = read(built_in.BUILT_IN)
    assert len(capabilities) == len(json.loads(built_in.BUILT_IN.read_text("utf-8"))) > 90


def test_capabilities_are_read_in_order_with_or_without_optional_keys(file: Path) -> None:
    minimal = {"id": "files", "name": "Files", "status": "coming_soon"}
    assert read(write(file, [VALID, minimal])) == [VALID, minimal]
    assert read(write(file, [{**minimal, "features": None, "unknown": 1}])) == [{**minimal, "features": []}]


def test_dependencies_may_form_a_cycle(file: Path) -> None:
    other = {**VALID, "id": "files", "dependencies": ["skills"]}
    assert read(write(file, [VALID, other])) == [VALID, other]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ([{}], ":1[0]: id is missing\n{file}:1[0]: name is missing\n{file}:1[0]: status is missing"),
        ([VALID, {**VALID, "id": ""}], ":1[1]: id must not be empty"),
        ([{**VALID, "status": "gone"}], ":1[0]: status must be available, coming_soon or retired; got 'gone'"),
        ([{**VALID, "dependencies": [1]}], ":1[0]: dependencies[0] must be a string; got a number"),
        ([{**VALID, "features": ["a", ""]}], ":1[0]: features[1] must not be empty"),
        ([{**VALID, "category": []}], ":1[0]: category must be a string or null; got an array"),
        ([VALID, VALID], ": the id 'skills' must be unique; got it 2 times"),
        ([{**VALID, "id": "\x1b[2J"}] * 2, ": the id '\\u001b[2J' must be unique; got it 2 times"),
        ('[{"id": "a", "id": "b"}]', ":1 must have each key once in an object; got 'id' more than once"),
        ("not JSON", ":1 must be valid JSON: Expecting value (line 1, column 1)"),
        ('[\n{"id": "skills",}\n]', " must be valid JSON: Expecting property name enclosed in double quotes (line 2,"),
        ([5], ":1[0] must be an object"),
    ],
)
def test_an_invalid_catalog_is_refused(file: Path, content: Any, error: str) -> None:
    with pytest.raises(ImportRefused) as refused:
        read(write(file, content))
    assert str(refused.value).startswith(str(file) + error.replace("{file}", str(file)))


@pytest.mark.parametrize("content", ["", "[]", '{"data": []}'])
def test_a_file_without_capabilities_is_refused(file: Path, content: str) -> None:
    with pytest.raises(ImportRefused, match="must contain a capability"):
        read(write(file, content))
