"""The change log: which tables enter it, and its upkeep."""
