"""The erasure code: zfec's bytes from ISA-L, and any k shards are enough."""

import os
import random
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest
import zfec
import zfec.easyfec
import zfec.filefec
from hypothesis import given
from hypothesis import strategies as st

from node import isal
from node.erasure import Codec, pieces_covering, shard_length
from node.errors import CodeOutOfRange, NotEnoughShards, ShardOutOfRange, WrongShardLength

CODES = [
    (1, 1),
    (1, 5),
    (2, 3),
    (3, 10),
    (4, 4),
    (4, 12),
    (16, 32),
    (29, 80),
    (63, 64),
    (100, 256),
    (256, 256),
]
SIZES = [0, 1, 15, 16, 29, 63, 64, 65, 1000, 4096, 65_552, 200_003]

codes = st.integers(1, 256).flatmap(lambda n: st.tuples(st.integers(1, n), st.just(n)))


def as_bytes(shards: list[memoryview]) -> list[bytes]:
    return [bytes(shard) for shard in shards]


def test_isal_is_there_and_trusted() -> None:
    assert isal.load() is not None
    assert Codec(29, 80)._kernel(1000) is isal.load()
    assert Codec(29, 80, plain=True)._kernel(1000) is None


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("k", "n"), CODES)
def test_isal_gives_zfecs_bytes(k: int, n: int, size: int) -> None:
    data = os.urandom(size)
    assert as_bytes(Codec(k, n).encode(data)) == as_bytes(Codec(k, n, plain=True).encode(data))


@given(codes, st.binary(max_size=40), st.integers(0, 300), st.randoms(use_true_random=False))
def test_both_ways_decode_any_k_shards(
    code: tuple[int, int], seed: bytes, repeats: int, chance: random.Random
) -> None:
    codec, data = Codec(*code), seed * repeats
    shards = as_bytes(codec.encode(data))
    assert shards == zfec.easyfec.Encoder(*code).encode(data)
    chosen = chance.sample(range(codec.n), codec.k)
    given_shards = {index: shards[index] for index in chosen}
    assert codec.decode(given_shards, len(data)) == data
    assert Codec(*code, plain=True).decode(given_shards, len(data)) == data


@pytest.mark.parametrize("plain", [False, True])
def test_every_erasure_pattern_of_a_small_code_decodes(plain: bool) -> None:
    data = os.urandom(1001)
    codec = Codec(4, 8, plain=plain)
    shards = codec.encode(data)
    for size in range(4, 9):
        for chosen in combinations(range(8), size):
            assert codec.decode({index: shards[index] for index in chosen}, len(data)) == data


def test_worst_and_random_patterns_of_29_of_80_decode() -> None:
    data = os.urandom(300_001)
    codec, chance = Codec(29, 80), random.Random(7)
    shards = codec.encode(data)
    patterns = [range(51, 80), range(1, 30), *(chance.sample(range(80), 29) for _ in range(200))]
    for chosen in patterns:
        assert codec.decode({index: shards[index] for index in chosen}, len(data)) == data


@pytest.mark.parametrize("size", [64, 1003, 16_384 * 29 + 1, 29 * 2**15, 29 * (2**14 + 63)])
def test_strips_and_tails_leave_no_seam(size: int) -> None:
    data = os.urandom(size)
    shards = Codec(29, 80).encode(data)
    last = range(51, 80)
    assert as_bytes(shards) == zfec.easyfec.Encoder(29, 80).encode(data)
    assert Codec(29, 80).decode({index: shards[index] for index in last}, size) == data


def test_data_shards_are_copied_and_parity_is_not_looked_at_when_none_is_missing() -> None:
    data = os.urandom(1000)
    shards = dict(enumerate(Codec(4, 8).encode(data)))
    assert Codec(4, 8).decode(shards | {7: memoryview(bytes(250))}, 1000) == data


def test_full_data_shards_are_views_of_the_ciphertext() -> None:
    data = bytearray(os.urandom(1001))
    shards = Codec(4, 8).encode(data)
    assert [shard.obj is data for shard in shards] == [True] * 3 + [False] * 5


def test_buffers_serve_again_for_larger_and_smaller_segments() -> None:
    parity, whole, codec = bytearray(), bytearray(), Codec(3, 7)
    for size in (1000, 5000, 10, 5000):
        data = os.urandom(size)
        shards = codec.encode(data, parity)
        assert all(shard.obj is parity for shard in shards[3:]) or size < 3 * isal.MIN_LENGTH
        decoded = codec.decode({index: shards[index] for index in (2, 4, 6)}, size, whole)
        assert decoded == data
        assert decoded.obj is whole
        for view in [*shards, decoded]:
            view.release()


