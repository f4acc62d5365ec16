"""The files of deploy/: systemd accepts the units, Litestream its configuration, DEPLOY.md names each."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.servers import LITESTREAM, ROOT

DEPLOY = ROOT / "deploy"
SERVICES = sorted(path.name for path in DEPLOY.glob("*.service"))


@pytest.mark.needs("systemd-analyze")
def test_systemd_accepts_the_units_without_a_warning(tmp_path: Path) -> None:
    program = tmp_path / "true"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    units = []
    for source in [*DEPLOY.glob("*.service"), *DEPLOY.glob("*.socket"), *DEPLOY.glob("*.timer")]:
        text = re.sub(r"(?<=^ExecStart=)\S+", str(program), source.read_text(), flags=re.MULTILINE)
        text = re.sub(r"^(User|Group|SocketUser|SocketGroup)=.*", r"\1=root", text, flags=re.MULTILINE)
        (tmp_path / source.name).write_text(text)
        units.append(str(tmp_path / source.name))
    ran = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    ours = (str(tmp_path), "everruns", "litestream")
    warnings = [line for line in ran.stderr.splitlines() if any(word in line for word in ours)]
    assert (ran.returncode, warnings) == (0, [])


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize("name", SERVICES)
def test_the_exposure_of_a_service_is_below_3(name: str) -> None:
    command = ["systemd-analyze", "security", "--offline=true", str(DEPLOY / name)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", ran.stdout)
    assert found, ran.stdout + ran.stderr
    assert float(found[1]) < 3.0


def test_litestream_accepts_its_configuration() -> None:
    command = [LITESTREAM, "databases", "-config", str(DEPLOY / "litestream.yml")]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "/var/lib/everruns/everruns.db" in ran.stdout


def test_the_image_is_built_by_make() -> None:
    assert "RUN make install" in (DEPLOY / "Dockerfile").read_text()
    assert "dockerfile: deploy/Dockerfile" in (DEPLOY / "compose.yml").read_text()


def test_the_documentation_names_the_files_that_exist() -> None:
    text = (ROOT / "docs" / "DEPLOY.md").read_text()
    existing = {path.name for path in DEPLOY.iterdir() if path.is_file()}
    assert {name for name in existing if name not in text} == set()
    assert set(re.findall(r"deploy/([\w.-]*\w)", text)) <= existing
