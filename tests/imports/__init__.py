"""Imports: many rows in one body."""
