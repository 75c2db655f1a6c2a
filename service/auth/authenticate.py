"""From a credential to a principal. A credential that is wrong is refused; it never makes an anonymous caller."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from time import monotonic
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, or_, select, update

from service.auth.connect_user import ConnectUser
from service.auth.principal import Principal, PrincipalKind
from service.core.errors import AuthenticationFailed
from service.core.security import API_KEY_PREFIX, TokenSigner, hash_token
from service.core.settings import ConnectSettings, SecuritySettings
from service.core.single_flight import SingleFlight
from service.core.types import Role
from service.db.engine import UnitOfWork
from service.models.system import ApiKey, RefreshToken, Session, User

_LAST_USE_STEP = timedelta(minutes=1)
_MOST_CACHED = 10_000
# A standby is, always.
_IS_READ_ONLY = func.current_setting("transaction_read_only") == "on"


class Authenticator:
    """Verifies API keys and access tokens, and believes a verified one for a moment.

    The moment (`CREDENTIAL_CACHE_SECONDS`) bounds how long a revoked key or a changed role still holds.
    """

    def __init__(
        self, unit_of_work: UnitOfWork, signer: TokenSigner, settings: SecuritySettings, connect: ConnectSettings
    ) -> None:
        self._unit_of_work = unit_of_work
        self._signer = signer
        self._believe_for = settings.credential_cache_seconds
        self._anonymous = Principal(PrincipalKind.ANONYMOUS, "", "anonymous", settings.anonymous_role)
        self._connect = connect
        self._believes_connect = connect.is_here and connect.connect_identity
        self._verified: dict[str | ConnectUser, tuple[float, Principal]] = {}
        self._verifying: SingleFlight[Principal] = SingleFlight()

    async def authenticate(self, authorization: str | None, api_key: str | None) -> Principal:
        """The caller of a request, by its `X-API-Key` or its `Authorization` header.

        `X-API-Key` goes first: Posit Connect, which uses `Authorization` for itself, adds the visitor to every request.

        Raises:
            AuthenticationFailed: a credential was given and does not hold.
        """
        if api_key is None and authorization is None:
            return self._anonymous
        credential = self._credential(authorization or "") if api_key is None else api_key
        known = self._verified.get(credential)
        if known is not None and known[0] > monotonic():
            return known[1]
        return await self._verifying.run(credential, lambda: self._verify(credential))

    def _credential(self, authorization: str) -> str | ConnectUser:
        visitor = ConnectUser.read(authorization) if self._believes_connect else None
        return visitor or _bearer(authorization)

    async def _verify(self, credential: str | ConnectUser) -> Principal:
        self._verified.pop(credential, None)
        if isinstance(credential, ConnectUser):
            principal = await self._recognise(credential)
        elif credential.startswith(API_KEY_PREFIX):
            principal = await self._verify_key(credential)
        else:
            principal = await self._verify_token(credential)
        if len(self._verified) >= _MOST_CACHED:
            self._verified.clear()
        self._verified[credential] = (monotonic() + self._believe_for, principal)
        return principal

    async def _verify_key(self, key: str) -> Principal:
        now = datetime.now(UTC)
        async with self._unit_of_work.begin() as session:
            is_this = ApiKey.key_hash == hash_token(key)
            row = (await session.execute(select(ApiKey, _IS_READ_ONLY).where(is_this))).first()
            if row is None or row[0].revoked_at is not None:
                raise AuthenticationFailed("The API key is not valid.")
            found, is_read_only = row
            if found.expires_at is not None and found.expires_at <= now:
                raise AuthenticationFailed("The API key has expired.")
            is_noted = found.last_used_at is not None and found.last_used_at >= now - _LAST_USE_STEP
            if not is_noted and not is_read_only:
                await session.execute(update(ApiKey).where(ApiKey.id == found.id).values(last_used_at=now))
        return Principal(PrincipalKind.API_KEY, found.prefix, found.name, Role(found.role))

    async def _verify_token(self, token: str) -> Principal:
        claims = self._signer.read(token)
        is_revoked = _is_over(claims.family)
        async with self._unit_of_work.begin() as session:
            user = await session.scalar(select(User).where(User.id == claims.user_id, User.is_active, ~is_revoked))
        if user is None:
            raise AuthenticationFailed("The login of this access token has ended.", hint="Log in again.")
        role = Role(user.role)
        return Principal(PrincipalKind.USER, str(user.id), user.email, role, claims.family, claims.expires_at)

    async def _recognise(self, visitor: ConnectUser) -> Principal:
        """The account of a visitor of Posit Connect; without one, the role that they all have; or nobody."""
        address = visitor.address(self._connect.connect_domain)
        async with self._unit_of_work.begin() as session:
            user = await session.scalar(select(User).where(func.lower(User.email) == address.lower()))
        if user is not None and user.is_active:
            return Principal(PrincipalKind.USER, str(user.id), user.email, Role(user.role))
        role = self._connect.connect_role
        return self._anonymous if user is not None or role is None else visitor.principal(role)

    async def recall(self, kind: PrincipalKind, identity: str, login: UUID | None) -> Principal:
        """The caller who was verified before, with the role that it has now.

        Raises:
            AuthenticationFailed: the credential was revoked, or has expired.
        """
        now = datetime.now(UTC)
        found: Principal | None = None
        async with self._unit_of_work.begin() as session:
            if kind is PrincipalKind.API_KEY:
                holds = ApiKey.revoked_at.is_(None) & (ApiKey.expires_at.is_(None) | (ApiKey.expires_at > now))
                if key := await session.scalar(select(ApiKey).where(ApiKey.prefix == identity, holds)):
                    found = Principal(kind, key.prefix, key.name, Role(key.role))
            elif kind is PrincipalKind.USER:
                active = select(User).where(User.id == UUID(identity), User.is_active, ~_is_over(login))
                if user := await session.scalar(active):
                    found = Principal(kind, str(user.id), user.email, Role(user.role), login)
            elif kind is PrincipalKind.CONNECT and self._believes_connect and self._connect.connect_role is not None:
                found = Principal(kind, identity, identity, self._connect.connect_role)
        if found is None:
            raise AuthenticationFailed("The credential that the link was made with no longer holds.")
        return found

    def _is_visitor(self, one: Principal) -> bool:
        return one.kind is PrincipalKind.CONNECT and self._believes_connect and one.role == self._connect.connect_role

    async def standing(self, principals: Collection[Principal]) -> set[Principal]:
        """Those of the principals, verified at some time, whose credentials still hold and give the same role."""
        standing = {one for one in principals if one.is_anonymous or self._is_visitor(one)}
        keys = {one.id for one in principals if one.kind is PrincipalKind.API_KEY}
        users = {UUID(one.id) for one in principals if one.kind is PrincipalKind.USER}
        logins = {one.login for one in principals if one.login is not None}
        if not keys and not users:
            return standing
        now = datetime.now(UTC)
        holds = ApiKey.revoked_at.is_(None) & (ApiKey.expires_at.is_(None) | (ApiKey.expires_at > now))
        valid_keys = select(ApiKey.prefix, ApiKey.role).where(ApiKey.prefix.in_(keys), holds)
        active = select(User.id, User.role).where(User.id.in_(users), User.is_active)
        revoked = RefreshToken.family.in_(logins) & RefreshToken.revoked_at.is_not(None)
        closed = Session.id.in_(logins) & (Session.revoked_at.is_not(None) | (Session.expires_at <= now))
        async with self._unit_of_work.begin() as session:
            roles = {prefix: role for prefix, role in await session.execute(valid_keys)}
            roles |= {str(identity): role for identity, role in await session.execute(active)}
            ended = set(await session.scalars(select(RefreshToken.family).where(revoked)))
            ended |= set(await session.scalars(select(Session.id).where(closed)))
        for one in principals:
            is_over = one.login in ended or (one.expires_at is not None and one.expires_at <= now)
            if one.role is not None and roles.get(one.id) == one.role and not is_over:
                standing.add(one)
        return standing


def _is_over(login: UUID | None) -> ColumnElement[bool]:
    """Whether a login was ended: of the API, whose tokens share a family, or of the back-office."""
    return or_(
        exists().where(RefreshToken.family == login, RefreshToken.revoked_at.is_not(None)),
        exists().where(Session.id == login, Session.revoked_at.is_not(None)),
    )


def _bearer(authorization: str) -> str:
    scheme, _, credential = authorization.partition(" ")
    if scheme.lower() != "bearer" or not credential.strip():
        raise AuthenticationFailed("Authorization must be `Bearer` and a token or an API key.")
    return credential.strip()
