"""The database of the application, and `read_view`: the steps of every GET."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Response, current_app, request

from everruns.api import cache
from everruns.api.auth import authenticate
from everruns.schemas import queries
from everruns.store.db import Database

_Render = Callable[..., cache.ViewResult]


def database() -> Database:
    """Return the database that `create_app` configured."""
    found: Database = current_app.extensions["everruns"]
    return found


def read_view(parse: Callable[[bytes], Any] = queries.no_query) -> Callable[[_Render], Callable[..., Response]]:
    """Make a Flask view of a function that returns JSON, or JSON and headers.

    In one read transaction, the view authenticates, parses the query, and calls the function unless the response is
    cached:

        @read_view(queries.stats_query)
        def stats(connection: sqlite3.Connection, organization: Organization, query: SessionsQuery) -> str:
            return as_json(sessions.count_by_status(connection, organization, query))
    """

    def decorate(render: _Render) -> Callable[..., Response]:
        @wraps(render)
        def view(**path: Any) -> Response:
            with database().read() as connection:
                organization = authenticate(connection)
                query = parse(request.query_string)
                return cache.respond(
                    connection, organization, query, lambda: render(connection, organization, query, **path)
                )

        return view

    return decorate
