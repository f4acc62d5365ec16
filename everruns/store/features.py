"""Two SQL functions that keep the features of sessions, which would take half of the time of a page's SQL.

They are kept by all capabilities of the session and the version of the catalog. Versions are random, so that all
connections share what is kept, also those to other files.
"""

import sqlite3

MAX_KEPT = 1000
MAX_BYTES = 4000  # longer capabilities are not kept: their configuration may have a mebibyte

_kept: dict[tuple[int | bytes | None, ...], str] = {}


def register(connection: sqlite3.Connection) -> None:
    """Add both functions to the connection: `coalesce(kept_features(…), keep_features(…, found))`.

    They take the catalog's version and the `capabilities` of a harness, an agent and a session, as bytes (another
    program may have stored some that are not UTF-8) or NULL. The first returns what is kept, or NULL; the second keeps
    `found` and returns it.
    """
    connection.create_function("kept_features", 4, _find)
    connection.create_function("keep_features", 5, _keep)


def _find(*key: int | bytes | None) -> str | None:
    return _kept.get(key)


def _keep(version: int, harness: bytes | None, agent: bytes | None, session: bytes, found: str) -> str:
    if len(harness or b"") + len(agent or b"") + len(session) <= MAX_BYTES:
        if len(_kept) >= MAX_KEPT:
            _kept.clear()
        _kept[version, harness, agent, session] = found
    return found
