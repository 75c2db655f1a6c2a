"""Backups: what pg_dump writes, with what proves that it is whole; restores that are compared with it."""
