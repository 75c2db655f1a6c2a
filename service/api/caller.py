"""What becomes known of a caller, for whatever looks at the request from outside: logs, traces, metrics."""

from starlette.types import Scope

from service.auth.principal import Principal


def remember_caller(scope: Scope, principal: Principal) -> None:
    """Without a name: a user's is mostly an e-mail address."""
    scope["rowhouse.principal"] = principal.subject
    scope["rowhouse.role"] = principal.role
