"""The description of the API, which `docs/describe.py` writes: for programs, and for language models."""

import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple


class Document(NamedTuple):
    """A file as it is served: its bytes, and its ETag without quotes."""

    content: bytes
    etag: str


@cache
def document(name: str) -> Document:
    """`openapi.json` or `llms.txt`: beside this file in a wheel, in `docs/` in a checkout."""
    here = Path(__file__).parent
    packaged = here / name
    content = (packaged if packaged.exists() else here.parent / "docs" / name).read_bytes()
    return Document(content, hashlib.sha256(content).hexdigest()[:32])
