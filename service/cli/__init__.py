"""The `rowhouse` command."""
