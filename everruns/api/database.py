"""The database of the current application."""

from flask import current_app

from everruns.store.db import Database


def database() -> Database:
    """Return the database that `create_app` configured."""
    found: Database = current_app.extensions["everruns"]
    return found
