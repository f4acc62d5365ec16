"""Everruns Sessions: which sessions does my organization have? The application factory."""

import os
import re
from typing import Any

from flask import Flask

__version__ = "0.1.0"

SETTINGS: dict[str, Any] = {
    "DATABASE": "instance/everruns.db",
    "DATABASE_TIMEOUT": 5.0,
    "READ_ONLY": 0,
    "MAX_REPLICA_LAG": 0,
    "CACHED_PAGES": 64,
}


def create_app(config: dict[str, Any] | None = None) -> Flask:
    """The WSGI application, configured by `EVERRUNS_*` in the environment; `config` comes on top.

    >>> app = create_app({"DATABASE": "instance/everruns.db"})
    """
    from everruns import db, errors, pages
    from everruns.api import api

    app = Flask(__name__, static_folder=None)
    app.config.update(PROVIDE_AUTOMATIC_OPTIONS=False)
    app.config.update({name: _given(name, default) for name, default in SETTINGS.items()})
    app.config.update(config or {})
    app.url_map.merge_slashes = False  # a redirect would be an answer outside the contract
    db.init_app(app)
    pages.init_app(app)
    errors.init_app(app)
    app.register_blueprint(api)
    return app


def _given(name: str, default: Any) -> Any:
    """What the environment has for a setting: a whole number, or text, which whoever needs a number refuses."""
    text = os.environ.get(f"EVERRUNS_{name}", default)
    return int(text) if isinstance(default, int) and re.fullmatch("[0-9]{1,9}", str(text)) else text
