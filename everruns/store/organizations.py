"""Organizations."""

import sqlite3
from collections.abc import Iterator

from everruns.ids import canonical_id, new_id
from everruns.records import Organization

INSERT = """
INSERT INTO organizations (public_id, name)
VALUES (:public_id, :name)
"""

FIND = """
SELECT id, public_id, name
FROM organizations
WHERE canonical_id = :canonical_id
"""

LIST = """
SELECT id, public_id, name, coalesce(SUM(sessions), 0)
FROM organizations
LEFT JOIN session_counts
  ON session_counts.organization_id = organizations.id
  AND agent_id = 0
  AND precision = 0
GROUP BY id
ORDER BY id
"""

RENAME = """
UPDATE organizations
SET name = :name
WHERE id = :id
"""


def create_organization(connection: sqlite3.Connection, name: str, public_id: str | None = None) -> Organization:
    """Store an organization and return it, with a new id unless `public_id` is given.

    Raises `sqlite3.IntegrityError` for an id that is malformed or exists.
    """
    public_id = public_id or new_id("org")
    row_id = connection.execute(INSERT, {"public_id": public_id, "name": name}).lastrowid
    return Organization(row_id or 0, public_id, name)


def find_organization(connection: sqlite3.Connection, public_id: str) -> Organization | None:
    """Return the organization with this public id; dashes and letter case do not matter."""
    row = connection.execute(FIND, {"canonical_id": canonical_id(public_id)}).fetchone()
    return Organization(*row) if row else None


def list_organizations(connection: sqlite3.Connection) -> Iterator[tuple[Organization, int]]:
    """Yield each organization, oldest first, and how many sessions it has."""
    return ((Organization(*row), sessions) for *row, sessions in connection.execute(LIST))


def rename_organization(connection: sqlite3.Connection, organization: Organization, name: str) -> None:
    """Give the organization another name."""
    connection.execute(RENAME, {"name": name, "id": organization.id})


def delete_organization(connection: sqlite3.Connection, organization: Organization) -> None:
    """Delete the organization with everything that it has."""
    connection.execute("DELETE FROM organizations WHERE id = :id", {"id": organization.id})
    connection.execute("DELETE FROM session_counts WHERE organization_id = :id", {"id": organization.id})
