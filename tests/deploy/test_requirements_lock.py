"""deploy/requirements.lock, from which `make install` installs a server."""

import re
import tomllib

from tests.support import ROOT


def test_lock_pins_every_requirement_of_a_server_with_hashes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    required = project["project"]["dependencies"] + project["project"]["optional-dependencies"]["replicas"]
    required += [*project["build-system"]["requires"], "editables"]
    text = (ROOT / "deploy/requirements.lock").read_text().replace("\\\n", " ")
    names = set()
    for line in text.splitlines():
        if line and not line.lstrip().startswith("#"):
            pinned = re.fullmatch(r"([a-z0-9-]+)==[0-9.]+ +(--hash=sha256:[0-9a-f]{64} *)+", line)
            assert pinned, line
            names.add(pinned[1])
    assert {re.split(r"[^a-z0-9-]", requirement)[0] for requirement in required} <= names, "run 'make lock'"
