"""deploy/requirements.lock: all that a server installs, each pinned with its hashes."""

import re
import tomllib

from tests.conftest import ROOT


def test_the_lock_pins_with_hashes_all_that_a_server_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = project["project"]["dependencies"] + project["project"]["optional-dependencies"]["replicas"]
    needed += [*project["build-system"]["requires"], "editables"]
    text = (ROOT / "deploy/requirements.lock").read_text().replace("\\\n", " ")
    pinned = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    names = set()
    for line in pinned:
        found = re.fullmatch(r"([a-z0-9-]+)==[0-9.]+ +(--hash=sha256:[0-9a-f]{64} *)+", line)
        assert found, line
        names.add(found[1])
    assert {re.split(r"[^a-z0-9-]", name)[0] for name in needed} <= names
    assert "://" not in text
