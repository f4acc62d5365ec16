"""The WSGI entry: gunicorn app:app."""

from everruns import create_app

app = create_app()
