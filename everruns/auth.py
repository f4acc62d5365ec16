"""Who may ask: organizations, their API keys, and the way from a request's headers to an organization."""

import hashlib
import re
import secrets
import sqlite3
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from werkzeug.datastructures import Headers

from everruns.errors import OrganizationMismatch, Unauthorized
from everruns.values import instant, now, same_id

PREFIX_LENGTH = 12

# The scheme in any letter case; the official SDKs send the bare key.
_CREDENTIALS = re.compile(r"(?:(?i:bearer|apikey) +)?(evr_[A-Za-z0-9_-]{43})")

# The key with this hash, or else the one with the next hash, or the first. So the same work is done whether a key is
# good, unknown, expired or revoked, and the time that an answer takes does not tell which.
FIND_KEY = """
SELECT
  api_keys.revoked_at IS NULL AND (api_keys.expires_at IS NULL OR api_keys.expires_at > :now),
  api_keys.sha256,
  organizations.id,
  organizations.public_id,
  printf('%016x%016x', organizations.revision, (SELECT revision FROM catalog))
FROM api_keys
JOIN organizations ON organizations.id = api_keys.organization_id
WHERE api_keys.id = coalesce(
  (SELECT id FROM api_keys WHERE sha256 >= :sha256 ORDER BY sha256 LIMIT 1),
  (SELECT id FROM api_keys WHERE sha256 >= x'' ORDER BY sha256 LIMIT 1)
)
"""


@dataclass(frozen=True)
class Organization:
    """An organization: `id` is internal, `public_id` is what everyone sees.

    `revision` is another text after every change that could alter an answer to the organization.
    """

    id: int
    public_id: str
    revision: str


@dataclass(frozen=True)
class ApiKey:
    """What is known of a stored key, never the key itself; instants are ISO 8601 UTC."""

    prefix: str
    name: str
    created_at: str
    expires_at: str | None
    revoked_at: str | None


def authenticate(connection: sqlite3.Connection, headers: Headers) -> Organization:
    """The organization whose key the request carries.

    Raises `Unauthorized` for a key that is missing, unknown, expired or revoked, and `OrganizationMismatch`
    when `X-Org-Id` names another organization.
    """
    credentials = _CREDENTIALS.fullmatch(headers.get("Authorization", ""))
    if credentials is None:
        raise Unauthorized
    sha256 = _sha256(credentials[1])
    row = connection.execute(FIND_KEY, {"sha256": sha256, "now": now()}).fetchone()
    if row is None or not row[0] or row[1] != sha256:
        raise Unauthorized
    organization = Organization(*row[2:])
    claimed = headers.get("X-Org-Id")
    if claimed is not None and same_id(claimed) != same_id(organization.public_id):
        raise OrganizationMismatch
    return organization


def create_organization(connection: sqlite3.Connection, name: str, public_id: str | None = None) -> str:
    """Store an organization and return its public id, a new random one unless given.

    Raises `sqlite3.IntegrityError` for an id that is malformed or taken.
    """
    public_id = public_id or f"org_{uuid.uuid4().hex}"
    connection.execute(
        """
        INSERT INTO organizations (public_id, name)
        VALUES (:public_id, :name)
        """,
        {"public_id": public_id, "name": name},
    )
    return public_id


def find_organization(connection: sqlite3.Connection, public_id: str) -> Organization | None:
    """The organization with this public id; dashes and letter case do not matter."""
    row = connection.execute(
        """
        SELECT id, public_id, printf('%016x%016x', revision, (SELECT revision FROM catalog))
        FROM organizations
        WHERE lower(replace(public_id, '-', '')) = :same_id
        """,
        {"same_id": same_id(public_id)},
    ).fetchone()
    return Organization(*row) if row else None


def create_key(
    connection: sqlite3.Connection, organization: Organization, name: str, expires_in_days: int | None = None
) -> str:
    """Make a key of the organization and return it: the only time that it is known. Its SHA-256 is stored."""
    key = f"evr_{secrets.token_urlsafe(32)}"
    expires_at = None if expires_in_days is None else instant(datetime.now(UTC) + timedelta(days=expires_in_days))
    connection.execute(
        """
        INSERT INTO api_keys (organization_id, name, sha256, prefix, created_at, expires_at)
        VALUES (:organization_id, :name, :sha256, :prefix, :now, :expires_at)
        """,
        {
            "organization_id": organization.id,
            "name": name,
            "sha256": _sha256(key),
            "prefix": key[:PREFIX_LENGTH],
            "now": now(),
            "expires_at": expires_at,
        },
    )
    return key


def list_keys(connection: sqlite3.Connection, organization: Organization) -> Iterator[ApiKey]:
    """The organization's keys, oldest first, the expired and revoked ones included."""
    rows = connection.execute(
        """
        SELECT prefix, name, created_at, expires_at, revoked_at
        FROM api_keys
        WHERE organization_id = :organization_id
        ORDER BY id
        """,
        {"organization_id": organization.id},
    )
    return (ApiKey(*row) for row in rows)


def revoke_key(connection: sqlite3.Connection, organization: Organization, prefix: str) -> int:
    """Revoke the organization's keys with this prefix (a whole key does too); returns how many there are."""
    return connection.execute(
        """
        UPDATE api_keys
        SET revoked_at = coalesce(revoked_at, :now)
        WHERE organization_id = :organization_id
          AND prefix = :prefix
        """,
        {"organization_id": organization.id, "prefix": prefix[:PREFIX_LENGTH], "now": now()},
    ).rowcount


def _sha256(key: str) -> bytes:
    return hashlib.sha256(key.encode("ascii")).digest()
