"""The settings."""

from pathlib import Path

import pytest

from everruns import config, create_app


def test_defaults() -> None:
    settings = config.load(environ={})
    assert settings == config.Config(Path("instance/everruns.db").absolute(), 5.0, False, 0.0, 16)


def test_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {
        "EVERRUNS_DATABASE": "15",
        "EVERRUNS_DATABASE_TIMEOUT": "0.5",
        "EVERRUNS_READ_ONLY": "1",
        "EVERRUNS_MAX_REPLICA_LAG": "60",
        "EVERRUNS_CACHED_RESPONSES": "7",
    }
    assert config.load(environ=environ) == config.Config(tmp_path / "15", 0.5, True, 60.0, 7)


def test_overrides_win(tmp_path: Path) -> None:
    overrides = {"DATABASE": tmp_path / "a.db", "CACHED_RESPONSES": 0}
    environ = {"EVERRUNS_DATABASE": "b.db", "EVERRUNS_CACHED_RESPONSES": "many"}
    settings = config.load(overrides, environ)
    assert (settings.database, settings.cached_responses) == (tmp_path / "a.db", 0)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("DATABASE", "", "a path"),
        ("DATABASE_TIMEOUT", "-1", "a number of seconds from 0 to 3600"),
        ("DATABASE_TIMEOUT", "3601", "a number of seconds from 0 to 3600"),
        ("DATABASE_TIMEOUT", "nan", "a number of seconds from 0 to 3600"),
        ("DATABASE_TIMEOUT", "1e3", "a number of seconds from 0 to 3600"),
        ("READ_ONLY", "yes", "0 or 1"),
        ("READ_ONLY", "2", "0 or 1"),
        ("READ_ONLY", "", "0 or 1"),
        ("MAX_REPLICA_LAG", "-1", "a number of seconds from 0 to 604800"),
        ("CACHED_RESPONSES", "-1", "a whole number from 0 to 10000"),
        ("CACHED_RESPONSES", "10001", "a whole number from 0 to 10000"),
        ("CACHED_RESPONSES", "1.5", "a whole number from 0 to 10000"),
        ("CACHED_RESPONSES", "many", "a whole number from 0 to 10000"),
        ("CACHED_RESPONSES", '""', "a whole number from 0 to 10000"),
    ],
)
def test_invalid_setting_is_named_with_its_rule(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, rule: str
) -> None:
    monkeypatch.setenv(f"EVERRUNS_{name}", value)
    with pytest.raises(SystemExit) as raised:
        create_app()
    assert str(raised.value) == f"EVERRUNS_{name} must be {rule}; got {value!r}"


def test_relative_path_needs_a_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "removed"
    directory.mkdir()
    monkeypatch.chdir(directory)
    directory.rmdir()
    with pytest.raises(SystemExit, match="must be an absolute path, as the current directory no longer exists"):
        config.load({"DATABASE": "everruns.db"})


def test_unknown_settings_are_named_with_the_similar_one() -> None:
    environ = {
        "EVERRUNS_DATABSE": "x",
        "EVERRUNS_DATABASE": "x",
        "EVERRUNS_XYZ": "x",
        "EVERRUNS_API_KEY": "x",
        "A": "x",
    }
    assert config.unknown_settings(environ) == [
        "EVERRUNS_DATABSE is not a setting; did you mean EVERRUNS_DATABASE?",
        "EVERRUNS_XYZ is not a setting",
    ]
