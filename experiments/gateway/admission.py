"""Who is calling: the live key of a call, with the scope its route needs (pure)."""

from collections.abc import Callable, Mapping

from experiments.gateway import keys as key_forms
from experiments.gateway.errors import ForbiddenError, UnauthorizedError
from experiments.gateway.handlers import Route
from experiments.gateway.keys import Key
from experiments.gateway.tokens import Tokens

Keys = Callable[[], Mapping[str, Key]]
"""The live keys by digest, as the plan of this moment has them."""
_REMEMBERED = 1_000


class Admission:
    """Admits calls by key, or by a token where the route takes one.

    A key is hashed and looked up once a plan; then its text is remembered.
    """

    def __init__(self, keys: Keys, tokens: Tokens | None = None) -> None:
        self._keys = keys
        self._tokens = tokens
        self._known: dict[str, Key] = {}
        self._known_of: Mapping[str, Key] | None = None

    def admit(
        self,
        route: Route,
        headers: Mapping[str, str],
        parameters: Mapping[str, str],
        query: Mapping[str, str],
        now: float,
    ) -> Key:
        """The key a call comes with.

        Args:
            route: Names the scope, and where else than in a header a key may stand.
            headers: Names in lower case.
            parameters: Of the path.
            query: Parameters of the query.
            now: Unix seconds.

        Raises:
            UnauthorizedError: No key, none that is live, or a secret one in an address.
            ForbiddenError: The key lacks the scope.
        """
        if route.token_parameter and self._tokens is not None:
            token = parameters.get(route.token_parameter, "")
            key = self._tokens.read(token, self._keys(), now)
        else:
            plain = _presented(headers)
            if not plain and route.key_parameter:
                plain = _from_address(route.key_parameter, parameters, query)
            key = self._live(plain, now)
        if route.scope not in key.scopes:
            raise ForbiddenError(
                f"Key {key.label!r} lacks the scope {route.scope!r}; it has "
                f"{', '.join(key.scopes) or 'none'}.",
                code="scope_missing",
            )
        return key

    def _live(self, plain: str, now: float) -> Key:
        live = self._keys()
        if live is not self._known_of:
            self._known, self._known_of = {}, live
        key = self._known.get(plain)
        if key is None:
            key = _look_up(plain, live)
            if len(self._known) < _REMEMBERED:
                self._known[plain] = key
        if 0 < key.expires_at <= now:
            raise _unknown()
        return key


def _look_up(plain: str, live: Mapping[str, Key]) -> Key:
    if not plain:
        raise UnauthorizedError(
            "No API key; send it as 'Authorization: Bearer sw_...' or 'X-API-Key'.",
            code="key_missing",
        )
    if not key_forms.is_well_formed(plain):
        raise UnauthorizedError(
            "The API key is malformed; copy it whole.", code="key_malformed"
        )
    key = live.get(key_forms.digest(plain))
    if key is None:
        raise _unknown()
    return key


def _unknown() -> UnauthorizedError:
    return UnauthorizedError(
        "The API key is unknown, revoked or expired; use a live one.",
        code="key_unknown",
    )


def _presented(headers: Mapping[str, str]) -> str:
    """The key that a call's headers present; empty when none."""
    authorization = headers.get("authorization", "")
    if authorization[:7].lower() == "bearer ":
        return authorization[7:].strip()
    return headers.get("x-api-key", "").strip()


def _from_address(
    name: str, parameters: Mapping[str, str], query: Mapping[str, str]
) -> str:
    plain = parameters.get(name) or query.get(name, "")
    if plain.startswith("sw_sk_"):
        raise UnauthorizedError(
            "A secret key may not stand in an address; use a publishable one and "
            "revoke this one.",
            code="secret_key_in_address",
        )
    return plain
