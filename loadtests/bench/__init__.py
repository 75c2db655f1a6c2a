"""Rowhouse beside what it must be measured against: bare asyncpg, and an ordinary FastAPI application.

    python -m loadtests.bench --help

All three serve the same table of the same database, one process each, and are loaded in turn in one run. Nothing is
asserted about time: the numbers of a run are to be compared with one another.
"""
