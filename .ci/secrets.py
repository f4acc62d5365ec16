"""Search every version of every committed file for secrets; print one line for each and exit with status 1."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from detect_secrets import SecretsCollection
from detect_secrets.settings import transient_settings

# Formats of known tokens. KeywordDetector is left out, since it reports prose about secrets.
PLUGINS = [
    "ArtifactoryDetector",
    "AWSKeyDetector",
    "AzureStorageKeyDetector",
    "BasicAuthDetector",
    "CloudantDetector",
    "DiscordBotTokenDetector",
    "GitHubTokenDetector",
    "GitLabTokenDetector",
    "JwtTokenDetector",
    "MailchimpDetector",
    "NpmDetector",
    "OpenAIDetector",
    "PrivateKeyDetector",
    "PypiTokenDetector",
    "SendGridDetector",
    "SlackDetector",
    "StripeDetector",
    "TelegramBotTokenDetector",
    "TwilioKeyDetector",
]

# An API key of this service, except placeholders that repeat one character.
API_KEY = re.compile(rb"evr_(?!(.)\1{42})[A-Za-z0-9_-]{43}")


def git(*arguments: str) -> bytes:
    """Return the output of a git command."""
    return subprocess.run(["git", *arguments], capture_output=True, check=True).stdout


def committed_blobs() -> dict[str, str]:
    """Return one path for each blob of the history, by object name."""
    paths = {}
    for line in git("rev-list", "--objects", "--all").decode("utf-8", "replace").splitlines():
        name, _, path = line.partition(" ")
        if path and git("cat-file", "-t", name).strip() == b"blob":
            paths[name] = path
    return paths


def find_secrets(name: str, path: str, folder: Path) -> list[str]:
    """Return one line for each secret in a blob. The scanner needs a file, which is written to `folder`."""
    content = git("cat-file", "blob", name)
    keys = [match[0][:12].decode() for match in API_KEY.finditer(content)]
    file = folder / (name + Path(path).suffix)
    file.write_bytes(content)
    secrets = SecretsCollection()
    secrets.scan_file(str(file))
    file.unlink()
    return [f"{path} ({name[:12]}): API key {key}…" for key in keys] + [
        f"{path} ({name[:12]}), line {secret.line_number}: {secret.type}" for _, secret in secrets
    ]


def main() -> None:
    """Search and print."""
    settings = {"plugins_used": [{"name": plugin} for plugin in PLUGINS]}
    with tempfile.TemporaryDirectory() as folder, transient_settings(settings):
        found = [line for name, path in committed_blobs().items() for line in find_secrets(name, path, Path(folder))]
    print("\n".join(sorted(found)) or "no secret in any version of any file")
    sys.exit(1 if found else 0)


main()
