"""Windows: whatever part of a segment is wanted, its stripes are enough, and rebuilt from any k shards."""

import os
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from node.cipher import encrypt_segment
from node.erasure import Codec
from node.manifest import Segment
from node.master_key import WRAPPED_KEY_SIZE
from node.merkle import LEAF_SIZE
from node.renter.window import Memory, Window, cost_of
from node.segments import CHUNK_SIZE, Part

KEY, ID = os.urandom(32), os.urandom(32)


def chunks(data: bytes) -> list[bytes]:
    return [data[at : at + CHUNK_SIZE] for at in range(0, len(data), CHUNK_SIZE)]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_part_opens_from_what_its_stripes_ask_for(data: st.DataObject) -> None:
    length = data.draw(st.integers(1, 4 * CHUNK_SIZE))
    k = data.draw(st.integers(1, 7))
    n = data.draw(st.integers(k, 12))
    start = data.draw(st.integers(0, length - 1))
    part = Part(0, start, data.draw(st.integers(start + 1, length)))
    dice = random.Random(data.draw(st.integers(0, 2**32)))
    plain = os.urandom(length)
    shards = Codec(k, n).encode(encrypt_segment(KEY, ID, chunks(plain)))
    segment = Segment(ID, bytes(WRAPPED_KEY_SIZE), length, k, n, ())
    memory = Memory()
    memory.give_back(bytearray(b"\xff" * 3 * length))  # left over from another window
    window = Window(segment, part, memory)
    for stripe in window.stripes:
        assert stripe.start % LEAF_SIZE == 0
        assert stripe.stop % LEAF_SIZE == 0 or stripe.stop == segment.shard_length
        given_by = dice.choice([stripe.wanted, tuple(dice.sample(range(n), k))])
        for index in given_by:
            room = window.room(stripe, index)
            room[:] = shards[index][stripe.start : stripe.stop]
            window.found[stripe][index] = room
    assert b"".join(window.open(KEY)) == plain[part.start : part.stop]
    assert cost_of(segment, part) == sum(len(one.wanted) * one.length for one in window.stripes)


def test_a_whole_segment_is_one_stripe_of_all_data_shards() -> None:
    segment = Segment(ID, bytes(WRAPPED_KEY_SIZE), 10 * 2**20, 29, 80, ())
    (stripe,) = Window(segment, Part(0, 0, 10 * 2**20), Memory()).stripes
    assert (stripe.start, stripe.stop, stripe.wanted) == (0, segment.shard_length, tuple(range(29)))


def test_a_few_bytes_take_the_leaves_of_one_chunk() -> None:
    segment = Segment(ID, bytes(WRAPPED_KEY_SIZE), 64 * 2**20, 29, 80, ())
    assert cost_of(segment, Part(0, 5_000_000, 5_000_001)) <= CHUNK_SIZE + 3 * LEAF_SIZE


def test_memory_is_used_again() -> None:
    memory = Memory()
    first = memory.take(1_000)
    memory.give_back(first)
    assert memory.take(900) is first
    assert memory.take(900) is not first
