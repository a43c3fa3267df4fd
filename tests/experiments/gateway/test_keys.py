import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.gateway import keys


@pytest.mark.parametrize(
    ("kind", "prefix"), [("publishable", "sw_pk_"), ("secret", "sw_sk_")]
)
def test_a_new_key_bears_its_kind_and_a_valid_checksum(kind: str, prefix: str) -> None:
    plain = keys.generate(kind)
    assert plain.startswith(prefix)
    assert len(plain) == 42
    assert keys.is_well_formed(plain)


def test_the_checksum_is_pinned() -> None:
    body = "sw_pk_" + "A" * 30
    assert keys.is_well_formed(body + "3jZmlk")


@given(st.text(max_size=60))
def test_arbitrary_text_is_not_a_key(text: str) -> None:
    assert not keys.is_well_formed(text)


@given(st.integers(6, 41), st.characters(codec="ascii", categories=["L", "N"]))
def test_one_changed_character_is_noticed_without_a_look_up(
    position: int, character: str
) -> None:
    plain = keys.generate("secret")
    changed = plain[:position] + character + plain[position + 1 :]
    assert keys.is_well_formed(changed) == (changed == plain)


def test_keys_differ() -> None:
    assert len({keys.generate("secret") for _ in range(1_000)}) == 1_000
