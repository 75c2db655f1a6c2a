"""Webhooks as their owners manage them: what they follow, where they go, what was delivered."""
