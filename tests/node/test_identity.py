"""Node keys: what they sign, and what they never show."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.identity import NodeKey, verify_signature
from tests.node.support import seeded


def test_the_node_id_is_the_public_key() -> None:
    key = NodeKey(b"\x01" * 32)
    assert verify_signature(key.node, b"message", key.sign(b"message"))
    assert key.node == bytes(key.signing_key.verify_key)
    assert NodeKey(key.seed).node == key.node


def test_a_node_key_shows_and_gives_away_no_secret() -> None:
    key = NodeKey(seeded("secret"))
    assert seeded("secret").hex() not in repr(key) + str(key)
    with pytest.raises(TypeError):
        pickle.dumps(key)


@pytest.mark.parametrize("seed", [b"", bytes(31), bytes(33)])
def test_a_seed_of_another_length_is_no_key(seed: bytes) -> None:
    with pytest.raises(ValueError, match="32"):
        NodeKey(seed)


@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=70))
def test_garbage_verifies_nothing_and_raises_nothing(node: bytes, message: bytes, signature: bytes) -> None:
    assert not verify_signature(node, message, signature)


@pytest.mark.parametrize("point", [bytes(32), b"\x01" + bytes(31), b"\xec" + b"\xff" * 30 + b"\x7f"])
def test_a_key_of_small_order_signs_nothing(point: bytes) -> None:
    """For such a key one signature would fit many messages."""
    assert not any(
        verify_signature(point, bytes([number]), (b"\x01" + bytes(31)) + bytes(32)) for number in range(64)
    )
