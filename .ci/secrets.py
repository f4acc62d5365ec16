"""Look for secrets in every version of every file that was ever committed; exit status 1 and a line for each."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from detect_secrets import SecretsCollection
from detect_secrets.settings import transient_settings

# The forms of known tokens. Not KeywordDetector, which takes a sentence about secrets for one.
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

OUR_KEY = re.compile(rb"evr_(?!(.)\1{42})[A-Za-z0-9_-]{43}")  # but for AAAA… and the like


def git(*arguments: str) -> bytes:
    """What git prints."""
    return subprocess.run(["git", *arguments], capture_output=True, check=True).stdout


def versions() -> dict[str, str]:
    """Each blob ever committed, and a path that it had."""
    found = {}
    for line in git("rev-list", "--objects", "--all").decode("utf-8", "replace").splitlines():
        name, _, path = line.partition(" ")
        if path:
            found[name] = path
    return found


def main() -> None:
    """Scan, and tell."""
    faults = []
    with tempfile.TemporaryDirectory() as folder, transient_settings({"plugins_used": [{"name": n} for n in PLUGINS]}):
        for name, path in versions().items():
            if git("cat-file", "-t", name).strip() != b"blob":
                continue
            copy = Path(folder, name + Path(path).suffix)
            content = git("cat-file", "blob", name)
            copy.write_bytes(content)
            faults += [
                f"{path} ({name[:12]}): an API key, {key[:12].decode()}…"
                for key in (found[0] for found in OUR_KEY.finditer(content))
            ]
            secrets = SecretsCollection()
            secrets.scan_file(str(copy))
            faults += [f"{path} ({name[:12]}), line {s.line_number}: {s.type}" for _, s in secrets]
            copy.unlink()
    print("\n".join(sorted(faults)) or "no secret in any version of any file")
    sys.exit(1 if faults else 0)


main()
