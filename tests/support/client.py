"""Requests to the application in this process."""

import re

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse


def client_with_key(app: Flask, key: str) -> FlaskClient:
    """Return a test client that sends the key with each request, unless the request has its own `Authorization`."""
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
    return client


def ids(response: TestResponse) -> list[str]:
    """Return the ids of the items in the response."""
    return [item["id"] for item in response.get_json()["data"]]


def links(response: TestResponse) -> dict[str, str]:
    """Return the references of the `Link` header by relation; each consists of a query only."""
    header = response.headers["Link"]
    parts = [re.fullmatch(r'<(\?[!-;=?-~]+)>; rel="([a-z]+)"', part) for part in header.split(", ")]
    assert all(parts), header
    return {part[2]: part[1] for part in parts if part}


def fields_of(response: TestResponse) -> dict[str, list[str]]:
    """Return the errors of a refused request by argument or key."""
    error = response.get_json()["error"]
    assert (response.status_code, error["code"]) == (400, "invalid_request"), response.text
    fields: dict[str, list[str]] = error["fields"]
    return fields
