"""API keys: their form, scopes and what a front holds of them (pure).

A key is ``sw_pk_`` or ``sw_sk_``, 30 random base62 characters and a CRC32 of all
that in 6 base62 characters, so that a mistyped key is refused without a look-up
(the pattern of GitHub's tokens).
"""

import hashlib
import re
import secrets
import string
import zlib

import msgspec

SCOPES = (
    "evaluate",
    "recommend",
    "events",
    "catalogue",
    "manage",
    "simulate",
)
PUBLISHABLE_SCOPES = ("evaluate", "events")
NOT_PUBLISHABLE_EVENTS = ("purchase", "refund", "review")


class Key(msgspec.Struct, frozen=True):
    """A live key as the plan carries it to the fronts.

    Attributes:
        digest: SHA-256 (hex) of the key.
        origins: Browser origins allowed; empty for secret keys.
        event_names: Names it may send; empty: all its kind may.
        rate_per_minute: Requests a minute; 0: unlimited.
        expires_at: Unix seconds; 0: never.
        remote_only: Its holders may not see how shoppers are targeted: they are
            evaluated for, and are given no payload to evaluate by themselves.
    """

    id: int
    digest: str
    kind: str
    label: str
    scopes: tuple[str, ...]
    origins: tuple[str, ...] = ()
    event_names: tuple[str, ...] = ()
    rate_per_minute: int = 0
    expires_at: float = 0.0
    remote_only: bool = False


_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_PREFIXES = {"publishable": "sw_pk_", "secret": "sw_sk_"}
_RANDOM, _CHECKSUM = 30, 6
_FORM = re.compile(rf"sw_[ps]k_[0-9A-Za-z]{{{_RANDOM + _CHECKSUM}}}")


def generate(kind: str) -> str:
    """A new key of a kind (``publishable``, ``secret``), 178 bits of randomness."""
    body = _PREFIXES[kind] + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
    return body + _checksum(body)


def is_well_formed(plain: str) -> bool:
    """Whether a text can be a key at all: prefix, length, alphabet and checksum."""
    if _FORM.fullmatch(plain) is None:
        return False
    return _checksum(plain[:-_CHECKSUM]) == plain[-_CHECKSUM:]


def digest(plain: str) -> str:
    """SHA-256 (hex) of a key: what is stored and looked up."""
    return hashlib.sha256(plain.encode()).hexdigest()


def _checksum(body: str) -> str:
    number, characters = zlib.crc32(body.encode()), ""
    for _ in range(_CHECKSUM):
        number, remainder = divmod(number, len(_ALPHABET))
        characters = _ALPHABET[remainder] + characters
    return characters
