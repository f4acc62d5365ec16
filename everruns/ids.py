"""Public ids: their shape, when two are the same, and new ones."""

import os
import re
import time

# The harness of a session that names none. It is built in, so `schema.sql` refuses a row with this id.
BASE_HARNESS = "harness_01933b5a000070008000000000000601"


def id_pattern(prefix: str) -> str:
    """Return the regular expression of a public id: `prefix`, `_` and 1 to 64 of `0-9 A-Z a-z -`."""
    return prefix + "_[0-9A-Za-z-]{1,64}"


def is_id(text: str, prefix: str) -> bool:
    """Return whether `text` is a public id with this prefix.

    >>> is_id("agent_01234567-89ab", "agent")
    True
    """
    return re.fullmatch(id_pattern(prefix), text) is not None


def canonical_id(public_id: str) -> str:
    """Return the form in which ids are compared, as the `canonical_id` columns of `schema.sql` compute it.

    >>> canonical_id("agent_01234567-89AB") == canonical_id("agent_0123456789ab")
    True
    """
    # Only ASCII ids are stored; lower() turns some other letters, such as the Kelvin sign, into ASCII.
    return public_id.replace("-", "").lower() if public_id.isascii() else public_id


def new_id(prefix: str) -> str:
    """Return a new public id: `prefix`, `_` and the 32 hex digits of a UUIDv7 (RFC 9562), which sorts by time."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF << 76) | 0x7 << 76  # version
    value = value & ~(0x3 << 62) | 0x2 << 62  # variant
    return f"{prefix}_{value:032x}"
