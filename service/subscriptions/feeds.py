"""The feed that a webhook follows, as its owner may see it."""

from service.auth.policy import Policy
from service.auth.principal import Principal, PrincipalKind
from service.core.errors import InvalidQuery
from service.core.types import Role
from service.events.follow_request import OF_THE_FEED, make_feed, parse_follow, read_plans
from service.events.log import ChangeLog, Feed
from service.query.parse.parameters import Bounds, decode_parameters
from service.query.soft_delete import without_deleted


class Feeds:
    """Makes feeds of a table's name and a query string."""

    def __init__(self, policy: Policy, log: ChangeLog, bounds: Bounds) -> None:
        self._policy = policy
        self._log = log
        self._bounds = bounds

    async def make(self, principal: Principal, table: str, filter_: str) -> Feed:
        """The feed of a table as the principal may see it.

        Raises:
            InvalidQuery: the filter says something that a webhook does not have.
            TableNotFound, AuthenticationFailed, Forbidden: as for reading the table.
            Conflict: its changes are not logged.
        """
        query = filter_.encode()
        if taken := sorted(OF_THE_FEED.intersection(name for name, _ in decode_parameters(query))):
            raise InvalidQuery(f"A webhook's filter takes no {', '.join(taken)}: it has its own place in the log.")
        request = parse_follow(table, query, None)
        await self._policy.refresh()
        asked = read_plans(request.parameters, self._policy, principal, self._bounds)
        plans = [without_deleted(plan) for plan in asked]
        tracked = [await self._log.tracked(plan.resource) for plan in plans]
        return make_feed(plans, tracked, self._policy, principal)

    async def check(self, feed: Feed) -> None:
        """Let PostgreSQL read the filter's values. Raises: as `ChangeLog.check`."""
        await self._log.check(feed)


def owner(kind: str, identity: str, name: str, role: str) -> Principal:
    """The owner of a webhook, apart from any login."""
    return Principal(PrincipalKind(kind), identity, name, Role(role))
