"""Tokens that show that a form was made here, for whoever sends it."""

import base64
import hmac


class Csrf:
    """Makes tokens from JWT_SECRET, and checks them. Nothing is stored."""

    def __init__(self, secret: str) -> None:
        self._key = hmac.digest(secret.encode(), b"rowhouse forms", "sha256")

    def token(self, whose: str) -> str:
        """The token of a session, or of a visitor."""
        return base64.urlsafe_b64encode(hmac.digest(self._key, whose.encode(), "sha256")).decode().rstrip("=")

    def holds(self, whose: str, token: str) -> bool:
        return hmac.compare_digest(self.token(whose).encode(), token.encode())
