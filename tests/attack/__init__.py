"""Attacks on the running service: each breaks a promise, or reports figures and ends with 0."""
