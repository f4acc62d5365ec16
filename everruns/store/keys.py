"""API keys of organizations."""

import hashlib
import secrets
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from everruns.records import ApiKey, Organization
from everruns.timestamps import format_timestamp, now

PREFIX_LENGTH = 12

INSERT = """
INSERT INTO api_keys (organization_id, name, sha256, prefix, read_only, created_at, expires_at)
VALUES (:organization_id, :name, :sha256, :prefix, :read_only, :created_at, :expires_at)
"""

FIND_ORGANIZATION = """
SELECT read_only, organizations.id, organizations.public_id, organizations.name
FROM api_keys
JOIN organizations ON organizations.id = api_keys.organization_id
WHERE api_keys.sha256 = :sha256
  AND api_keys.revoked_at IS NULL
  AND (api_keys.expires_at IS NULL OR api_keys.expires_at > :now)
"""

LIST = """
SELECT prefix, name, created_at, expires_at, revoked_at, iif(read_only, 'read-only', NULL)
FROM api_keys
WHERE organization_id = :organization_id
ORDER BY id
"""

REVOKE = """
UPDATE api_keys
SET revoked_at = coalesce(revoked_at, :now)
WHERE organization_id = :organization_id
  AND prefix = :prefix
"""


def create_key(
    connection: sqlite3.Connection,
    organization: Organization,
    name: str,
    expires_in_days: int | None = None,
    read_only: bool = False,
) -> str:
    """Create an API key of the organization and return it. Only its SHA-256 is stored."""
    key = f"evr_{secrets.token_urlsafe(32)}"
    expires = None if expires_in_days is None else datetime.now(UTC) + timedelta(days=expires_in_days)
    values = {
        "organization_id": organization.id,
        "name": name,
        "sha256": hashlib.sha256(key.encode()).digest(),
        "prefix": key[:PREFIX_LENGTH],
        "read_only": read_only,
        "created_at": now(),
        "expires_at": expires and format_timestamp(expires),
    }
    connection.execute(INSERT, values)
    return key


def find_by_key(connection: sqlite3.Connection, key: str) -> tuple[Organization, bool] | None:
    """Return the organization of a key, and whether the key is read-only; None if it is revoked, expired or unknown."""
    values = {"sha256": hashlib.sha256(key.encode()).digest(), "now": now()}
    row = connection.execute(FIND_ORGANIZATION, values).fetchone()
    return (Organization(*row[1:]), bool(row[0])) if row else None


def list_keys(connection: sqlite3.Connection, organization: Organization) -> Iterator[ApiKey]:
    """Yield the organization's keys, oldest first, including expired and revoked ones."""
    return (ApiKey(*row) for row in connection.execute(LIST, {"organization_id": organization.id}))


def revoke_keys(connection: sqlite3.Connection, organization: Organization, prefix: str) -> int:
    """Revoke the organization's keys with this prefix, or this whole key; return how many keys have it."""
    values = {"organization_id": organization.id, "prefix": prefix[:PREFIX_LENGTH], "now": now()}
    return connection.execute(REVOKE, values).rowcount


def delete_keys(connection: sqlite3.Connection, organization: Organization) -> None:
    """Delete all keys of the organization, so that nobody can use it any more."""
    connection.execute("DELETE FROM api_keys WHERE organization_id = :id", {"id": organization.id})
