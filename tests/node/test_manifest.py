"""Manifests: what goes in comes out, and nothing else does."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.erasure import shard_length
from node.errors import MalformedManifest, WrongMasterKey
from node.manifest import (
    MAX_NAME,
    File,
    Segment,
    Shard,
    decode_manifest,
    encode_manifest,
    open_manifest,
    seal_manifest,
)
from node.master_key import MasterKey
from node.segments import SEGMENT_SIZE, segment_lengths
from payments.types import NodeId, Timestamp

MASTER, NONCE = MasterKey(bytes(32)), b"n" * 24


def number(value: int) -> bytes:
    return value.to_bytes(32, "big")


def shard(index: int, agreement: int) -> Shard:
    return Shard(index, NodeId(number(index)), number(agreement), number(7))


@st.composite
def files(draw: st.DrawFn) -> File:
    size = draw(st.integers(0, 3000))
    segments = []
    for at, length in enumerate(segment_lengths(size, draw(st.integers(1024, 3000)))):
        n = draw(st.integers(1, 256))
        held = sorted(draw(st.sets(st.integers(0, n - 1), max_size=8)))
        shards = tuple(shard(index, 1000 * at + index) for index in held)
        segments.append(Segment(number(at), b"w" * 72, length, draw(st.integers(1, n)), n, shards))
    names = st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=50
    )
    created = draw(st.integers(0, 2**64 - 1))
    return File(
        draw(names), size, draw(st.binary(min_size=32, max_size=32)), Timestamp(created), tuple(segments)
    )


SEGMENT = Segment(number(1), b"w" * 72, 1000, 2, 3, (shard(0, 10), shard(2, 12)))
NEXT = Segment(number(2), b"v" * 72, 200, 2, 3, (shard(1, 21),))
FILE = File("tithe.txt", 1200, number(9), Timestamp(1_700_000_000), (SEGMENT, NEXT))


@given(files())
def test_a_manifest_survives_its_encoding(file: File) -> None:
    encoded = encode_manifest(file)
    assert decode_manifest(encoded) == file
    assert encode_manifest(decode_manifest(encoded)) == encoded


@given(files())
def test_a_sealed_manifest_opens_with_its_master_key_only(file: File) -> None:
    sealed = seal_manifest(file, MASTER, NONCE)
    assert open_manifest(sealed, MASTER) == file
    assert file.sha256 not in sealed
    with pytest.raises(WrongMasterKey):
        open_manifest(sealed, MasterKey(b"x" * 32))
    with pytest.raises(WrongMasterKey):
        open_manifest(sealed[:-1], MASTER)


def test_lengths_follow_from_the_plaintext() -> None:
    whole = Segment(number(1), b"w" * 72, SEGMENT_SIZE, 29, 80, ())
    assert whole.ciphertext_length == SEGMENT_SIZE + 16 * 1024
    assert whole.shard_length == shard_length(whole.ciphertext_length, 29) == 2_314_664
    assert whole.leaf_count == 2_261
    empty = replace(whole, plaintext_length=0)
    assert (empty.ciphertext_length, empty.shard_length, empty.leaf_count) == (16, 1, 1)


@given(st.binary(max_size=300))
def test_junk_is_refused(junk: bytes) -> None:
    for encoded in (junk, b"tithemf1" + junk):
        with pytest.raises(MalformedManifest):
            decode_manifest(encoded)


@given(st.integers(0, len(encode_manifest(FILE)) - 1))
def test_a_cut_manifest_is_refused(length: int) -> None:
    with pytest.raises(MalformedManifest):
        decode_manifest(encode_manifest(FILE)[:length])


@given(st.binary(min_size=1, max_size=200))
def test_bytes_after_the_end_are_refused(more: bytes) -> None:
    with pytest.raises(MalformedManifest):
        decode_manifest(encode_manifest(FILE) + more)


@given(files(), st.data())
def test_a_changed_manifest_is_refused_or_is_another_consistent_one(file: File, draw: st.DataObject) -> None:
    encoded = bytearray(encode_manifest(file))
    encoded[draw.draw(st.integers(0, len(encoded) - 1))] ^= draw.draw(st.integers(1, 255))
    try:
        other = decode_manifest(bytes(encoded))
    except MalformedManifest:
        return
    assert other != file
    assert encode_manifest(other) == encoded


def test_a_count_beyond_all_memory_is_refused_at_once() -> None:
    head = encode_manifest(FILE)[: 8 + 2 + len(FILE.name) + 48]
    with pytest.raises(MalformedManifest):
        decode_manifest(head + b"\xff" * 4)


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": "a\0b"},
        {"name": "\ud800"},
        {"name": "é" * (MAX_NAME // 2 + 1)},
        {"size": 1201},
        {"size": -1},
        {"sha256": bytes(31)},
        {"created": 2**64},
        {"segments": ()},
        {"segments": (NEXT, SEGMENT)},
        {"segments": (SEGMENT, replace(NEXT, id=SEGMENT.id))},
        {"segments": (SEGMENT, replace(NEXT, shards=(shard(1, 12),)))},
        {"segments": (SEGMENT, replace(NEXT, plaintext_length=0), NEXT)},
        {"size": 1000, "segments": (SEGMENT, replace(NEXT, plaintext_length=0))},
    ],
)
def test_a_file_that_does_not_add_up_cannot_be_made(change: dict[str, object]) -> None:
    with pytest.raises(MalformedManifest):
        replace(FILE, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"id": bytes(31)},
        {"wrapped_key": bytes(71)},
        {"plaintext_length": SEGMENT_SIZE + 1},
        {"plaintext_length": -1},
        {"k": 0},
        {"k": 4},
        {"n": 257},
        {"n": 2},
        {"shards": (shard(2, 1), shard(0, 2))},
        {"shards": (shard(1, 1), shard(1, 2))},
        {"shards": (shard(0, 1), replace(shard(1, 2), farmer=NodeId(number(0))))},
    ],
)
def test_a_segment_that_does_not_add_up_cannot_be_made(change: dict[str, object]) -> None:
    with pytest.raises(MalformedManifest):
        replace(SEGMENT, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [{"index": -1}, {"index": 256}, {"farmer": b""}, {"agreement": bytes(33)}, {"data_root": bytes(31)}],
)
def test_a_shard_out_of_bounds_cannot_be_made(change: dict[str, object]) -> None:
    with pytest.raises(MalformedManifest):
        replace(shard(0, 0), **change)  # type: ignore[arg-type]
