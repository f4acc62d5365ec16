"""Marshmallow schemas: everything that comes in, by query, body or file."""
