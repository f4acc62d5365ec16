-- From schema version 5 to 6: capabilities as JSON columns, counts by period instead of counted spans, features of each
-- capability computed when a catalog is loaded, and all columns of agents and harnesses.

DROP TRIGGER sessions_insert_tags;
DROP TRIGGER sessions_update_tags;
DROP TRIGGER organizations_delete_owned;
DROP TRIGGER harnesses_delete_owned;
DROP TRIGGER agents_delete_owned;
DROP TRIGGER sessions_delete_owned;
DROP TRIGGER capabilities_delete_owned;
DROP TRIGGER session_count;
DROP TRIGGER session_span_count;
DROP TRIGGER session_spans_split_organization;
DROP TRIGGER session_spans_split_agent;
DROP TRIGGER session_spans_split_above;
DROP TRIGGER session_spans_join;
DROP TRIGGER sessions_insert_note;
DROP TRIGGER sessions_update_note;
DROP TRIGGER sessions_insert_count;
DROP TRIGGER sessions_update_count;
DROP TRIGGER sessions_delete_count;
DROP TRIGGER agents_delete_count;
DROP TRIGGER organizations_delete_count;
DROP TRIGGER organizations_update_revision;
DROP TRIGGER sessions_insert_revision;
DROP TRIGGER sessions_update_revision;
DROP TRIGGER sessions_delete_revision;
DROP TRIGGER harnesses_insert_revision;
DROP TRIGGER harnesses_update_revision;
DROP TRIGGER harnesses_delete_revision;
DROP TRIGGER harness_capabilities_insert_revision;
DROP TRIGGER harness_capabilities_update_revision;
DROP TRIGGER harness_capabilities_delete_revision;
DROP TRIGGER agents_insert_revision;
DROP TRIGGER agents_update_revision;
DROP TRIGGER agents_delete_revision;
DROP TRIGGER agent_capabilities_insert_revision;
DROP TRIGGER agent_capabilities_update_revision;
DROP TRIGGER agent_capabilities_delete_revision;
DROP TRIGGER session_capabilities_insert_revision;
DROP TRIGGER session_capabilities_update_revision;
DROP TRIGGER session_capabilities_delete_revision;
DROP TRIGGER capabilities_insert_revision;
DROP TRIGGER capabilities_update_revision;
DROP TRIGGER capabilities_delete_revision;
DROP TRIGGER capability_dependencies_insert_revision;
DROP TRIGGER capability_dependencies_update_revision;
DROP TRIGGER capability_dependencies_delete_revision;
DROP TRIGGER capability_features_insert_revision;
DROP TRIGGER capability_features_update_revision;
DROP TRIGGER capability_features_delete_revision;
DROP TRIGGER catalog_stays;

DROP VIEW session_count;
DROP VIEW session_span_count;

DROP INDEX organizations_by_public_id;
DROP INDEX api_keys_by_organization;
DROP INDEX agents_by_public_id;
DROP INDEX harnesses_by_public_id;
DROP INDEX sessions_by_public_id;
DROP INDEX sessions_by_organization;
DROP INDEX sessions_by_agent;
DROP TABLE session_spans;
DROP TABLE replaced_sessions;
DROP TABLE catalog;

ALTER TABLE organizations RENAME TO old_organizations;
ALTER TABLE api_keys RENAME TO old_api_keys;
ALTER TABLE harnesses RENAME TO old_harnesses;
ALTER TABLE agents RENAME TO old_agents;
ALTER TABLE sessions RENAME TO old_sessions;
ALTER TABLE capabilities RENAME TO old_capabilities;
ALTER TABLE capability_dependencies RENAME TO old_capability_dependencies;
ALTER TABLE capability_features RENAME TO old_capability_features;
ALTER TABLE heartbeat RENAME TO old_heartbeat;

