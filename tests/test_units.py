"""The files of deploy/: units that systemd takes and finds hardened, and documents that name what is there."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.servers import LITESTREAM

DEPLOY = ROOT / "deploy"
SERVICES = sorted(path.name for path in DEPLOY.glob("*.service"))


@pytest.mark.needs("systemd-analyze")
def test_systemd_takes_the_units_without_a_word(tmp_path: Path) -> None:
    units = []
    for source in [*DEPLOY.glob("*.service"), *DEPLOY.glob("*.socket")]:
        text = source.read_text()
        program = tmp_path / "true"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        text = re.sub(r"(?<=^ExecStart=)\S+", str(program), text, flags=re.MULTILINE)
        text = re.sub(r"^(User|Group|SocketUser|SocketGroup)=.*", r"\1=root", text, flags=re.MULTILINE)
        (tmp_path / source.name).write_text(text)
        units.append(str(tmp_path / source.name))
    ran = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    told = [
        line for line in ran.stderr.splitlines() if str(tmp_path) in line or "everruns" in line or "litestream" in line
    ]
    assert (ran.returncode, told) == (0, [])


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_exposed_to_less_than_3(name: str) -> None:
    command = ["systemd-analyze", "security", "--offline=true", str(DEPLOY / name)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(rf"Overall exposure level for {name}: ([0-9.]+)", ran.stdout)
    assert found, ran.stdout + ran.stderr
    assert float(found[1]) < 3.0


def test_litestream_takes_its_configuration() -> None:
    command = [LITESTREAM, "databases", "-config", str(DEPLOY / "litestream.yml")]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "/var/lib/everruns/everruns.db" in ran.stdout


def test_the_image_is_made_by_make() -> None:
    assert "RUN make install" in (DEPLOY / "Dockerfile").read_text()
    assert "dockerfile: deploy/Dockerfile" in (DEPLOY / "compose.yml").read_text()


def test_every_file_of_deploy_is_in_the_documents_and_every_named_one_is_there() -> None:
    text = (ROOT / "docs" / "DEPLOY.md").read_text()
    there = {path.name for path in DEPLOY.iterdir() if path.is_file()}
    assert {name for name in there if name not in text} == set()
    assert set(re.findall(r"deploy/([\w.-]*\w)", text)) <= there
