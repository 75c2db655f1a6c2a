"""Rowhouse's own tables, in the schema `rowhouse`."""

from service.models.system.cluster import Cluster
from service.models.system.idempotency import IdempotencyKey
from service.models.system.identity import ApiKey, Grant, RefreshToken, User
from service.models.system.import_chunk import ImportChunk
from service.models.system.job import IS_UNFINISHED, Job, JobMessage
from service.models.system.request_trace import RequestTrace
from service.models.system.security_event import SecurityEvent
from service.models.system.session import RecoveryCode, SecondFactor, Session
from service.models.system.ticket import Ticket
from service.models.system.undone import Undone
from service.models.system.webhook import Delivery, Lane, Webhook

__all__ = [
    "IS_UNFINISHED",
    "ApiKey",
    "Cluster",
    "Delivery",
    "Grant",
    "IdempotencyKey",
    "ImportChunk",
    "Job",
    "JobMessage",
    "Lane",
    "RecoveryCode",
    "RefreshToken",
    "RequestTrace",
    "SecondFactor",
    "SecurityEvent",
    "Session",
    "Ticket",
    "Undone",
    "User",
    "Webhook",
]
