-- A small database of schema version 5, as `sqlite3 everruns.db .dump` prints it; both pragmas were added.
PRAGMA application_id = 1163285075;
PRAGMA user_version = 5;
BEGIN TRANSACTION;
CREATE TABLE agent_capabilities (
  agent_id      INTEGER NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
  position      INTEGER NOT NULL CHECK (position >= 0),
  capability_id TEXT NOT NULL CHECK (capability_id <> ''),
  config        TEXT CHECK (config IS NULL OR json_valid(config) AND json_type(config) = 'object'),
  PRIMARY KEY (agent_id, position)
) STRICT, WITHOUT ROWID;
INSERT INTO "agent_capabilities" VALUES(1,0,'skills',NULL);
INSERT INTO "agent_capabilities" VALUES(1,1,'chart','{"colors":["red",null],"deep":{"é":1.5}}');
CREATE TABLE agents (
  id              INTEGER PRIMARY KEY CHECK (id > 0),
  organization_id INTEGER NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
  public_id       TEXT NOT NULL
                  CHECK (public_id GLOB 'agent_?*' AND length(public_id) <= 70 AND instr(public_id, char(0)) = 0
                         AND substr(public_id, 7) NOT GLOB '*[^0-9A-Za-z-]*'),
  name            TEXT,
  UNIQUE (organization_id, id)
) STRICT;
INSERT INTO "agents" VALUES(1,1,'agent_019C-research','research');
INSERT INTO "agents" VALUES(2,1,'agent_unnamed',NULL);
INSERT INTO "agents" VALUES(3,1,'agent_emptyname','');
INSERT INTO "agents" VALUES(4,1,'agent_longname','ééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééthe end');
INSERT INTO "agents" VALUES(6,2,'agent_019C-research','of another organization');
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
INSERT INTO "api_keys" VALUES(1,1,'dashboard',X'D445F1B703EC7CFD9D35A7386D7CFD84730136C2628F587BEBFF3A47CD62C623','evr_aaaaaaaa','2026-01-01T00:00:00.000000Z',NULL,NULL);
INSERT INTO "api_keys" VALUES(2,1,'',X'162A00F48B0BFF3AA4818E1C1869F89F6A66C7557B867FD73AB63CB6A25F27A6','evr_bbbbbbbb','2026-01-02T00:00:00.000000Z',NULL,'2026-01-03T00:00:00.000000Z');
INSERT INTO "api_keys" VALUES(4,1,'expired',X'A9A2C90667B9A6BA7C6FA5FD89D1DA9F0647220434506B4A1A602DFA88B94F0C','evr_cccccccc','2026-01-02T00:00:00.000000Z','2026-01-04T00:00:00.000000Z',NULL);
INSERT INTO "api_keys" VALUES(5,1,'expires late',X'0F2B0F654182006D04FA1FC17B8C92E330B168BC955B98217CDE35DE9C1EF119','evr_dddddddd','2026-01-02T00:00:00.000000Z','9999-12-31T23:59:59.999999Z',NULL);
INSERT INTO "api_keys" VALUES(6,2,'other',X'C62F4EAC8FC842091BAA45FDE80CB61B3234AADF481F78DC91E7531E31C8DFB0','evr_eeeeeeee','2026-01-02T00:00:00.000000Z',NULL,NULL);
CREATE TABLE capabilities (
  id       TEXT PRIMARY KEY CHECK (id <> ''),
  name     TEXT NOT NULL,
  category TEXT,
  status   TEXT NOT NULL CHECK (status IN ('available', 'coming_soon', 'retired'))
) STRICT, WITHOUT ROWID;
INSERT INTO "capabilities" VALUES('chart','Chart','UI','available');
INSERT INTO "capabilities" VALUES('files','Files','Storage','available');
INSERT INTO "capabilities" VALUES('skills','Skills',NULL,'available');
INSERT INTO "capabilities" VALUES('voice','Voice','UI','coming_soon');
CREATE TABLE capability_dependencies (
  capability_id TEXT NOT NULL REFERENCES capabilities (id) ON DELETE CASCADE,
  dependency_id TEXT NOT NULL,  -- need not be in the catalog: then it contributes nothing
  PRIMARY KEY (capability_id, dependency_id)
) STRICT, WITHOUT ROWID;
INSERT INTO "capability_dependencies" VALUES('chart','skills');
INSERT INTO "capability_dependencies" VALUES('skills','elsewhere');
INSERT INTO "capability_dependencies" VALUES('skills','files');
INSERT INTO "capability_dependencies" VALUES('voice','files');
CREATE TABLE capability_features (
  capability_id TEXT NOT NULL REFERENCES capabilities (id) ON DELETE CASCADE,
  feature       TEXT NOT NULL CHECK (feature <> ''),
  PRIMARY KEY (capability_id, feature)
) STRICT, WITHOUT ROWID;
INSERT INTO "capability_features" VALUES('chart','chart');
INSERT INTO "capability_features" VALUES('chart','openui');
INSERT INTO "capability_features" VALUES('files','file_system');
INSERT INTO "capability_features" VALUES('voice','voice');
CREATE TABLE catalog (
  id       INTEGER PRIMARY KEY CHECK (id = 1),
  revision INTEGER NOT NULL DEFAULT (random())
) STRICT;
INSERT INTO "catalog" VALUES(1,1863393976768677768);
CREATE TABLE harness_capabilities (
  harness_id    INTEGER NOT NULL REFERENCES harnesses (id) ON DELETE CASCADE,
  position      INTEGER NOT NULL CHECK (position >= 0),
  capability_id TEXT NOT NULL CHECK (capability_id <> ''),
  config        TEXT CHECK (config IS NULL OR json_valid(config) AND json_type(config) = 'object'),
  PRIMARY KEY (harness_id, position)
) STRICT, WITHOUT ROWID;
INSERT INTO "harness_capabilities" VALUES(1,0,'files',NULL);
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
INSERT INTO "harnesses" VALUES(1,1,'harness_generic-1','generic');
CREATE TABLE heartbeat (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  at TEXT NOT NULL CHECK (at >= '0001' AND substr(at, 21, 6) NOT GLOB '*[^0-9]*'
       AND at IS strftime('%Y-%m-%dT%H:%M:%S.', substr(at, 1, 19), '+0 days') || substr(at, 21, 6) || 'Z')
) STRICT;
INSERT INTO "heartbeat" VALUES(1,'2026-03-01T00:00:00.000000Z');
CREATE TABLE organizations (
  id        INTEGER PRIMARY KEY,
  public_id TEXT NOT NULL
            CHECK (public_id GLOB 'org_?*' AND length(public_id) <= 68 AND instr(public_id, char(0)) = 0
                   AND substr(public_id, 5) NOT GLOB '*[^0-9A-Za-z-]*'),
  name      TEXT NOT NULL CHECK (name <> ''),
  revision  INTEGER NOT NULL DEFAULT (random())  -- another one after each change of what its sessions look like
) STRICT;
INSERT INTO "organizations" VALUES(1,'org_acme-0000','Acme',8303835391093516094);
INSERT INTO "organizations" VALUES(2,'org_other','Other ü',-8439917949345055952);
CREATE TABLE replaced_sessions (
  id              INTEGER PRIMARY KEY,
  organization_id INTEGER NOT NULL,
  agent_id        INTEGER NOT NULL,
  created_at      TEXT NOT NULL
) STRICT;
CREATE TABLE session_capabilities (
  session_id    INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
  position      INTEGER NOT NULL CHECK (position >= 0),
  capability_id TEXT NOT NULL CHECK (capability_id <> ''),
  config        TEXT CHECK (config IS NULL OR json_valid(config) AND json_type(config) = 'object'),
  PRIMARY KEY (session_id, position)
) STRICT, WITHOUT ROWID;
INSERT INTO "session_capabilities" VALUES(1,0,'voice',NULL);
INSERT INTO "session_capabilities" VALUES(1,1,'chart','{"z":1,"a":[1,2,{"b":null}]}');
INSERT INTO "session_capabilities" VALUES(7,0,'files',NULL);
CREATE TABLE session_spans (
  organization_id  INTEGER NOT NULL,
  agent_id         INTEGER NOT NULL,  -- 0: of all agents
  level            INTEGER NOT NULL CHECK (level IN (0, 1, 2)),
  until_created_at TEXT NOT NULL,
  until_id         INTEGER NOT NULL,
  sessions         INTEGER NOT NULL CHECK (sessions >= 0),
  PRIMARY KEY (organization_id, agent_id, level, until_created_at, until_id)
) STRICT, WITHOUT ROWID;
INSERT INTO "session_spans" VALUES(1,0,0,'9999-12-31T23:59:59.999999Z',9223372036854775807,7);
INSERT INTO "session_spans" VALUES(1,0,1,'9999-12-31T23:59:59.999999Z',9223372036854775807,7);
INSERT INTO "session_spans" VALUES(1,0,2,'9999-12-31T23:59:59.999999Z',9223372036854775807,7);
INSERT INTO "session_spans" VALUES(1,1,0,'9999-12-31T23:59:59.999999Z',9223372036854775807,2);
INSERT INTO "session_spans" VALUES(1,1,1,'9999-12-31T23:59:59.999999Z',9223372036854775807,2);
INSERT INTO "session_spans" VALUES(1,1,2,'9999-12-31T23:59:59.999999Z',9223372036854775807,2);
INSERT INTO "session_spans" VALUES(1,2,0,'9999-12-31T23:59:59.999999Z',9223372036854775807,1);
INSERT INTO "session_spans" VALUES(1,2,1,'9999-12-31T23:59:59.999999Z',9223372036854775807,1);
INSERT INTO "session_spans" VALUES(1,2,2,'9999-12-31T23:59:59.999999Z',9223372036854775807,1);
INSERT INTO "session_spans" VALUES(1,3,0,'9999-12-31T23:59:59.999999Z',9223372036854775807,1);
INSERT INTO "session_spans" VALUES(1,3,1,'9999-12-31T23:59:59.999999Z',9223372036854775807,1);
INSERT INTO "session_spans" VALUES(1,3,2,'9999-12-31T23:59:59.999999Z',9223372036854775807,1);
INSERT INTO "session_spans" VALUES(1,4,0,'9999-12-31T23:59:59.999999Z',9223372036854775807,2);
INSERT INTO "session_spans" VALUES(1,4,1,'9999-12-31T23:59:59.999999Z',9223372036854775807,2);
INSERT INTO "session_spans" VALUES(1,4,2,'9999-12-31T23:59:59.999999Z',9223372036854775807,2);
INSERT INTO "session_spans" VALUES(1,5,0,'9999-12-31T23:59:59.999999Z',9223372036854775807,1);
INSERT INTO "session_spans" VALUES(1,5,1,'9999-12-31T23:59:59.999999Z',9223372036854775807,1);
INSERT INTO "session_spans" VALUES(1,5,2,'9999-12-31T23:59:59.999999Z',9223372036854775807,1);
INSERT INTO "session_spans" VALUES(2,0,0,'9999-12-31T23:59:59.999999Z',9223372036854775807,1);
INSERT INTO "session_spans" VALUES(2,0,1,'9999-12-31T23:59:59.999999Z',9223372036854775807,1);
INSERT INTO "session_spans" VALUES(2,0,2,'9999-12-31T23:59:59.999999Z',9223372036854775807,1);
INSERT INTO "session_spans" VALUES(2,6,0,'9999-12-31T23:59:59.999999Z',9223372036854775807,1);
INSERT INTO "session_spans" VALUES(2,6,1,'9999-12-31T23:59:59.999999Z',9223372036854775807,1);
INSERT INTO "session_spans" VALUES(2,6,2,'9999-12-31T23:59:59.999999Z',9223372036854775807,1);
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
INSERT INTO "sessions" VALUES(1,1,1,1,'session_a-1','First of three at once','["ops","ü"]','model_1','idle','2026-02-27T13:13:53.000000Z','2026-02-28T00:00:00.000001Z');
INSERT INTO "sessions" VALUES(2,1,NULL,1,'session_A-2','Second of three at once','[]',NULL,'active','2026-02-27T13:13:53.000000Z','2026-02-27T13:13:53.000000Z');
INSERT INTO "sessions" VALUES(3,1,NULL,2,'session_a3',NULL,'[]',NULL,'started','2026-02-27T13:13:53.000000Z','2026-02-27T13:13:53.000000Z');
INSERT INTO "sessions" VALUES(4,1,NULL,3,'session_older','查询订单状态','[]',NULL,'started','2025-12-31T23:59:59.999999Z','2025-12-31T23:59:59.999999Z');
INSERT INTO "sessions" VALUES(5,1,NULL,4,'session_oldest',NULL,'[]',NULL,'started','0001-01-01T00:00:00.000000Z','0001-01-01T00:00:00.000000Z');
INSERT INTO "sessions" VALUES(6,1,NULL,4,'session_newest',NULL,'[]',NULL,'started','9999-12-31T23:59:59.999999Z','2026-02-27T13:13:53.000000Z');
INSERT INTO "sessions" VALUES(7,1,NULL,5,'session_orphan','Its agent was deleted','[]',NULL,'started','2026-01-01T00:00:00.000000Z','2026-01-01T00:00:00.000000Z');
INSERT INTO "sessions" VALUES(9,2,NULL,6,'session_a-1','of another organization','[]',NULL,'started','2026-02-27T13:13:53.000000Z','2026-02-27T13:13:53.000000Z');
CREATE UNIQUE INDEX organizations_by_public_id
  ON organizations (lower(replace(public_id, '-', '')));
CREATE INDEX api_keys_by_organization ON api_keys (organization_id);
CREATE UNIQUE INDEX agents_by_public_id
  ON agents (organization_id, lower(replace(public_id, '-', '')));
CREATE UNIQUE INDEX harnesses_by_public_id
  ON harnesses (organization_id, lower(replace(public_id, '-', '')));
CREATE UNIQUE INDEX sessions_by_public_id
  ON sessions (organization_id, lower(replace(public_id, '-', '')));
CREATE INDEX sessions_by_organization ON sessions (organization_id, created_at);
CREATE INDEX sessions_by_agent ON sessions (organization_id, agent_id, created_at);
CREATE TRIGGER sessions_insert_tags BEFORE INSERT ON sessions
WHEN EXISTS (SELECT 1 FROM json_each(NEW.tags) WHERE type <> 'text')
BEGIN SELECT RAISE(ABORT, 'tags must be a JSON array of strings'); END;
CREATE TRIGGER sessions_update_tags BEFORE UPDATE OF tags ON sessions
WHEN EXISTS (SELECT 1 FROM json_each(NEW.tags) WHERE type <> 'text')
BEGIN SELECT RAISE(ABORT, 'tags must be a JSON array of strings'); END;
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
COMMIT;
