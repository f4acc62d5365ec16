-- The data model. Integer keys inside, public ids outside: two of these are the same when they differ in dashes and
-- letter case only, as canonical_id says. Timestamps are UTC text with microseconds, so that text order is time order.
-- tags and capabilities are JSON arrays, served as they are stored.

PRAGMA application_id = 1163285075;  -- "EVRS"
PRAGMA user_version = 8;

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
CREATE INDEX sessions_by_status ON sessions (organization_id, status, created_at);
CREATE INDEX sessions_by_agent_and_status ON sessions (organization_id, agent_id, status, created_at);

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

-- Derived tables. Each but the index of titles has a view that computes its rows, to be checked and rebuilt from.
-- First, the features of each available capability and of all it depends on, filled when a catalog is loaded.
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

-- One row: a new version after each change of provided_features, so that what was computed from it can be kept.
CREATE TABLE catalog_version (
  id      INTEGER PRIMARY KEY CHECK (id = 1),
  version INTEGER NOT NULL
) STRICT;

INSERT INTO catalog_version (id, version) VALUES (1, random());

CREATE TRIGGER provided_features_insert AFTER INSERT ON provided_features
BEGIN
  UPDATE catalog_version SET version = random();
END;

CREATE TRIGGER provided_features_delete AFTER DELETE ON provided_features
BEGIN
  UPDATE catalog_version SET version = random();
END;

CREATE TRIGGER provided_features_update AFTER UPDATE ON provided_features
BEGIN
  UPDATE catalog_version SET version = random();
END;

-- Sessions of an organization (agent_id 0) or an agent with a status in a period: all time ('', precision 0), a year
-- ('2026', 4), a month ('2026-02', 7) or a day ('2026-02-27', 10). Kept by triggers.
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

-- Which sessions have a tag.
CREATE TABLE session_tags (
  organization_id INTEGER NOT NULL,
  tag             TEXT NOT NULL,
  session_id      INTEGER NOT NULL,
  PRIMARY KEY (organization_id, tag, session_id)
) STRICT, WITHOUT ROWID;

CREATE VIEW computed_session_tags (organization_id, tag, session_id) AS
SELECT DISTINCT sessions.organization_id, tags.value, sessions.id
FROM sessions
JOIN json_each(sessions.tags) AS tags
WHERE tags.type = 'text';

CREATE TRIGGER sessions_insert_tags AFTER INSERT ON sessions
BEGIN
  INSERT OR IGNORE INTO session_tags (organization_id, tag, session_id)
  SELECT NEW.organization_id, value, NEW.id
  FROM json_each(NEW.tags)
  WHERE type = 'text';
END;

CREATE TRIGGER sessions_delete_tags AFTER DELETE ON sessions
BEGIN
  DELETE FROM session_tags
  WHERE organization_id = OLD.organization_id
    AND tag IN (SELECT value FROM json_each(OLD.tags))
    AND session_id = OLD.id;
END;

CREATE TRIGGER sessions_update_tags AFTER UPDATE OF id, organization_id, tags ON sessions
WHEN (OLD.id, OLD.organization_id, OLD.tags) <> (NEW.id, NEW.organization_id, NEW.tags)
BEGIN
  DELETE FROM session_tags
  WHERE organization_id = OLD.organization_id
    AND tag IN (SELECT value FROM json_each(OLD.tags))
    AND session_id = OLD.id;
  INSERT OR IGNORE INTO session_tags (organization_id, tag, session_id)
  SELECT NEW.organization_id, value, NEW.id
  FROM json_each(NEW.tags)
  WHERE type = 'text';
END;

-- A full-text index of titles by groups of three characters, in any letter case. The titles stay in sessions.
CREATE VIRTUAL TABLE session_titles USING fts5 (title, content = 'sessions', content_rowid = 'id', tokenize = 'trigram');

CREATE TRIGGER sessions_insert_title AFTER INSERT ON sessions
BEGIN
  INSERT INTO session_titles (rowid, title) VALUES (NEW.id, NEW.title);
END;

CREATE TRIGGER sessions_delete_title AFTER DELETE ON sessions
BEGIN
  INSERT INTO session_titles (session_titles, rowid, title) VALUES ('delete', OLD.id, OLD.title);
END;

CREATE TRIGGER sessions_update_title AFTER UPDATE OF id, title ON sessions
WHEN (OLD.id, OLD.title) IS NOT (NEW.id, NEW.title)
BEGIN
  INSERT INTO session_titles (session_titles, rowid, title) VALUES ('delete', OLD.id, OLD.title);
  INSERT INTO session_titles (rowid, title) VALUES (NEW.id, NEW.title);
END;
