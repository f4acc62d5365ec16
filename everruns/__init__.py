"""Everruns Sessions: which sessions does my organization have? The application factory."""

from typing import Any

from flask import Flask

__version__ = "0.1.0"


def create_app(config: dict[str, Any] | None = None) -> Flask:
    """The WSGI application, configured by `EVERRUNS_*` in the environment; `config` comes on top.

    >>> app = create_app({"DATABASE": "instance/everruns.db"})
    """
    from everruns import db, errors, pages
    from everruns.api import api

    app = Flask(__name__, static_folder=None)
    app.config.update(DATABASE="instance/everruns.db", DATABASE_TIMEOUT=5.0, CACHED_PAGES=64)
    app.config.update(READ_ONLY=0, MAX_REPLICA_LAG=0)
    app.config.update(PROVIDE_AUTOMATIC_OPTIONS=False)
    app.config.from_prefixed_env("EVERRUNS")
    app.config.update(config or {})
    app.url_map.merge_slashes = False  # a redirect would be an answer outside the contract
    db.init_app(app)
    pages.init_app(app)
    errors.init_app(app)
    app.register_blueprint(api)
    return app
