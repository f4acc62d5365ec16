"""Authentication: from the API key of a request to its organization."""

import re
import sqlite3

from flask import request

from everruns.api.errors import organization_mismatch, read_only_key, unauthorized
from everruns.ids import canonical_id
from everruns.records import Organization
from everruns.store import keys

# The scheme in any letter case; the official SDKs send the bare key.
_CREDENTIALS = re.compile(r"(?:(?i:bearer|apikey) +)?(evr_[A-Za-z0-9_-]{43})")


def authenticate(connection: sqlite3.Connection) -> Organization:
    """Return the organization of the request's key, and note it for the log.

    Raises `ApiError`: 401 for a missing, unknown, expired or revoked key, with the same response; 403 when
    `X-Org-Id` is another organization, and for a write with a read-only key.
    """
    environ = request.environ
    credentials = _CREDENTIALS.fullmatch(environ.get("HTTP_AUTHORIZATION", ""))
    if credentials is None:
        raise unauthorized()
    environ["everruns.key_prefix"] = credentials[1][: keys.PREFIX_LENGTH]
    found = keys.find_by_key(connection, credentials[1])
    if found is None:
        raise unauthorized()
    organization, is_read_only = found
    environ["everruns.organization"] = organization.public_id
    claimed = environ.get("HTTP_X_ORG_ID")
    if claimed is not None and canonical_id(claimed) != canonical_id(organization.public_id):
        raise organization_mismatch()
    if is_read_only and environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        raise read_only_key()
    return organization
