"""Rowhouse's own tables, in the schema `rowhouse`."""

from service.models.system.cluster import Cluster
from service.models.system.idempotency import IdempotencyKey
from service.models.system.identity import ApiKey, Grant, RefreshToken, User
from service.models.system.ticket import Ticket
from service.models.system.webhook import Delivery, Lane, Webhook

__all__ = [
    "ApiKey",
    "Cluster",
    "Delivery",
    "Grant",
    "IdempotencyKey",
    "Lane",
    "RefreshToken",
    "Ticket",
    "User",
    "Webhook",
]
