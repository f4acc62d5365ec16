-- From schema version 7 to 8: a version of the catalog, so that features can be kept.

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

PRAGMA user_version = 8;
