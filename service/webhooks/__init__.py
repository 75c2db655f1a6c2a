"""Delivers webhooks: collects changes from the log, and sends them until they have arrived."""
