-- The whole data model of Everruns Sessions. Every rule that the API promises is enforced here, so that no
-- program with the file open can store a row that would break an answer.
--
-- Integer keys inside, public ids outside. Two public ids are the same id when they differ only in dashes and
-- letter case; they are shown exactly as stored. Instants are text, UTC, always with microseconds and Z, so
-- that text order is time order; the checks on them rebuild the text from a real date and compare.

PRAGMA application_id = 1163285075;  -- "EVRS"
PRAGMA user_version = 5;

CREATE TABLE organizations (
  id        INTEGER PRIMARY KEY,
  public_id TEXT NOT NULL
            CHECK (public_id GLOB 'org_?*' AND length(public_id) <= 68 AND instr(public_id, char(0)) = 0
                   AND substr(public_id, 5) NOT GLOB '*[^0-9A-Za-z-]*'),
  name      TEXT NOT NULL CHECK (name <> ''),
  revision  INTEGER NOT NULL DEFAULT (random())  -- another one after each change of what its sessions look like
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
  id              INTEGER PRIMARY KEY CHECK (id > 0),
  organization_id INTEGER NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
  public_id       TEXT NOT NULL
                  CHECK (public_id GLOB 'agent_?*' AND length(public_id) <= 70 AND instr(public_id, char(0)) = 0
                         AND substr(public_id, 7) NOT GLOB '*[^0-9A-Za-z-]*'),
  name            TEXT,
  UNIQUE (organization_id, id)
) STRICT;

CREATE UNIQUE INDEX agents_by_public_id
  ON agents (organization_id, lower(replace(public_id, '-', '')));

-- The base harness, harness_01933b5a000070008000000000000601, is built in and has no capabilities: it has no row.
CREATE TABLE harnesses (
  id              INTEGER PRIMARY KEY CHECK (id > 0),
  organization_id INTEGER NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
  public_id       TEXT NOT NULL
                  CHECK (public_id GLOB 'harness_?*' AND length(public_id) <= 72 AND instr(public_id, char(0)) = 0
                         AND substr(public_id, 9) NOT GLOB '*[^0-9A-Za-z-]*'
                         AND lower(replace(public_id, '-', '')) <> 'harness_01933b5a000070008000000000000601'),
  name            TEXT,
  UNIQUE (organization_id, id)
) STRICT;

CREATE UNIQUE INDEX harnesses_by_public_id
  ON harnesses (organization_id, lower(replace(public_id, '-', '')));

