"""Which sessions a query asks for: fixed FROM clauses and conditions, and the values that they bind."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from everruns.ids import canonical_id
from everruns.store.tables import as_json

ALL_AGENTS = 0
BEGINNING = ""  # sorts before all timestamps
END = "~"  # sorts after all timestamps, and after all that begin with the text before it
SHORTEST_INDEXED = 3  # characters: the full-text index has groups of three

MATCHING = """
{source}
WHERE sessions.organization_id = :organization_id
  {conditions}
  AND sessions.created_at >= :created_after
  AND sessions.created_at < :created_before
"""

FROM_SESSIONS = """
FROM sessions
"""

# CROSS JOIN makes SQLite start at the index, so that the cost is that of the matches.
FROM_TAG = """
FROM session_tags
CROSS JOIN sessions ON sessions.id = session_tags.session_id
"""

FROM_SEARCH = """
FROM (
  SELECT rowid AS id
  FROM session_titles
  WHERE session_titles MATCH :phrase
  UNION
  SELECT id
  FROM sessions
  WHERE organization_id = :organization_id
    AND canonical_id = :searched_id
) AS matches
CROSS JOIN sessions ON sessions.id = matches.id
"""

HAS_FIRST_TAG = """
  AND session_tags.organization_id = :organization_id
  AND session_tags.tag = :first_tag
"""

HAS_ALL_TAGS = """
  AND NOT EXISTS (
    SELECT value
    FROM json_each(:tags)
    EXCEPT
    SELECT tag
    FROM session_tags
    WHERE organization_id = :organization_id
      AND session_id = sessions.id
      AND tag IN (SELECT value FROM json_each(:tags))
  )
"""

CONTAINS_TEXT = """
  AND (instr(casefold(CAST(sessions.title AS BLOB)), :text) > 0 OR sessions.canonical_id = :searched_id)
"""


@dataclass(frozen=True)
class Filters:
    """The sessions of an organization, or of one of its agents, that match. Both by internal id.

    The period of `created_at` includes its start, not its end.
    """

    organization_id: int
    agent_id: int = ALL_AGENTS
    status: str | None = None
    tags: tuple[str, ...] = ()
    search: str | None = None
    created_after: str = BEGINNING
    created_before: str = END

    @property
    def is_counted(self) -> bool:
        """True if `session_counts` has the number of matching sessions."""
        return not self.tags and self.search is None

    @cached_property
    def matching(self) -> str:
        """The FROM and WHERE clauses."""
        source, conditions, unchecked_tags = FROM_SESSIONS, "", self.tags
        if self.agent_id != ALL_AGENTS:
            conditions += "  AND sessions.agent_id = :agent_id\n"
        if self.status is not None:
            conditions += "  AND sessions.status = :status\n"
        if self.search is not None and len(self.search) >= SHORTEST_INDEXED:
            source = FROM_SEARCH
        elif self.search is not None:
            conditions += CONTAINS_TEXT
        elif self.tags:
            source, unchecked_tags = FROM_TAG, self.tags[1:]
            conditions += HAS_FIRST_TAG
        if unchecked_tags:
            conditions += HAS_ALL_TAGS
        return MATCHING.format(source=source, conditions=conditions)

    @cached_property
    def values(self) -> dict[str, Any]:
        """The values that the clauses bind."""
        values: dict[str, Any] = {
            "organization_id": self.organization_id,
            "agent_id": self.agent_id,
            "status": self.status,
            "created_after": self.created_after,
            "created_before": self.created_before,
        }
        if self.tags:
            values |= {"tags": as_json(self.tags), "first_tag": self.tags[0]}
        if self.search is not None:
            phrase = '"' + self.search.replace('"', '""') + '"'
            values |= {"phrase": phrase, "text": self.search.casefold(), "searched_id": canonical_id(self.search)}
        return values
