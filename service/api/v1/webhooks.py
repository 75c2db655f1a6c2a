"""Webhooks: their owners make, try and stop them, and look at what was delivered."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from service.api.dependencies import Connected, KnownCaller
from service.api.responses import responses
from service.core.errors import AuthenticationFailed, Conflict, Forbidden, RowNotFound, TargetRefused
from service.events.event import Kind
from service.models.system import Delivery, Webhook
from service.subscriptions.delivery_log import MOST_REPLAYED
from service.subscriptions.store import EVENTS, NewWebhook, owns

router = APIRouter(prefix="/api/v1/-/webhooks", tags=["Webhooks"])
_REFUSED = responses(AuthenticationFailed, Forbidden, RowNotFound, Conflict, TargetRefused)
_KNOWN = responses(AuthenticationFailed, RowNotFound)
_KNOWN_OR_NOT_NOW = responses(AuthenticationFailed, RowNotFound, Conflict)
_WITHOUT_NUL = r"^[^\x00]*$"


class EventName(StrEnum):
    INSERT = Kind.INSERT
    UPDATE = Kind.UPDATE
    DELETE = Kind.DELETE


class DeliveryState(StrEnum):
    WAITING = "waiting"
    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


Url = Annotated[
    str,
    Field(
        description="Where changes go: `https:`, to a host on the public internet unless the operator allows others.",
        examples=["https://hooks.example.org/flights"],
        max_length=2000,
    ),
]
Filter = Annotated[
    str,
    Field(
        description="Which rows, and what of them: a query string as of the feed.",
        examples=["carrier=eq.UA&select=id,carrier"],
        max_length=8000,
        pattern=_WITHOUT_NUL,
    ),
]
Events = Annotated[
    list[EventName],
    AfterValidator(lambda events: list(dict.fromkeys(events))),
    Field(description="Which changes.", min_length=1, max_length=3),
]
Description = Annotated[str, Field(description="What it is for.", max_length=1000, pattern=_WITHOUT_NUL)]


class WebhookIn(BaseModel):
    """A webhook to be made."""

    model_config = ConfigDict(extra="forbid")

    url: Url
    table: str = Field(description="The table, as in its path.", examples=["flights"], max_length=200)
    filter: Filter = ""
    events: Events = Field(default=[EventName(kind) for kind in EVENTS])
    description: Description = ""


class WebhookChange(BaseModel):
    """What is to be changed of a webhook; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    url: Url | None = None
    filter: Filter | None = None
    events: Events | None = None
    description: Description | None = None
    state: Literal["active", "paused"] | None = Field(
        None, description="A paused webhook goes on from where it was, as far back as the change log reaches."
    )


class WebhookOut(BaseModel):
    """A webhook."""

    id: UUID
    url: str
    table: str
    filter: str
    events: list[EventName]
    description: str
    owner: str = Field(description="Whose rights decide what is sent.", examples=["key:importer#rh_1a2b3c4d"])
    state: Literal["active", "paused", "disabled"]
    reason: str | None = Field(description="Why it is disabled.")
    failing_since: datetime | None = Field(description="Since when every attempt has failed.")
    created_at: datetime

    @classmethod
    def members(cls, one: Webhook) -> dict[str, Any]:
        name = one.owner_name if one.owner_kind == "user" else f"{one.owner_name}#{one.owner_id}"
        same = ("id", "url", "filter", "events", "description", "state", "reason", "failing_since", "created_at")
        members = {member: getattr(one, member) for member in same}
        return members | {"table": one.table_name, "owner": f"{one.owner_kind}:{name}"}

    @classmethod
    def of(cls, one: Webhook) -> "WebhookOut":
        return cls.model_validate(cls.members(one))


class WebhookWithSecret(WebhookOut):
    """A webhook and its secret, which is shown this once."""

    secret: str = Field(
        description="Verifies the signatures (Standard Webhooks).",
        examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="],
    )

    @classmethod
    def made(cls, one: Webhook, secret: str) -> "WebhookWithSecret":
        return cls.model_validate(cls.members(one) | {"secret": secret})


class DeliveryOut(BaseModel):
    """A delivery. `status`, `duration_ms`, `answer` and `error` are of the last attempt."""

    id: int
    message: str = Field(description="The `webhook-id` of each of its attempts.")
    type: str = Field(examples=["flights.updated"])
    state: DeliveryState
    attempts: int
    due_at: datetime | None = Field(description="When it is tried next; of one under way, when it is given up.")
    status: int | None
    duration_ms: int | None
    answer: str | None = Field(description="First part of the answer, for the owner alone.")
    error: str | None
    created_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, one: Delivery, *, with_answer: bool) -> "DeliveryOut":
        members = {name: getattr(one, name) for name in cls.model_fields}
        hidden = {} if with_answer else {"answer": None}
        return cls.model_validate(members | hidden | ({} if one.state == "pending" else {"due_at": None}))


class Deliveries(BaseModel):
    """Deliveries, the latest first."""

    deliveries: list[DeliveryOut]
    next: int | None = Field(description="Send as `before` for those that follow; null where there are none.")


class ReplayIn(BaseModel):
    """What is to be delivered again."""

    model_config = ConfigDict(extra="forbid")

    since: AwareDatetime | None = Field(
        None, description="All that were made since then; without it those that are dead."
    )


