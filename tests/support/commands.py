"""Running commands of `everruns`."""

from collections.abc import Mapping
from pathlib import Path

from click.testing import CliRunner, Result

from everruns.cli import main


class CommandRunner:
    """Runs commands in this process, on the database at `path`.

    run_command("create-org", "Acme").stdout
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(
        self, *arguments: str, stdin: bytes | str = b"", exit_code: int = 0, env: Mapping[str, str] | None = None
    ) -> Result:
        """Run a command and check its exit status. `env` adds environment variables."""
        environment = {"EVERRUNS_DATABASE": str(self.path), **(env or {})}
        result = CliRunner().invoke(main, arguments, input=stdin, env=environment)
        assert result.exit_code == exit_code, (arguments, result.stdout, result.stderr, result.exception)
        return result