CREATE TABLE organizations (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,  -- a reused id would inherit what was left of the old one
  public_id    TEXT NOT NULL
               CHECK (public_id GLOB 'org_?*' AND length(public_id) <= 68
                      AND substr(public_id, 5) NOT GLOB '*[^0-9A-Za-z-]*'),
  canonical_id TEXT GENERATED ALWAYS AS (lower(replace(public_id, '-', ''))) VIRTUAL UNIQUE,
  name         TEXT NOT NULL CHECK (name <> '')
) STRICT;

CREATE TABLE api_keys (
  id              INTEGER PRIMARY KEY,
  organization_id INTEGER NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
  name            TEXT NOT NULL,
  sha256          BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),
  prefix          TEXT NOT NULL CHECK (length(prefix) = 12),  -- the first characters, to recognize the key
  read_only       INTEGER NOT NULL DEFAULT 0 CHECK (read_only IN (0, 1)),
  created_at      TEXT NOT NULL CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
  expires_at      TEXT CHECK (expires_at GLOB '????-??-??T??:??:??.??????Z'),
  revoked_at      TEXT CHECK (revoked_at GLOB '????-??-??T??:??:??.??????Z')
) STRICT;

CREATE INDEX api_keys_by_organization ON api_keys (organization_id);

-- The base harness, harness_01933b5a000070008000000000000601, is built in and has no row: harness_id is NULL.
CREATE TABLE harnesses (
  id               INTEGER PRIMARY KEY,
  organization_id  INTEGER NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
  public_id        TEXT NOT NULL
                   CHECK (public_id GLOB 'harness_?*' AND length(public_id) <= 72
                          AND substr(public_id, 9) NOT GLOB '*[^0-9A-Za-z-]*'),
  canonical_id     TEXT GENERATED ALWAYS AS (lower(replace(public_id, '-', ''))) VIRTUAL
                   CHECK (canonical_id <> 'harness_01933b5a000070008000000000000601'),
  name             TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  display_name     TEXT,
  description      TEXT,
  system_prompt    TEXT NOT NULL DEFAULT '',
  default_model_id TEXT,
  tags             TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(tags) AND json_type(tags) = 'array'),
  capabilities     TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(capabilities) AND json_type(capabilities) = 'array'),
  status           TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'archived')),
  archived_at      TEXT CHECK (archived_at GLOB '????-??-??T??:??:??.??????Z'),
  created_at       TEXT NOT NULL CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
  updated_at       TEXT NOT NULL CHECK (updated_at GLOB '????-??-??T??:??:??.??????Z'),
  UNIQUE (organization_id, canonical_id),
  UNIQUE (organization_id, id)
) STRICT;

CREATE TABLE agents (
  id               INTEGER PRIMARY KEY CHECK (id > 0),  -- 0 stands for all agents in session_counts
  organization_id  INTEGER NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
  harness_id       INTEGER,
  public_id        TEXT NOT NULL
                   CHECK (public_id GLOB 'agent_?*' AND length(public_id) <= 70
                          AND substr(public_id, 7) NOT GLOB '*[^0-9A-Za-z-]*'),
  canonical_id     TEXT GENERATED ALWAYS AS (lower(replace(public_id, '-', ''))) VIRTUAL,
  name             TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  display_name     TEXT,
  description      TEXT,
  system_prompt    TEXT NOT NULL DEFAULT '',
  default_model_id TEXT,
  tags             TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(tags) AND json_type(tags) = 'array'),
  capabilities     TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(capabilities) AND json_type(capabilities) = 'array'),
  status           TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'archived')),
  archived_at      TEXT CHECK (archived_at GLOB '????-??-??T??:??:??.??????Z'),
  created_at       TEXT NOT NULL CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
  updated_at       TEXT NOT NULL CHECK (updated_at GLOB '????-??-??T??:??:??.??????Z'),
  UNIQUE (organization_id, canonical_id),
  UNIQUE (organization_id, id),
  FOREIGN KEY (organization_id, harness_id) REFERENCES harnesses (organization_id, id)
) STRICT;

