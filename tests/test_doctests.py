"""The examples in the docstrings of the package."""

import doctest
from importlib import import_module
from pkgutil import walk_packages

import pytest

import everruns

MODULES = ["everruns", *(module.name for module in walk_packages(everruns.__path__, "everruns."))]
EXAMPLES = [test for name in MODULES for test in doctest.DocTestFinder().find(import_module(name)) if test.examples]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example.name))
def test_example_gives_what_it_shows(example: doctest.DocTest) -> None:
    assert doctest.DocTestRunner().run(example, clear_globs=False).failed == 0
