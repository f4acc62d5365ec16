"""Everruns Sessions: which sessions an organization has. The application factory."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flask import Flask

__version__ = "0.2.0"


def create_app(overrides: Mapping[str, Any] | None = None) -> "Flask":
    """Return the WSGI application, configured by `EVERRUNS_*` environment variables; `overrides` win.

    >>> app = create_app({"DATABASE": "instance/everruns.db"})
    """
    from flask import Flask  # here, because the commands do without it and start sooner

    from everruns import config
    from everruns.api import PublicIdConverter, api, bodies, cache, errors
    from everruns.store.db import Database

    settings = config.load(overrides)
    app = Flask(__name__, static_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.config["MAX_CONTENT_LENGTH"] = bodies.MAX_BODY_BYTES + 1  # a chunked body is cut off there without an error
    app.url_map.converters["id"] = PublicIdConverter
    app.url_map.merge_slashes = False  # a redirect is not part of the contract
    database = Database(settings.database, settings.database_timeout, settings.read_only, settings.max_replica_lag)
    app.extensions["everruns"] = database
    app.extensions["everruns.cache"] = cache.Cache(0 if settings.read_only else settings.cached_responses)
    for warning in config.unknown_settings():
        app.logger.warning(warning)
    errors.init_app(app)
    app.register_blueprint(api)
    return app