CREATE TABLE sessions (
  -- Grows in the order of storing, which breaks ties of created_at. Up to 2^53, so that there is always a next one.
  id              INTEGER PRIMARY KEY CHECK (id BETWEEN 1 AND 9007199254740992),
  organization_id INTEGER NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
  harness_id      INTEGER,  -- NULL: the base harness
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
  -- A session's harness and agent belong to the session's organization.
  FOREIGN KEY (organization_id, harness_id) REFERENCES harnesses (organization_id, id),
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

-- What a harness, an agent or a session can do, in the given order. The capability need not be in the catalog.
CREATE TABLE harness_capabilities (
  harness_id    INTEGER NOT NULL REFERENCES harnesses (id) ON DELETE CASCADE,
  position      INTEGER NOT NULL CHECK (position >= 0),
  capability_id TEXT NOT NULL CHECK (capability_id <> ''),
  config        TEXT CHECK (config IS NULL OR json_valid(config) AND json_type(config) = 'object'),
  PRIMARY KEY (harness_id, position)
) STRICT, WITHOUT ROWID;

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

-- What is deleted takes along what it owns, also where foreign keys are off, as they are in SQLite's own shell: what
-- stayed would come to belong to whatever gets the same number next, a deleted organization's keys included.
CREATE TRIGGER organizations_delete_owned BEFORE DELETE ON organizations
BEGIN
  DELETE FROM api_keys WHERE organization_id = OLD.id;
  DELETE FROM sessions WHERE organization_id = OLD.id;
  DELETE FROM agents WHERE organization_id = OLD.id;
  DELETE FROM harnesses WHERE organization_id = OLD.id;
END;

CREATE TRIGGER harnesses_delete_owned BEFORE DELETE ON harnesses
BEGIN DELETE FROM harness_capabilities WHERE harness_id = OLD.id; END;

CREATE TRIGGER agents_delete_owned BEFORE DELETE ON agents
BEGIN DELETE FROM agent_capabilities WHERE agent_id = OLD.id; END;

CREATE TRIGGER sessions_delete_owned BEFORE DELETE ON sessions
BEGIN DELETE FROM session_capabilities WHERE session_id = OLD.id; END;

CREATE TRIGGER capabilities_delete_owned BEFORE DELETE ON capabilities
BEGIN
  DELETE FROM capability_dependencies WHERE capability_id = OLD.id;
  DELETE FROM capability_features WHERE capability_id = OLD.id;
END;

-- One row: another revision after each change of the catalog.
CREATE TABLE catalog (
  id       INTEGER PRIMARY KEY CHECK (id = 1),
  revision INTEGER NOT NULL DEFAULT (random())
) STRICT;

INSERT INTO catalog (id) VALUES (1);

-- One row: the last sign of life of the primary. A copy that shows it holds all that was stored before.
CREATE TABLE heartbeat (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  at TEXT NOT NULL CHECK (at >= '0001' AND substr(at, 21, 6) NOT GLOB '*[^0-9]*'
       AND at IS strftime('%Y-%m-%dT%H:%M:%S.', substr(at, 1, 19), '+0 days') || substr(at, 21, 6) || 'Z')
) STRICT;

-- Counted spans: totals and deep pages at the same cost at any size. The sessions of an organization, and once more
-- those of each agent, stand in the order of (created_at, id). A span counts a stretch of them: from where the span
-- before it ends up to and including (until_created_at, until_id); the last one ends at the end of time. A span of
-- level 0 counts at most 512 sessions, of each next level 64 times more, and ends where one of the level below ends.
CREATE TABLE session_spans (
  organization_id  INTEGER NOT NULL,
  agent_id         INTEGER NOT NULL,  -- 0: of all agents
  level            INTEGER NOT NULL CHECK (level IN (0, 1, 2)),
  until_created_at TEXT NOT NULL,
  until_id         INTEGER NOT NULL,
  sessions         INTEGER NOT NULL CHECK (sessions >= 0),
  PRIMARY KEY (organization_id, agent_id, level, until_created_at, until_id)
) STRICT, WITHOUT ROWID;

-- A row inserted into one of these two views counts a session in (change 1) or out (-1): in every span that holds
-- it, and in the one span of an agent and a level.
CREATE VIEW session_count (organization_id, agent_id, created_at, id, change) AS SELECT 0, 0, '', 0, 0;
CREATE VIEW session_span_count (organization_id, agent_id, level, created_at, id, change) AS SELECT 0, 0, 0, '', 0, 0;

CREATE TRIGGER session_count INSTEAD OF INSERT ON session_count
BEGIN
  INSERT INTO session_span_count (organization_id, agent_id, level, created_at, id, change)
  SELECT NEW.organization_id, agents.id, levels.level, NEW.created_at, NEW.id, NEW.change
  FROM (SELECT 0 AS level UNION ALL SELECT 1 UNION ALL SELECT 2) AS levels
  CROSS JOIN (SELECT 0 AS id UNION ALL SELECT NEW.agent_id) AS agents;
END;

CREATE TRIGGER session_span_count INSTEAD OF INSERT ON session_span_count
BEGIN
  INSERT INTO session_spans (organization_id, agent_id, level, until_created_at, until_id, sessions)
  SELECT NEW.organization_id, NEW.agent_id, NEW.level, '9999-12-31T23:59:59.999999Z', 9223372036854775807, 0
  WHERE NOT EXISTS (
    SELECT 1
    FROM session_spans
    WHERE organization_id = NEW.organization_id
      AND agent_id = NEW.agent_id
      AND level = NEW.level
  );
  UPDATE session_spans
  SET sessions = sessions + NEW.change
  WHERE organization_id = NEW.organization_id
    AND agent_id = NEW.agent_id
    AND level = NEW.level
    AND (until_created_at, until_id) = (
      SELECT until_created_at, until_id
      FROM session_spans
      WHERE organization_id = NEW.organization_id
        AND agent_id = NEW.agent_id
        AND level = NEW.level
        AND (until_created_at, until_id) >= (NEW.created_at, NEW.id)
      ORDER BY until_created_at, until_id
      LIMIT 1
    );
END;

-- A span that is too large keeps its newest 256 sessions; the older ones get a span of their own.
CREATE TRIGGER session_spans_split_organization AFTER UPDATE OF sessions ON session_spans
WHEN NEW.level = 0 AND NEW.agent_id = 0 AND NEW.sessions > 512
BEGIN
  INSERT INTO session_spans (organization_id, agent_id, level, until_created_at, until_id, sessions)
  SELECT NEW.organization_id, NEW.agent_id, NEW.level, created_at, id, NEW.sessions - 256
  FROM (
    SELECT created_at, id
    FROM sessions
    WHERE organization_id = NEW.organization_id
      AND created_at = NEW.until_created_at
      AND id <= NEW.until_id
    UNION ALL
    SELECT created_at, id
    FROM sessions
    WHERE organization_id = NEW.organization_id
      AND created_at < NEW.until_created_at
    ORDER BY created_at DESC, id DESC
    LIMIT 1 OFFSET 256
  );
  UPDATE session_spans
  SET sessions = 256
  WHERE organization_id = NEW.organization_id
    AND agent_id = NEW.agent_id
    AND level = NEW.level
    AND until_created_at = NEW.until_created_at
    AND until_id = NEW.until_id;
END;

CREATE TRIGGER session_spans_split_agent AFTER UPDATE OF sessions ON session_spans
WHEN NEW.level = 0 AND NEW.agent_id <> 0 AND NEW.sessions > 512
BEGIN
  INSERT INTO session_spans (organization_id, agent_id, level, until_created_at, until_id, sessions)
  SELECT NEW.organization_id, NEW.agent_id, NEW.level, created_at, id, NEW.sessions - 256
  FROM (
    SELECT created_at, id
    FROM sessions
    WHERE organization_id = NEW.organization_id
      AND agent_id = NEW.agent_id
      AND created_at = NEW.until_created_at
      AND id <= NEW.until_id
    UNION ALL
    SELECT created_at, id
    FROM sessions
    WHERE organization_id = NEW.organization_id
      AND agent_id = NEW.agent_id
      AND created_at < NEW.until_created_at
    ORDER BY created_at DESC, id DESC
    LIMIT 1 OFFSET 256
  );
  UPDATE session_spans
  SET sessions = 256
  WHERE organization_id = NEW.organization_id
    AND agent_id = NEW.agent_id
    AND level = NEW.level
    AND until_created_at = NEW.until_created_at
    AND until_id = NEW.until_id;
END;

-- On the levels above, the newest half is made of spans of the level below.
CREATE TRIGGER session_spans_split_above AFTER UPDATE OF sessions ON session_spans
WHEN NEW.level > 0 AND NEW.sessions > 512 << 6 * NEW.level
BEGIN
  INSERT INTO session_spans (organization_id, agent_id, level, until_created_at, until_id, sessions)
  SELECT NEW.organization_id, NEW.agent_id, NEW.level, until_created_at, until_id, NEW.sessions - newer
  FROM (
    SELECT until_created_at, until_id, SUM(sessions) OVER newest_first - sessions AS newer
    FROM session_spans
    WHERE organization_id = NEW.organization_id
      AND agent_id = NEW.agent_id
      AND level = NEW.level - 1
      AND (until_created_at, until_id) <= (NEW.until_created_at, NEW.until_id)
    WINDOW newest_first AS (ORDER BY until_created_at DESC, until_id DESC ROWS UNBOUNDED PRECEDING)
  )
  WHERE newer >= 128 << 6 * NEW.level
  LIMIT 1;
  UPDATE session_spans
  SET sessions = NEW.sessions - (
    SELECT sessions
    FROM session_spans
    WHERE organization_id = NEW.organization_id
      AND agent_id = NEW.agent_id
      AND level = NEW.level
      AND (until_created_at, until_id) < (NEW.until_created_at, NEW.until_id)
    ORDER BY until_created_at DESC, until_id DESC
    LIMIT 1
  )
  WHERE organization_id = NEW.organization_id
    AND agent_id = NEW.agent_id
    AND level = NEW.level
    AND until_created_at = NEW.until_created_at
    AND until_id = NEW.until_id;
END;

-- A span that has become small joins the next newer one, if that has room and no span above ends between them.
CREATE TRIGGER session_spans_join AFTER UPDATE OF sessions ON session_spans
WHEN NEW.sessions < OLD.sessions AND NEW.sessions < 64 << 6 * NEW.level
BEGIN
  UPDATE session_spans
  SET sessions = sessions + NEW.sessions
  WHERE organization_id = NEW.organization_id
    AND agent_id = NEW.agent_id
    AND level = NEW.level
    AND (until_created_at, until_id) = (
      SELECT until_created_at, until_id
      FROM session_spans
      WHERE organization_id = NEW.organization_id
        AND agent_id = NEW.agent_id
        AND level = NEW.level
        AND (until_created_at, until_id) > (NEW.until_created_at, NEW.until_id)
      ORDER BY until_created_at, until_id
      LIMIT 1
    )
    AND sessions + NEW.sessions <= 512 << 6 * NEW.level
    AND NOT EXISTS (
      SELECT 1
      FROM session_spans
      WHERE organization_id = NEW.organization_id
        AND agent_id = NEW.agent_id
        AND level = NEW.level + 1
        AND until_created_at = NEW.until_created_at
        AND until_id = NEW.until_id
    );
  DELETE FROM session_spans
  WHERE changes() = 1
    AND organization_id = NEW.organization_id
    AND agent_id = NEW.agent_id
    AND level = NEW.level
    AND until_created_at = NEW.until_created_at
    AND until_id = NEW.until_id;
END;

-- INSERT OR REPLACE and UPDATE OR REPLACE remove the sessions in their way without any DELETE trigger: those are
-- noted here before, and counted out after.
CREATE TABLE replaced_sessions (
  id              INTEGER PRIMARY KEY,
  organization_id INTEGER NOT NULL,
  agent_id        INTEGER NOT NULL,
  created_at      TEXT NOT NULL
) STRICT;

CREATE TRIGGER sessions_insert_note BEFORE INSERT ON sessions
BEGIN
  DELETE FROM replaced_sessions;
  INSERT INTO replaced_sessions (id, organization_id, agent_id, created_at)
  SELECT id, organization_id, agent_id, created_at
  FROM sessions
  WHERE id = NEW.id
  UNION
  SELECT id, organization_id, agent_id, created_at
  FROM sessions
  WHERE organization_id = NEW.organization_id
    AND lower(replace(public_id, '-', '')) = lower(replace(NEW.public_id, '-', ''));
END;

-- Not UPDATE OF these: `SET rowid` changes id without naming it.
CREATE TRIGGER sessions_update_note BEFORE UPDATE ON sessions
WHEN (OLD.id, OLD.organization_id, OLD.agent_id, OLD.public_id, OLD.created_at)
  <> (NEW.id, NEW.organization_id, NEW.agent_id, NEW.public_id, NEW.created_at)
BEGIN
  DELETE FROM replaced_sessions;
  INSERT INTO replaced_sessions (id, organization_id, agent_id, created_at)
  SELECT id, organization_id, agent_id, created_at
  FROM sessions
  WHERE id = NEW.id
    AND id <> OLD.id
  UNION
  SELECT id, organization_id, agent_id, created_at
  FROM sessions
  WHERE organization_id = NEW.organization_id
    AND lower(replace(public_id, '-', '')) = lower(replace(NEW.public_id, '-', ''))
    AND id <> OLD.id;
END;

CREATE TRIGGER sessions_insert_count AFTER INSERT ON sessions
BEGIN
  INSERT INTO session_count (organization_id, agent_id, created_at, id, change)
  SELECT organization_id, agent_id, created_at, id, -1
  FROM replaced_sessions;
  INSERT INTO session_count (organization_id, agent_id, created_at, id, change)
  VALUES (NEW.organization_id, NEW.agent_id, NEW.created_at, NEW.id, 1);
END;

CREATE TRIGGER sessions_update_count AFTER UPDATE ON sessions
WHEN (OLD.id, OLD.organization_id, OLD.agent_id, OLD.public_id, OLD.created_at)
  <> (NEW.id, NEW.organization_id, NEW.agent_id, NEW.public_id, NEW.created_at)
BEGIN
  INSERT INTO session_count (organization_id, agent_id, created_at, id, change)
  SELECT organization_id, agent_id, created_at, id, -1
  FROM replaced_sessions;
  INSERT INTO session_count (organization_id, agent_id, created_at, id, change)
  VALUES (OLD.organization_id, OLD.agent_id, OLD.created_at, OLD.id, -1);
  INSERT INTO session_count (organization_id, agent_id, created_at, id, change)
  VALUES (NEW.organization_id, NEW.agent_id, NEW.created_at, NEW.id, 1);
END;

CREATE TRIGGER sessions_delete_count AFTER DELETE ON sessions
BEGIN
  DELETE FROM replaced_sessions
  WHERE id = OLD.id;
  INSERT INTO session_count (organization_id, agent_id, created_at, id, change)
  VALUES (OLD.organization_id, OLD.agent_id, OLD.created_at, OLD.id, -1);
END;

CREATE TRIGGER agents_delete_count AFTER DELETE ON agents
BEGIN
  DELETE FROM session_spans
  WHERE organization_id = OLD.organization_id
    AND agent_id = OLD.id
    AND sessions = 0;
END;

CREATE TRIGGER organizations_delete_count AFTER DELETE ON organizations
BEGIN
  DELETE FROM session_spans
  WHERE organization_id = OLD.id
    AND sessions = 0;
END;

-- Whatever changes an answer changes the revision: of the organization, or of the catalog for all.
CREATE TRIGGER organizations_update_revision AFTER UPDATE ON organizations
WHEN (OLD.id, OLD.public_id) <> (NEW.id, NEW.public_id)
BEGIN UPDATE organizations SET revision = random() WHERE id = NEW.id; END;

CREATE TRIGGER sessions_insert_revision AFTER INSERT ON sessions
BEGIN
  UPDATE organizations
  SET revision = random()
  WHERE id = NEW.organization_id
     OR id IN (SELECT organization_id FROM replaced_sessions);
END;

CREATE TRIGGER sessions_update_revision AFTER UPDATE ON sessions
BEGIN
  UPDATE organizations
  SET revision = random()
  WHERE id IN (OLD.organization_id, NEW.organization_id)
     OR id IN (SELECT organization_id FROM replaced_sessions);
END;

CREATE TRIGGER sessions_delete_revision AFTER DELETE ON sessions
BEGIN UPDATE organizations SET revision = random() WHERE id = OLD.organization_id; END;

CREATE TRIGGER harnesses_insert_revision AFTER INSERT ON harnesses
BEGIN UPDATE organizations SET revision = random() WHERE id = NEW.organization_id; END;

CREATE TRIGGER harnesses_update_revision AFTER UPDATE ON harnesses
BEGIN UPDATE organizations SET revision = random() WHERE id IN (OLD.organization_id, NEW.organization_id); END;

CREATE TRIGGER harnesses_delete_revision AFTER DELETE ON harnesses
BEGIN UPDATE organizations SET revision = random() WHERE id = OLD.organization_id; END;

CREATE TRIGGER harness_capabilities_insert_revision AFTER INSERT ON harness_capabilities
BEGIN
  UPDATE organizations
  SET revision = random()
  WHERE id IN (SELECT organization_id FROM harnesses WHERE id = NEW.harness_id);
END;

CREATE TRIGGER harness_capabilities_update_revision AFTER UPDATE ON harness_capabilities
BEGIN
  UPDATE organizations
  SET revision = random()
  WHERE id IN (SELECT organization_id FROM harnesses WHERE id IN (OLD.harness_id, NEW.harness_id));
END;

CREATE TRIGGER harness_capabilities_delete_revision AFTER DELETE ON harness_capabilities
BEGIN
  UPDATE organizations
  SET revision = random()
  WHERE id IN (SELECT organization_id FROM harnesses WHERE id = OLD.harness_id);
END;

CREATE TRIGGER agents_insert_revision AFTER INSERT ON agents
BEGIN UPDATE organizations SET revision = random() WHERE id = NEW.organization_id; END;

CREATE TRIGGER agents_update_revision AFTER UPDATE ON agents
BEGIN UPDATE organizations SET revision = random() WHERE id IN (OLD.organization_id, NEW.organization_id); END;

CREATE TRIGGER agents_delete_revision AFTER DELETE ON agents
BEGIN UPDATE organizations SET revision = random() WHERE id = OLD.organization_id; END;

CREATE TRIGGER agent_capabilities_insert_revision AFTER INSERT ON agent_capabilities
BEGIN
  UPDATE organizations
  SET revision = random()
  WHERE id IN (SELECT organization_id FROM agents WHERE id = NEW.agent_id);
END;

CREATE TRIGGER agent_capabilities_update_revision AFTER UPDATE ON agent_capabilities
BEGIN
  UPDATE organizations
  SET revision = random()
  WHERE id IN (SELECT organization_id FROM agents WHERE id IN (OLD.agent_id, NEW.agent_id));
END;

CREATE TRIGGER agent_capabilities_delete_revision AFTER DELETE ON agent_capabilities
BEGIN
  UPDATE organizations
  SET revision = random()
  WHERE id IN (SELECT organization_id FROM agents WHERE id = OLD.agent_id);
END;

CREATE TRIGGER session_capabilities_insert_revision AFTER INSERT ON session_capabilities
BEGIN
  UPDATE organizations
  SET revision = random()
  WHERE id IN (SELECT organization_id FROM sessions WHERE id = NEW.session_id);
END;

CREATE TRIGGER session_capabilities_update_revision AFTER UPDATE ON session_capabilities
BEGIN
  UPDATE organizations
  SET revision = random()
  WHERE id IN (SELECT organization_id FROM sessions WHERE id IN (OLD.session_id, NEW.session_id));
END;

CREATE TRIGGER session_capabilities_delete_revision AFTER DELETE ON session_capabilities
BEGIN
  UPDATE organizations
  SET revision = random()
  WHERE id IN (SELECT organization_id FROM sessions WHERE id = OLD.session_id);
END;

CREATE TRIGGER capabilities_insert_revision AFTER INSERT ON capabilities
BEGIN UPDATE catalog SET revision = random(); END;

CREATE TRIGGER capabilities_update_revision AFTER UPDATE ON capabilities
BEGIN UPDATE catalog SET revision = random(); END;

CREATE TRIGGER capabilities_delete_revision AFTER DELETE ON capabilities
BEGIN UPDATE catalog SET revision = random(); END;

CREATE TRIGGER capability_dependencies_insert_revision AFTER INSERT ON capability_dependencies
BEGIN UPDATE catalog SET revision = random(); END;

CREATE TRIGGER capability_dependencies_update_revision AFTER UPDATE ON capability_dependencies
BEGIN UPDATE catalog SET revision = random(); END;

CREATE TRIGGER capability_dependencies_delete_revision AFTER DELETE ON capability_dependencies
BEGIN UPDATE catalog SET revision = random(); END;

CREATE TRIGGER capability_features_insert_revision AFTER INSERT ON capability_features
BEGIN UPDATE catalog SET revision = random(); END;

CREATE TRIGGER capability_features_update_revision AFTER UPDATE ON capability_features
BEGIN UPDATE catalog SET revision = random(); END;

CREATE TRIGGER capability_features_delete_revision AFTER DELETE ON capability_features
BEGIN UPDATE catalog SET revision = random(); END;

CREATE TRIGGER catalog_stays BEFORE DELETE ON catalog
BEGIN SELECT RAISE(ABORT, 'the one row of catalog must stay'); END;
