from hypothesis import given
from hypothesis import strategies as st

from experiments.gateway.units import UnitHasher

KEY = "a-unit-key-for-tests-that-is-long-enough"


@given(st.text(alphabet=st.characters()))
def test_a_unit_key_has_16_bytes_and_is_the_same_in_every_process(unit_id: str) -> None:
    first, second = UnitHasher(KEY).hash(unit_id), UnitHasher(KEY).hash(unit_id)
    assert first == second
    assert len(first) == 16


def test_another_secret_gives_another_unit_key() -> None:
    assert UnitHasher(KEY).hash("u1") != UnitHasher(KEY + "x").hash("u1")


def test_the_unit_key_of_a_known_id_never_changes() -> None:
    assert UnitHasher(KEY).hash("u1").hex() == "e8d3f92714319628e92e1b499688c182"
