-- The whole data model of Everruns Sessions. Every rule that the API promises is enforced here, so that no
-- program with the file open can store a row that would break an answer.
--
-- Integer keys inside, public ids outside. Two public ids are the same id when they differ only in dashes and
-- letter case; they are shown exactly as stored. Instants are text, UTC, always with microseconds and Z, so
-- that text order is time order; the checks on them rebuild the text from a real date and compare.

PRAGMA application_id = 1163285075;  -- "EVRS"
PRAGMA user_version = 1;

CREATE TABLE organizations (
  id        INTEGER PRIMARY KEY,
  public_id TEXT NOT NULL
            CHECK (public_id GLOB 'org_?*' AND length(public_id) <= 68 AND instr(public_id, char(0)) = 0
                   AND substr(public_id, 5) NOT GLOB '*[^0-9A-Za-z-]*'),
  name      TEXT NOT NULL CHECK (name <> '')
) STRICT;

CREATE UNIQUE INDEX organizations_by_public_id
  ON organizations (lower(replace(public_id, '-', '')));

CREATE TABLE api_keys (
  id              INTEGER PRIMARY KEY,
  organization_id INTEGER NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
  name            TEXT NOT NULL,
  sha256          BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),
  prefix          TEXT NOT NULL CHECK (length(prefix) = 12),  -- the key's first characters, to recognize it
  created_at      TEXT NOT NULL CHECK (created_at >= '0001' AND substr(created_at, 21, 6) NOT GLOB '*[^0-9]*'
                    AND created_at IS strftime('%Y-%m-%dT%H:%M:%S.', substr(created_at, 1, 19), '+0 days') || substr(created_at, 21, 6) || 'Z'),
  expires_at      TEXT CHECK (expires_at IS NULL OR expires_at >= '0001' AND substr(expires_at, 21, 6) NOT GLOB '*[^0-9]*'
                    AND expires_at IS strftime('%Y-%m-%dT%H:%M:%S.', substr(expires_at, 1, 19), '+0 days') || substr(expires_at, 21, 6) || 'Z'),
  revoked_at      TEXT CHECK (revoked_at IS NULL OR revoked_at >= '0001' AND substr(revoked_at, 21, 6) NOT GLOB '*[^0-9]*'
                    AND revoked_at IS strftime('%Y-%m-%dT%H:%M:%S.', substr(revoked_at, 1, 19), '+0 days') || substr(revoked_at, 21, 6) || 'Z')
) STRICT;

CREATE INDEX api_keys_by_organization ON api_keys (organization_id);

CREATE TABLE agents (
  id              INTEGER PRIMARY KEY,
  organization_id INTEGER NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
  public_id       TEXT NOT NULL
                  CHECK (public_id GLOB 'agent_?*' AND length(public_id) <= 70 AND instr(public_id, char(0)) = 0
                         AND substr(public_id, 7) NOT GLOB '*[^0-9A-Za-z-]*'),
  name            TEXT,
  UNIQUE (organization_id, id)
) STRICT;

CREATE UNIQUE INDEX agents_by_public_id
  ON agents (organization_id, lower(replace(public_id, '-', '')));

CREATE TABLE sessions (
  id              INTEGER PRIMARY KEY,  -- grows in the order of storing, which breaks ties of created_at
  organization_id INTEGER NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
  agent_id        INTEGER NOT NULL,
  public_id       TEXT NOT NULL
                  CHECK (public_id GLOB 'session_?*' AND length(public_id) <= 72 AND instr(public_id, char(0)) = 0
                         AND substr(public_id, 9) NOT GLOB '*[^0-9A-Za-z-]*'),
  title           TEXT,
  tags            TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(tags) AND json_type(tags) = 'array'),
  model_id        TEXT,
  status          TEXT NOT NULL DEFAULT 'started' CHECK (status IN ('started', 'active', 'idle')),
  created_at      TEXT NOT NULL CHECK (created_at >= '0001' AND substr(created_at, 21, 6) NOT GLOB '*[^0-9]*'
                    AND created_at IS strftime('%Y-%m-%dT%H:%M:%S.', substr(created_at, 1, 19), '+0 days') || substr(created_at, 21, 6) || 'Z'),
  updated_at      TEXT NOT NULL CHECK (updated_at >= '0001' AND substr(updated_at, 21, 6) NOT GLOB '*[^0-9]*'
                    AND updated_at IS strftime('%Y-%m-%dT%H:%M:%S.', substr(updated_at, 1, 19), '+0 days') || substr(updated_at, 21, 6) || 'Z'),
  -- A session's agent belongs to the session's organization.
  FOREIGN KEY (organization_id, agent_id) REFERENCES agents (organization_id, id)
) STRICT;

CREATE UNIQUE INDEX sessions_by_public_id
  ON sessions (organization_id, lower(replace(public_id, '-', '')));
CREATE INDEX sessions_by_organization ON sessions (organization_id, created_at);  -- and id, the rowid
CREATE INDEX sessions_by_agent ON sessions (organization_id, agent_id, created_at);

-- A CHECK cannot look inside an array.
CREATE TRIGGER sessions_insert_tags BEFORE INSERT ON sessions
WHEN EXISTS (SELECT 1 FROM json_each(NEW.tags) WHERE type <> 'text')
BEGIN SELECT RAISE(ABORT, 'tags must be a JSON array of strings'); END;

CREATE TRIGGER sessions_update_tags BEFORE UPDATE OF tags ON sessions
WHEN EXISTS (SELECT 1 FROM json_each(NEW.tags) WHERE type <> 'text')
BEGIN SELECT RAISE(ABORT, 'tags must be a JSON array of strings'); END;

-- What an agent or a session can do, in the given order. The capability need not be in the catalog.
CREATE TABLE agent_capabilities (
  agent_id      INTEGER NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
  position      INTEGER NOT NULL CHECK (position >= 0),
  capability_id TEXT NOT NULL CHECK (capability_id <> ''),
  config        TEXT CHECK (config IS NULL OR json_valid(config) AND json_type(config) = 'object'),
  PRIMARY KEY (agent_id, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE session_capabilities (
  session_id    INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
  position      INTEGER NOT NULL CHECK (position >= 0),
  capability_id TEXT NOT NULL CHECK (capability_id <> ''),
  config        TEXT CHECK (config IS NULL OR json_valid(config) AND json_type(config) = 'object'),
  PRIMARY KEY (session_id, position)
) STRICT, WITHOUT ROWID;

-- The catalog: which capabilities there are, what each needs, which features each contributes.
CREATE TABLE capabilities (
  id       TEXT PRIMARY KEY CHECK (id <> ''),
  name     TEXT NOT NULL,
  category TEXT,
  status   TEXT NOT NULL CHECK (status IN ('available', 'coming_soon', 'retired'))
) STRICT, WITHOUT ROWID;

CREATE TABLE capability_dependencies (
  capability_id TEXT NOT NULL REFERENCES capabilities (id) ON DELETE CASCADE,
  dependency_id TEXT NOT NULL,  -- need not be in the catalog: then it contributes nothing
  PRIMARY KEY (capability_id, dependency_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE capability_features (
  capability_id TEXT NOT NULL REFERENCES capabilities (id) ON DELETE CASCADE,
  feature       TEXT NOT NULL CHECK (feature <> ''),
  PRIMARY KEY (capability_id, feature)
) STRICT, WITHOUT ROWID;