class Replayed(BaseModel):
    """How many are delivered again."""

    deliveries: int = Field(description=f"{MOST_REPLAYED} at most: repeat the call for more.")


WebhookId = Annotated[UUID, Path(description="The webhook's id.")]
DeliveryId = Annotated[int, Path(description="The delivery's id.", ge=1, lt=2**63)]


@router.post(
    "",
    status_code=201,
    summary="Make a webhook",
    description="Sends changes of a table to a URL, as far as the caller may read them, from now on. The secret in the "
    "answer verifies them, and is not shown again.",
    responses=_REFUSED,
)
async def create(principal: KnownCaller, runtime: Connected, response: Response, body: WebhookIn) -> WebhookWithSecret:
    response.headers["cache-control"] = "no-store"
    events = [Kind(event) for event in body.events]
    new = NewWebhook(body.url, body.table, body.filter, events, body.description)
    return WebhookWithSecret.made(*await runtime.subscriptions.create(principal, new))


@router.get("", summary="Webhooks", description="The caller's own; an administrator's are all.", responses=_KNOWN)
async def all_of_them(principal: KnownCaller, runtime: Connected) -> list[WebhookOut]:
    return [WebhookOut.of(one) for one in await runtime.subscriptions.all(principal)]


@router.get("/{webhook}", summary="A webhook", responses=_KNOWN)
async def one_of_them(principal: KnownCaller, runtime: Connected, webhook: WebhookId) -> WebhookOut:
    return WebhookOut.of(await runtime.subscriptions.get(principal, webhook))


@router.patch(
    "/{webhook}",
    summary="Change a webhook",
    description="Also pauses it, and has a disabled one go on.",
    responses=_REFUSED,
)
async def change(principal: KnownCaller, runtime: Connected, webhook: WebhookId, body: WebhookChange) -> WebhookOut:
    changes = {name: value for name, value in body.model_dump(mode="json").items() if value is not None}
    return WebhookOut.of(await runtime.subscriptions.change(principal, webhook, changes))


@router.delete("/{webhook}", status_code=204, summary="Delete a webhook", responses=_KNOWN)
async def delete(principal: KnownCaller, runtime: Connected, webhook: WebhookId) -> None:
    await runtime.subscriptions.delete(principal, webhook)


@router.post(
    "/{webhook}/rotate",
    summary="A new secret",
    description="For a while (`WEBHOOK_SECRET_OVERLAP_HOURS`) messages are signed with the old one too.",
    responses=_KNOWN,
)
async def rotate(
    principal: KnownCaller, runtime: Connected, response: Response, webhook: WebhookId
) -> WebhookWithSecret:
    response.headers["cache-control"] = "no-store"
    return WebhookWithSecret.made(*await runtime.subscriptions.rotate(principal, webhook))


@router.post(
    "/{webhook}/test",
    status_code=202,
    summary="Try a webhook",
    description="Has a message of type `ping` delivered.",
    responses=_KNOWN_OR_NOT_NOW,
)
async def test(principal: KnownCaller, runtime: Connected, webhook: WebhookId) -> DeliveryOut:
    one = await runtime.subscriptions.get(principal, webhook)
    return DeliveryOut.of(await runtime.delivery_log.ping(one), with_answer=True)


@router.get("/{webhook}/deliveries", summary="Deliveries", responses=_KNOWN)
async def deliveries(
    principal: KnownCaller,
    runtime: Connected,
    webhook: WebhookId,
    state: Annotated[DeliveryState | None, Query(description="Only those of this state.")] = None,
    before: Annotated[int | None, Query(description="`next` of the page before.", ge=1, lt=2**63)] = None,
    limit: Annotated[int, Query(description="How many at most.", ge=1, le=500)] = 50,
) -> Deliveries:
    one = await runtime.subscriptions.get(principal, webhook)
    page = await runtime.delivery_log.page(webhook, state, before, limit)
    shown = [DeliveryOut.of(delivery, with_answer=owns(principal, one)) for delivery in page]
    return Deliveries(deliveries=shown, next=shown[-1].id if len(shown) == limit else None)


@router.post(
    "/{webhook}/deliveries/{delivery}/replay",
    status_code=202,
    summary="Deliver again",
    description="Under the same `webhook-id`.",
    responses=_KNOWN_OR_NOT_NOW,
)
async def replay(principal: KnownCaller, runtime: Connected, webhook: WebhookId, delivery: DeliveryId) -> Replayed:
    await runtime.subscriptions.get(principal, webhook)
    await runtime.delivery_log.replay(webhook, delivery)
    return Replayed(deliveries=1)


@router.post(
    "/{webhook}/replay",
    status_code=202,
    summary="Deliver all again",
    description="Those that are dead; or, with `since`, all that were made since then.",
    responses=_KNOWN,
)
async def replay_all(
    principal: KnownCaller, runtime: Connected, webhook: WebhookId, body: ReplayIn | None = None
) -> Replayed:
    await runtime.subscriptions.get(principal, webhook)
    since = body.since if body else None
    return Replayed(deliveries=await runtime.delivery_log.replay_all(webhook, since))
