"""Addresses that carry their own right to read: signed, short-lived, of one key (pure).

A browser's ``EventSource`` sends no headers, so the address of a stream is the right to
read it. A token names its key and its end; it is worth nothing once the key is revoked,
and opens no route but those that ask for a token.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping

from experiments.gateway.errors import UnauthorizedError
from experiments.gateway.keys import Key

LIFETIME_SECONDS = 24 * 3600
# Tokens of the same minute are the same, so that one is made a minute and key.
_STEP_SECONDS = 60
_MAC_BYTES = 18  # 24 characters


class Tokens:
    """Makes and reads tokens.

    Args:
        secret: The installation's; another secret, another's tokens.
    """

    def __init__(self, secret: str) -> None:
        self._secret = hashlib.sha256(b"stream-token\n" + secret.encode()).digest()
        self._made: dict[int, tuple[int, str]] = {}

    def issue(self, key: Key, now: float) -> str:
        """A token of a key, good for 24 hours (at most a minute less)."""
        expires_at = (int(now) // _STEP_SECONDS) * _STEP_SECONDS + LIFETIME_SECONDS
        made = self._made.get(key.id)
        if made is not None and made[0] == expires_at:
            return made[1]
        token = f"{key.id}.{expires_at}.{self._mac(key, expires_at)}"
        self._made[key.id] = (expires_at, token)
        return token

    def read(self, token: str, keys: Mapping[str, Key], now: float) -> Key:
        """The key a token stands for.

        Args:
            token: What came with the call.
            keys: The live keys by digest.
            now: Unix seconds.

        Raises:
            UnauthorizedError: It is forged or too old, or its key is not live.
        """
        number, _, rest = token.partition(".")
        expires, _, mac = rest.partition(".")
        if number.isdecimal() and expires.isdecimal() and len(token) <= 100:
            key = next((key for key in keys.values() if key.id == int(number)), None)
            if (
                key is not None
                and now < int(expires)
                and hmac.compare_digest(
                    mac.encode(), self._mac(key, int(expires)).encode()
                )
            ):
                return key
        raise UnauthorizedError(
            "The token is unknown, expired or of a revoked key; ask again for one.",
            code="token_unknown",
        )

    def _mac(self, key: Key, expires_at: int) -> str:
        text = f"{key.id}.{expires_at}.{key.digest}"
        made = hmac.digest(self._secret, text.encode(), "sha256")[:_MAC_BYTES]
        return urlsafe_b64encode(made).decode()
