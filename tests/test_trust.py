"""docs/TRUST.md tells of every attack, and has the figures of docs/attacks.json."""

import re

from tests.attack import figures
from tests.conftest import ROOT

TRUST = (ROOT / "docs/TRUST.md").read_text("utf-8")


def test_the_figures_are_those_of_the_last_run() -> None:
    assert figures.trust() == TRUST, "run python -m tests.attack.figures"


def test_each_command_of_make_attack_is_told_of() -> None:
    attacks = re.findall(r"-m tests\.attack\.(\w+)", (ROOT / "Makefile").read_text("utf-8"))
    assert len(attacks) > 8
    attacks = [name for name in attacks if name != "figures"]  # which writes the table
    assert [name for name in attacks if f"`{name}`" not in TRUST] == []
