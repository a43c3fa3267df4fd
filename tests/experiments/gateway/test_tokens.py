import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.gateway.errors import UnauthorizedError
from experiments.gateway.keys import Key
from experiments.gateway.tokens import LIFETIME_SECONDS, Tokens

NOW = 1_764_000_000.0
KEY = Key(7, "d" * 64, "publishable", "browser", ("evaluate",))
OTHER = Key(8, "e" * 64, "publishable", "other", ("evaluate",))
LIVE = {key.digest: key for key in (KEY, OTHER)}
TOKENS = Tokens("a-secret")


def test_a_token_stands_for_its_key_for_a_day() -> None:
    token = TOKENS.issue(KEY, NOW)
    assert TOKENS.read(token, LIVE, NOW) is KEY
    assert TOKENS.read(token, LIVE, NOW + LIFETIME_SECONDS - 60) is KEY
    with pytest.raises(UnauthorizedError):
        TOKENS.read(token, LIVE, NOW + LIFETIME_SECONDS)


def test_a_token_is_made_once_a_minute() -> None:
    minute = NOW - NOW % 60
    assert TOKENS.issue(KEY, minute) is TOKENS.issue(KEY, minute + 59)
    assert TOKENS.issue(KEY, minute) != TOKENS.issue(KEY, minute + 60)
    assert TOKENS.issue(KEY, minute) != TOKENS.issue(OTHER, minute)


def test_a_token_is_worthless_without_its_live_key_or_under_another_secret() -> None:
    token = TOKENS.issue(KEY, NOW)
    replaced = Key(7, "f" * 64, "publishable", "browser", ("evaluate",))
    for tokens, live in (
        (TOKENS, {OTHER.digest: OTHER}),
        (TOKENS, {replaced.digest: replaced}),
        (Tokens("another"), LIVE),
    ):
        with pytest.raises(UnauthorizedError):
            tokens.read(token, live, NOW)


def test_a_token_cannot_be_made_to_last_or_to_name_another_key() -> None:
    number, expires, mac = TOKENS.issue(KEY, NOW).split(".")
    for forged in (
        f"{number}.{int(expires) + 1}.{mac}",
        f"8.{expires}.{mac}",
        f"{number}.{expires}.{mac[:-1]}",
        f"{number}.{expires}.",
    ):
        with pytest.raises(UnauthorizedError):
            TOKENS.read(forged, LIVE, NOW)


@given(st.text() | st.from_regex(r"\d{1,30}\.\d{1,60}\.\S*", fullmatch=True))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(UnauthorizedError):
        TOKENS.read(text, LIVE, NOW)
