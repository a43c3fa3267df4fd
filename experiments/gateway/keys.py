"""API keys: their form, scopes and what a front holds of them (pure)."""

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
