"""The change log, as PostgreSQL writes it."""
