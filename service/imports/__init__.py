"""Imports: many rows of one body into one table, by way of COPY."""