@given(st.integers(1, 12), st.integers(0, 8), st.integers(1, 900), st.randoms(use_true_random=False))
def test_rebuilt_shards_are_those_that_were_lost(k: int, more: int, size: int, chance: random.Random) -> None:
    data, codec = os.urandom(size), Codec(k, k + more)
    shards = as_bytes(codec.encode(data))
    kept = chance.sample(range(codec.n), k)
    lost = [index for index in range(codec.n) if index not in kept]
    chance.shuffle(lost)
    for plain in (False, True):
        rebuilt = Codec(k, k + more, plain=plain).rebuild({index: shards[index] for index in kept}, lost)
        assert as_bytes(rebuilt) == [shards[index] for index in lost]


def test_a_range_of_a_lost_shard_needs_only_that_range_of_the_others() -> None:
    shards = Codec(4, 8).encode(os.urandom(4000))
    (part,) = Codec(4, 8).rebuild({index: shards[index][300:500] for index in (0, 2, 5, 7)}, [1])
    assert part == shards[1][300:500]


@given(st.integers(1, 9), st.integers(1, 200), st.data())
def test_pieces_say_where_a_range_lies(k: int, size: int, draw: st.DataObject) -> None:
    data = os.urandom(size)
    start = draw.draw(st.integers(0, size - 1))
    stop = draw.draw(st.integers(start + 1, size))
    shards, length = Codec(k, k).encode(data), shard_length(size, k)
    found = [shards[piece.index][piece.start : piece.stop] for piece in pieces_covering(start, stop, length)]
    assert b"".join(found) == data[start:stop]


@pytest.mark.parametrize(("k", "n"), [(0, 1), (-1, 3), (5, 4), (2, 257)])
def test_impossible_codes_are_refused(k: int, n: int) -> None:
    with pytest.raises(CodeOutOfRange):
        Codec(k, n)


@pytest.mark.parametrize("plain", [False, True])
def test_bad_shards_are_named(plain: bool) -> None:
    codec = Codec(3, 6, plain=plain)
    shards = dict(enumerate(codec.encode(os.urandom(600))))
    with pytest.raises(NotEnoughShards) as few:
        codec.decode({1: shards[1], 5: shards[5]}, 600)
    assert (few.value.have, few.value.needed) == (2, 3)
    with pytest.raises(WrongShardLength) as short:
        codec.decode(shards | {4: shards[4][:-1]}, 600)
    assert (short.value.index, short.value.length, short.value.expected) == (4, 199, 200)
    with pytest.raises(ShardOutOfRange):
        codec.decode(shards | {6: shards[0]}, 600)
    with pytest.raises(ShardOutOfRange):
        codec.rebuild(shards, [-1])
    with pytest.raises(NotEnoughShards):
        codec.rebuild({}, [0])


def test_a_kernel_refuses_to_write_into_read_only_memory() -> None:
    kernel = isal.load()
    assert kernel is not None
    with pytest.raises(BufferError):
        kernel.multiply(kernel.expand(b"\x01", 1), [bytes(64)], [bytes(64)])


def test_a_singular_matrix_has_no_inverse() -> None:
    kernel = isal.load()
    assert kernel is not None
    with pytest.raises(ArithmeticError):
        kernel.invert(bytes(4), 2)


@given(codes, st.binary(min_size=1, max_size=500), st.randoms(use_true_random=False))
def test_plain_easyfec_decodes_our_shards(code: tuple[int, int], data: bytes, chance: random.Random) -> None:
    k, n = code
    shards = as_bytes(Codec(k, n).encode(data))
    chosen = chance.sample(range(n), k)
    padding = shard_length(len(data), k) * k - len(data)
    decoded = zfec.easyfec.Decoder(k, n).decode([shards[index] for index in chosen], chosen, padding)
    assert decoded == data


def zfec_tool(name: str, *args: str | Path) -> None:
    subprocess.run([Path(sys.executable).with_name(name), *args], check=True, capture_output=True)


@pytest.mark.parametrize("size", [1, 3999, 4 * 4096])
def test_zfecs_command_line_tools_read_our_shards_and_we_read_theirs(tmp_path: Path, size: int) -> None:
    """The tools work in rounds of 4 KiB a shard and put a short header first; a shard of one round is the
    same.
    """
    data, codec = os.urandom(size), Codec(4, 8)
    (tmp_path / "file").write_bytes(data)
    zfec_tool("zfec", "-k", "4", "-m", "8", "-d", tmp_path, tmp_path / "file")
    pad = zfec.filefec.pad_size(size, 4)
    headers = [zfec.filefec._build_header(8, 4, pad, index) for index in range(8)]
    theirs = [(tmp_path / f"file.{index}_8.fec").read_bytes() for index in range(8)]
    ours = [header + shard for header, shard in zip(headers, codec.encode(data), strict=True)]
    assert ours == theirs
    for index in (1, 4, 6, 7):
        (tmp_path / f"ours.{index}").write_bytes(ours[index])
    zfec_tool("zunfec", "-o", tmp_path / "out", *(tmp_path / f"ours.{index}" for index in (1, 4, 6, 7)))
    assert (tmp_path / "out").read_bytes() == data
