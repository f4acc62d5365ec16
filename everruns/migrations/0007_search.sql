-- From schema version 6 to 7: indexes for status, tags and text in titles.

CREATE INDEX sessions_by_status ON sessions (organization_id, status, created_at);
CREATE INDEX sessions_by_agent_and_status ON sessions (organization_id, agent_id, status, created_at);

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

INSERT INTO session_tags (organization_id, tag, session_id)
SELECT organization_id, tag, session_id
FROM computed_session_tags;

INSERT INTO session_titles (session_titles) VALUES ('rebuild');

PRAGMA user_version = 7;
