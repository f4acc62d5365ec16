"""Hints at misspelt names."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[str], prefix: str = "") -> str:
    """Return `; did you mean …?` with the most similar of the `known` names, after `prefix`; empty if none is similar.

    >>> did_you_mean("titel", ["id", "title"])
    '; did you mean title?'
    """
    similar = get_close_matches(name, list(known), 1, 0.75)
    return f"; did you mean {prefix}{similar[0]}?" if similar else ""
