"""Security primitives: password hashes, opaque tokens, signed access tokens."""

import hashlib
import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from uuid import UUID, uuid4

import jwt
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from service.core.errors import AuthenticationFailed, ConfigurationError

API_KEY_PREFIX = "rh_"
_ALGORITHM = "HS256"
_ISSUER = "rowhouse"
_hasher = PasswordHasher()


def hash_password(password: str) -> str:
    """Hash with Argon2id (RFC 9106), parameters and salt inside the result."""
    return _hasher.hash(password)


def verify_password(password: str, password_hash: str | None) -> bool:
    """Compare in constant work: without a hash a stand-in is verified and the answer is no."""
    stand_in = _stand_in()
    try:
        _hasher.verify(password_hash or stand_in, password)
    except (VerifyMismatchError, InvalidHashError):
        return False
    return password_hash is not None


@cache
def _stand_in() -> str:
    """Verified against when the account does not exist, so that an unknown name takes as long as a wrong password."""
    return _hasher.hash(secrets.token_hex(16))


def make_password() -> str:
    """A password that nobody chose, of about 96 bits."""
    return secrets.token_urlsafe(12)


def make_token() -> str:
    """An opaque token of 256 bits."""
    return secrets.token_urlsafe(32)


def make_api_key() -> tuple[str, str]:
    """A new API key and the prefix by which it is recognised in lists."""
    prefix = API_KEY_PREFIX + secrets.token_hex(4)
    return f"{prefix}_{secrets.token_urlsafe(32)}", prefix


def hash_token(token: str) -> bytes:
    """Hash for look-up. The tokens are random and long, so a fast hash is enough."""
    return hashlib.sha256(token.encode()).digest()


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a signed access token says: whom it is for, which login it belongs to, until when."""

    user_id: UUID
    family: UUID
    expires_at: datetime


class TokenSigner:
    """Signs and reads JWT access tokens (RFC 7519)."""

    def __init__(self, secret: str, lifetime_seconds: int) -> None:
        self._secret = secret
        self.lifetime_seconds = lifetime_seconds

    def sign(self, user_id: UUID, family: UUID) -> str:
        now = datetime.now(UTC)
        claims = {
            "iss": _ISSUER,
            "aud": _ISSUER,
            "sub": str(user_id),
            "sid": str(family),
            "jti": str(uuid4()),
            "iat": now,
            "exp": now + timedelta(seconds=self.lifetime_seconds),
        }
        return jwt.encode(claims, self._secret, algorithm=_ALGORITHM)

    def read(self, token: str) -> AccessToken:
        """Check signature, issuer, audience and expiry.

        Raises:
            AuthenticationFailed: the token is not ours, was changed, or has expired.
        """
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],
                issuer=_ISSUER,
                audience=_ISSUER,
                options={"require": ["exp", "sub", "sid", "iss", "aud"]},
            )
            return AccessToken(UUID(claims["sub"]), UUID(claims["sid"]), datetime.fromtimestamp(claims["exp"], UTC))
        except jwt.ExpiredSignatureError:
            raise AuthenticationFailed("The access token has expired.", hint="Refresh it, or log in again.") from None
        except (jwt.InvalidTokenError, ValueError):
            raise AuthenticationFailed("The access token is not valid.") from None


def development_secret(data_dir: Path) -> str:
    """A random secret that lasts, in a file that only its owner may read.

    Raises:
        ConfigurationError: the folder cannot be written to.
    """
    path = data_dir / "jwt-secret"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with open(path, "x", opener=_private) as file:
            file.write(secrets.token_urlsafe(48))
    except FileExistsError:
        pass
    except OSError as error:
        raise ConfigurationError(f"DATA_DIR cannot be written to ({error.strerror}): {data_dir}") from None
    return path.read_text()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, mode=0o600)
