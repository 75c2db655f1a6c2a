"""Rowhouse: a PostgreSQL database behind a REST API that people can trust."""

__version__ = "0.1.0"
