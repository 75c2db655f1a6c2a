"""URLs that hold passwords: what is wrong with one is said without showing it."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError


def _is_postgresql(url: SecretStr) -> SecretStr:
    text = url.get_secret_value()
    if not text.startswith(("postgresql://", "postgres://")):
        raise ValueError("must begin with postgresql:// (drivers such as +asyncpg are chosen by Rowhouse)")
    try:
        _ = urlsplit(text).port, make_url(text)
    except (ValueError, ArgumentError):
        # What Python says of it would show a part of the password.
        raise ValueError("is no URL; write special characters in the password as %40, %2F, %3A …") from None
    return url


def _is_broker(url: SecretStr) -> SecretStr:
    try:
        parts = urlsplit(url.get_secret_value())
        is_known = parts.scheme in ("redis", "rediss", "amqp", "amqps") and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        is_known = False
    if not is_known:
        # What Python says of it would show a part of the password.
        raise ValueError("must be a URL that begins with redis://, rediss://, amqp:// or amqps://") from None
    return url


BrokerUrl = Annotated[SecretStr, AfterValidator(_is_broker)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_is_postgresql)]
