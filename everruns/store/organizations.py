"""Organizations and their API keys."""

import hashlib
import secrets
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from everruns.ids import canonical_id, new_id
from everruns.records import ApiKey, Organization
from everruns.timestamps import format_timestamp, now

PREFIX_LENGTH = 12


def create_organization(connection: sqlite3.Connection, name: str, public_id: str | None = None) -> Organization:
    """Store an organization and return it, with a new id unless `public_id` is given.

    Raises `sqlite3.IntegrityError` for an id that is malformed or exists.
    """
    public_id = public_id or new_id("org")
    row_id = connection.execute(
        """
        INSERT INTO organizations (public_id, name)
        VALUES (:public_id, :name)
        """,
        {"public_id": public_id, "name": name},
    ).lastrowid
    return Organization(row_id or 0, public_id, name)


def find_organization(connection: sqlite3.Connection, public_id: str) -> Organization | None:
    """Return the organization with this public id; dashes and letter case do not matter."""
    row = connection.execute(
        """
        SELECT id, public_id, name
        FROM organizations
        WHERE canonical_id = :canonical_id
        """,
        {"canonical_id": canonical_id(public_id)},
    ).fetchone()
    return Organization(*row) if row else None


def list_organizations(connection: sqlite3.Connection) -> Iterator[tuple[Organization, int]]:
    """Yield each organization, oldest first, and how many sessions it has."""
    rows = connection.execute(
        """
        SELECT id, public_id, name, coalesce(SUM(sessions), 0)
        FROM organizations
        LEFT JOIN session_counts
          ON session_counts.organization_id = organizations.id
          AND agent_id = 0
          AND precision = 0
        GROUP BY id
        ORDER BY id
        """
    )
    return ((Organization(*row[:3]), row[3]) for row in rows)


def rename_organization(connection: sqlite3.Connection, organization: Organization, name: str) -> None:
    """Give the organization another name."""
    connection.execute(
        """
        UPDATE organizations
        SET name = :name
        WHERE id = :id
        """,
        {"name": name, "id": organization.id},
    )


def delete_keys(connection: sqlite3.Connection, organization: Organization) -> None:
    """Delete all keys of the organization, so that nobody can use it any more."""
    connection.execute("DELETE FROM api_keys WHERE organization_id = :id", {"id": organization.id})


def delete_organization(connection: sqlite3.Connection, organization: Organization) -> None:
    """Delete the organization with everything that it has."""
    connection.execute("DELETE FROM organizations WHERE id = :id", {"id": organization.id})
    connection.execute("DELETE FROM session_counts WHERE organization_id = :id", {"id": organization.id})


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
    connection.execute(
        """
        INSERT INTO api_keys (organization_id, name, sha256, prefix, read_only, created_at, expires_at)
        VALUES (:organization_id, :name, :sha256, :prefix, :read_only, :created_at, :expires_at)
        """,
        {
            "organization_id": organization.id,
            "name": name,
            "sha256": hashlib.sha256(key.encode()).digest(),
            "prefix": key[:PREFIX_LENGTH],
            "read_only": read_only,
            "created_at": now(),
            "expires_at": expires and format_timestamp(expires),
        },
    )
    return key


def find_by_key(connection: sqlite3.Connection, key: str) -> tuple[Organization, bool] | None:
    """Return the organization of a key, and whether the key is read-only; None if it is revoked, expired or unknown."""
    row = connection.execute(
        """
        SELECT read_only, organizations.id, organizations.public_id, organizations.name
        FROM api_keys
        JOIN organizations ON organizations.id = api_keys.organization_id
        WHERE api_keys.sha256 = :sha256
          AND api_keys.revoked_at IS NULL
          AND (api_keys.expires_at IS NULL OR api_keys.expires_at > :now)
        """,
        {"sha256": hashlib.sha256(key.encode()).digest(), "now": now()},
    ).fetchone()
    return (Organization(*row[1:]), bool(row[0])) if row else None


def list_keys(connection: sqlite3.Connection, organization: Organization) -> Iterator[ApiKey]:
    """Yield the organization's keys, oldest first, including expired and revoked ones."""
    rows = connection.execute(
        """
        SELECT prefix, name, created_at, expires_at, revoked_at, iif(read_only, 'read-only', NULL)
        FROM api_keys
        WHERE organization_id = :organization_id
        ORDER BY id
        """,
        {"organization_id": organization.id},
    )
    return (ApiKey(*row) for row in rows)


def revoke_keys(connection: sqlite3.Connection, organization: Organization, prefix: str) -> int:
    """Revoke the organization's keys with this prefix, or this whole key; return how many keys have it."""
    return connection.execute(
        """
        UPDATE api_keys
        SET revoked_at = coalesce(revoked_at, :now)
        WHERE organization_id = :organization_id
          AND prefix = :prefix
        """,
        {"organization_id": organization.id, "prefix": prefix[:PREFIX_LENGTH], "now": now()},
    ).rowcount