-- A session's harness and agent belong to its organization. Both may be absent.
CREATE TABLE sessions (
  id              INTEGER PRIMARY KEY,  -- the order of storing, which decides between equal created_at
  organization_id INTEGER NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
  harness_id      INTEGER,
  agent_id        INTEGER,
  public_id       TEXT NOT NULL
                  CHECK (public_id GLOB 'session_?*' AND length(public_id) <= 72
                         AND substr(public_id, 9) NOT GLOB '*[^0-9A-Za-z-]*'),
  canonical_id    TEXT GENERATED ALWAYS AS (lower(replace(public_id, '-', ''))) VIRTUAL,
  title           TEXT,
  tags            TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(tags) AND json_type(tags) = 'array'),
  model_id        TEXT,
  capabilities    TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(capabilities) AND json_type(capabilities) = 'array'),
  status          TEXT NOT NULL DEFAULT 'started' CHECK (status IN ('started', 'active', 'idle')),
  created_at      TEXT NOT NULL CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
  updated_at      TEXT NOT NULL CHECK (updated_at GLOB '????-??-??T??:??:??.??????Z'),
  UNIQUE (organization_id, canonical_id),
  FOREIGN KEY (organization_id, harness_id) REFERENCES harnesses (organization_id, id),
  FOREIGN KEY (organization_id, agent_id) REFERENCES agents (organization_id, id)
) STRICT;

CREATE INDEX sessions_by_organization ON sessions (organization_id, created_at);  -- and id, the rowid
CREATE INDEX sessions_by_agent ON sessions (organization_id, agent_id, created_at);

-- The capability catalog. A dependency need not be in it: then it contributes nothing.
CREATE TABLE capabilities (
  id          TEXT PRIMARY KEY CHECK (id <> ''),
  name        TEXT NOT NULL,
  description TEXT NOT NULL DEFAULT '',
  category    TEXT,
  status      TEXT NOT NULL CHECK (status IN ('available', 'coming_soon', 'retired'))
) STRICT, WITHOUT ROWID;

CREATE TABLE capability_dependencies (
  capability_id TEXT NOT NULL REFERENCES capabilities (id) ON DELETE CASCADE,
  dependency_id TEXT NOT NULL,
  PRIMARY KEY (capability_id, dependency_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE capability_features (
  capability_id TEXT NOT NULL REFERENCES capabilities (id) ON DELETE CASCADE,
  feature       TEXT NOT NULL CHECK (feature <> ''),
  PRIMARY KEY (capability_id, feature)
) STRICT, WITHOUT ROWID;

-- One row: when the primary last reported that it is alive. A copy that has it holds everything stored before.
CREATE TABLE heartbeat (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  at TEXT NOT NULL CHECK (at GLOB '????-??-??T??:??:??.??????Z')
) STRICT;

-- Two derived tables. Each has a view that computes what it must contain, from which it is checked and rebuilt.

-- The features of each available capability, including those of everything it depends on.
-- Filled when a catalog is loaded.
CREATE TABLE provided_features (
  capability_id TEXT NOT NULL,
  feature       TEXT NOT NULL,
  PRIMARY KEY (capability_id, feature)
) STRICT, WITHOUT ROWID;

CREATE VIEW computed_provided_features (capability_id, feature) AS
WITH RECURSIVE provided (capability_id, by_capability_id) AS (
  SELECT id, id
  FROM capabilities
  WHERE status = 'available'
  UNION
  SELECT provided.capability_id, capabilities.id
  FROM provided
  JOIN capability_dependencies ON capability_dependencies.capability_id = provided.by_capability_id
  JOIN capabilities ON capabilities.id = capability_dependencies.dependency_id
  WHERE capabilities.status = 'available'
)
SELECT DISTINCT provided.capability_id, capability_features.feature
FROM provided
JOIN capability_features ON capability_features.capability_id = provided.by_capability_id;

-- How many sessions an organization (agent_id 0) or one of its agents has with a status in a period: all time ('',
-- precision 0), a year ('2026', 4), a month ('2026-02', 7) or a day ('2026-02-27', 10). Kept by triggers.
CREATE TABLE session_counts (
  organization_id INTEGER NOT NULL,
  agent_id        INTEGER NOT NULL,
  precision       INTEGER NOT NULL,
  period          TEXT NOT NULL,  -- the first `precision` characters of created_at
  status          TEXT NOT NULL,
  sessions        INTEGER NOT NULL,
  PRIMARY KEY (organization_id, agent_id, precision, period, status)
) STRICT, WITHOUT ROWID;

CREATE VIEW computed_session_counts (organization_id, agent_id, precision, period, status, sessions) AS
WITH days AS MATERIALIZED (
  SELECT organization_id, agent_id, substr(created_at, 1, 10) AS day, status, COUNT(*) AS sessions
  FROM sessions
  GROUP BY organization_id, agent_id, day, status
)
SELECT organization_id, scope.agent_id, precision, substr(day, 1, precision) AS period, status, SUM(sessions)
FROM (
  SELECT organization_id, 0 AS agent_id, day, status, sessions
  FROM days
  UNION ALL
  SELECT organization_id, agent_id, day, status, sessions
  FROM days
  WHERE agent_id IS NOT NULL
) AS scope
CROSS JOIN (SELECT 0 AS precision UNION ALL SELECT 4 UNION ALL SELECT 7 UNION ALL SELECT 10)
GROUP BY organization_id, scope.agent_id, precision, period, status;

-- Inserting into this view adds `change` to the counts of all periods that hold created_at.
CREATE VIEW session_count_changes (organization_id, agent_id, created_at, status, change) AS
SELECT NULL, NULL, NULL, NULL, NULL
WHERE 0;

CREATE TRIGGER session_count_changes_insert INSTEAD OF INSERT ON session_count_changes
BEGIN
  INSERT INTO session_counts (organization_id, agent_id, precision, period, status, sessions)
  SELECT NEW.organization_id, scope.agent_id, precision, substr(NEW.created_at, 1, precision), NEW.status, NEW.change
  FROM (SELECT 0 AS agent_id UNION ALL SELECT NEW.agent_id WHERE NEW.agent_id IS NOT NULL) AS scope
  CROSS JOIN (SELECT 0 AS precision UNION ALL SELECT 4 UNION ALL SELECT 7 UNION ALL SELECT 10)
  WHERE true
  ON CONFLICT DO UPDATE SET sessions = sessions + excluded.sessions;
END;

CREATE TRIGGER sessions_insert_count AFTER INSERT ON sessions
BEGIN
  INSERT INTO session_count_changes VALUES (NEW.organization_id, NEW.agent_id, NEW.created_at, NEW.status, 1);
END;

CREATE TRIGGER sessions_delete_count AFTER DELETE ON sessions
BEGIN
  INSERT INTO session_count_changes VALUES (OLD.organization_id, OLD.agent_id, OLD.created_at, OLD.status, -1);
END;

CREATE TRIGGER sessions_update_count AFTER UPDATE OF organization_id, agent_id, created_at, status ON sessions
WHEN (OLD.organization_id, OLD.agent_id, OLD.created_at, OLD.status)
  IS NOT (NEW.organization_id, NEW.agent_id, NEW.created_at, NEW.status)
BEGIN
  INSERT INTO session_count_changes VALUES (OLD.organization_id, OLD.agent_id, OLD.created_at, OLD.status, -1);
  INSERT INTO session_count_changes VALUES (NEW.organization_id, NEW.agent_id, NEW.created_at, NEW.status, 1);
END;

-- The data. The triggers above count the sessions.

INSERT INTO organizations (id, public_id, name)
SELECT id, public_id, name
FROM old_organizations;

INSERT INTO api_keys (id, organization_id, name, sha256, prefix, created_at, expires_at, revoked_at)
SELECT id, organization_id, name, sha256, prefix, created_at, expires_at, revoked_at
FROM old_api_keys;

-- A name has 1 to 200 characters now. A longer one is kept whole as the description.
INSERT INTO harnesses (id, organization_id, public_id, name, description, capabilities, created_at, updated_at)
SELECT
  old.id,
  old.organization_id,
  old.public_id,
  CASE WHEN length(old.name) > 0 THEN substr(old.name, 1, 200) ELSE old.public_id END,
  CASE WHEN length(old.name) > 200 THEN old.name END,
  (
    SELECT json_group_array(
      CASE
        WHEN config IS NULL THEN json_object('ref', capability_id)
        ELSE json_object('ref', capability_id, 'config', json(config))
      END
    )
    FROM (
      SELECT capability_id, config
      FROM harness_capabilities
      WHERE harness_id = old.id
      ORDER BY position
    )
  ),
  strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'),
  strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')
FROM old_harnesses AS old;

-- A name has 1 to 200 characters now. A longer one is kept whole as the description.
INSERT INTO agents (id, organization_id, public_id, name, description, capabilities, created_at, updated_at)
SELECT
  old.id,
  old.organization_id,
  old.public_id,
  CASE WHEN length(old.name) > 0 THEN substr(old.name, 1, 200) ELSE old.public_id END,
  CASE WHEN length(old.name) > 200 THEN old.name END,
  (
    SELECT json_group_array(
      CASE
        WHEN config IS NULL THEN json_object('ref', capability_id)
        ELSE json_object('ref', capability_id, 'config', json(config))
      END
    )
    FROM (
      SELECT capability_id, config
      FROM agent_capabilities
      WHERE agent_id = old.id
      ORDER BY position
    )
  ),
  strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'),
  strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')
FROM old_agents AS old;

INSERT INTO sessions
  (id, organization_id, harness_id, agent_id, public_id, title, tags, model_id, capabilities, status, created_at,
   updated_at)
SELECT
  old.id,
  old.organization_id,
  old.harness_id,
  old.agent_id,
  old.public_id,
  old.title,
  old.tags,
  old.model_id,
  (
    SELECT json_group_array(
      CASE
        WHEN config IS NULL THEN json_object('ref', capability_id)
        ELSE json_object('ref', capability_id, 'config', json(config))
      END
    )
    FROM (
      SELECT capability_id, config
      FROM session_capabilities
      WHERE session_id = old.id
      ORDER BY position
    )
  ),
  old.status,
  old.created_at,
  old.updated_at
FROM old_sessions AS old
ORDER BY old.id;

INSERT INTO capabilities (id, name, category, status)
SELECT id, name, category, status
FROM old_capabilities;

INSERT INTO capability_dependencies (capability_id, dependency_id)
SELECT capability_id, dependency_id
FROM old_capability_dependencies;

INSERT INTO capability_features (capability_id, feature)
SELECT capability_id, feature
FROM old_capability_features;

INSERT INTO provided_features (capability_id, feature)
SELECT capability_id, feature
FROM computed_provided_features;

INSERT INTO heartbeat (id, at)
SELECT id, at
FROM old_heartbeat;

DROP TABLE harness_capabilities;
DROP TABLE agent_capabilities;
DROP TABLE session_capabilities;
DROP TABLE old_heartbeat;
DROP TABLE old_capability_features;
DROP TABLE old_capability_dependencies;
DROP TABLE old_capabilities;
DROP TABLE old_sessions;
DROP TABLE old_agents;
DROP TABLE old_harnesses;
DROP TABLE old_api_keys;
DROP TABLE old_organizations;

PRAGMA user_version = 6;
