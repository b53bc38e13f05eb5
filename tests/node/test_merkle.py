"""The tree of RFC 9162: known vectors, streams cut anywhere, and proofs that must not pass."""

import json
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import CorruptTree, EmptyShard, LeafOutOfRange
from node.merkle import (
    HASH_SIZE,
    LEAF_SIZE,
    Commitment,
    Tree,
    TreeBuilder,
    build_tree,
    hash_leaf,
    hash_node,
    leaf_count,
    leaf_length,
    path_length,
    verify_path,
)
from tests.node.support import cut, make_shard

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors" / "merkle.json").read_text())

lengths = st.integers(1, 40 * LEAF_SIZE)
leaf_counts = st.integers(1, 70)


def rfc_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162, 2.1.1, word for word."""
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + rfc_root(leaves[:k]) + rfc_root(leaves[k:])).digest()


def rfc_path(m: int, leaves: list[bytes]) -> tuple[bytes, ...]:
    """PATH of RFC 9162, 2.1.3.1, word for word."""
    if len(leaves) == 1:
        return ()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if m < k:
        return (*rfc_path(m, leaves[:k]), rfc_root(leaves[k:]))
    return (*rfc_path(m - k, leaves[k:]), rfc_root(leaves[:k]))


# Vectors


@pytest.mark.parametrize("size", range(1, 9))
def test_root_is_that_of_the_known_vectors(size: int) -> None:
    leaves = [bytes.fromhex(leaf) for leaf in VECTORS["certificate_transparency"]["leaves"][:size]]
    tree = Tree.over(b"".join(map(hash_leaf, leaves)))
    assert tree.root.hex() == VECTORS["certificate_transparency"]["roots"][size - 1]


@pytest.mark.parametrize("vector", VECTORS["certificate_transparency"]["paths"], ids=str)
def test_path_is_that_of_the_known_vectors(vector: dict[str, Any]) -> None:
    leaves = [bytes.fromhex(leaf) for leaf in VECTORS["certificate_transparency"]["leaves"]]
    tree = Tree.over(b"".join(map(hash_leaf, leaves[: vector["size"]])))
    assert [node.hex() for node in tree.path(vector["index"])] == vector["path"]


@pytest.mark.parametrize("vector", VECTORS["shards"], ids=lambda vector: f"{vector['length']} bytes")
def test_shards_have_the_committed_roots_and_paths(vector: dict[str, Any]) -> None:
    shard = make_shard(vector["length"])
    tree = build_tree(shard)
    assert sha256(shard).hexdigest() == vector["sha256"]
    assert tree.leaf_count == vector["leaf_count"]
    assert tree.root.hex() == vector["root"]
    path = tuple(map(bytes.fromhex, vector["path"]))
    assert tree.path(vector["index"]) == path
    leaf = cut(shard)[vector["index"]]
    assert verify_path(leaf, vector["index"], vector["leaf_count"], path, tree.root)


# Building


@given(lengths)
def test_tree_is_the_one_the_rfc_defines(length: int) -> None:
    shard = make_shard(length)
    tree, leaves = build_tree(shard), cut(shard)
    assert tree.root == rfc_root(leaves)
    assert [tree.path(index) for index in range(len(leaves))] == [
        rfc_path(index, leaves) for index in range(len(leaves))
    ]


@given(lengths, st.lists(st.integers(0, 40 * LEAF_SIZE) | st.integers(0, 40).map(lambda n: n * LEAF_SIZE)))
def test_root_does_not_depend_on_how_the_stream_is_cut(length: int, cuts: list[int]) -> None:
    shard, builder = make_shard(length), TreeBuilder()
    for start, stop in pairwise([0, *sorted(min(at, length) for at in cuts), length]):
        builder.update(memoryview(shard)[start:stop])
    assert builder.finish() == build_tree(shard)
    assert builder.length == length


def test_builder_can_go_on_after_a_tree_was_taken() -> None:
    shard, builder = make_shard(5000), TreeBuilder()
    builder.update(shard[:1500])
    assert builder.finish() == build_tree(shard[:1500])
    builder.update(shard[1500:])
    assert builder.finish() == build_tree(shard)


def test_builder_takes_bytearrays_and_views_of_other_items() -> None:
    shard = make_shard(4096)
    for chunk in (bytearray(shard), memoryview(shard).cast("I")):
        assert build_tree(chunk) == build_tree(shard)


def test_a_shard_has_at_least_one_byte() -> None:
    for refused in (TreeBuilder().finish, lambda: leaf_count(0), lambda: Tree.over(b"")):
        with pytest.raises(EmptyShard):
            refused()


@pytest.mark.parametrize(
    ("length", "leaves", "last"),
    [(1, 1, 1), (1023, 1, 1023), (1024, 1, 1024), (1025, 2, 1), (2048, 2, 1024), (2_314_098, 2260, 882)],
)
def test_leaves_are_full_but_the_last(length: int, leaves: int, last: int) -> None:
    assert leaf_count(length) == leaves == Commitment(bytes(32), length).leaf_count
    assert leaf_length(leaves - 1, length) == last
    assert all(leaf_length(index, length) == LEAF_SIZE for index in range(leaves - 1))


def test_asking_for_a_leaf_that_is_not_there_is_our_fault() -> None:
    tree = build_tree(make_shard(3000))
    for index in (-1, 3):
        with pytest.raises(LeafOutOfRange):
            tree.path(index)
        with pytest.raises(LeafOutOfRange):
            leaf_length(index, 3000)


# Proofs


@given(st.data(), lengths)
def test_every_leaf_is_proven_by_its_path(data: st.DataObject, length: int) -> None:
    shard = make_shard(length)
    tree = build_tree(shard)
    index = data.draw(st.integers(0, tree.leaf_count - 1))
    path = tree.path(index)
    assert len(path) == path_length(index, tree.leaf_count)
    assert verify_path(cut(shard)[index], index, tree.leaf_count, path, tree.root)


@given(st.data(), lengths)
def test_a_proof_holds_for_one_index_and_one_size_only(data: st.DataObject, length: int) -> None:
    shard = make_shard(length)
    tree = build_tree(shard)
    size = tree.leaf_count
    index = data.draw(st.integers(0, size - 1))
    leaf, path = cut(shard)[index], tree.path(index)
    for other in range(-1, size + 2):
        assert verify_path(leaf, other, size, path, tree.root) == (other == index)


@given(st.data(), lengths)
def test_a_proof_of_another_size_passes_only_where_the_way_up_is_the_same(
    data: st.DataObject, length: int
) -> None:
    shard = make_shard(length)
    tree = build_tree(shard)
    index = data.draw(st.integers(0, tree.leaf_count - 1))
    other = data.draw(st.integers(0, 100))
    leaf, path = cut(shard)[index], tree.path(index)
    if verify_path(leaf, index, other, path, tree.root):
        assert path_length(index, other) == path_length(index, tree.leaf_count)
    if other <= index or other.bit_length() > tree.leaf_count.bit_length() + 1:
        assert not verify_path(leaf, index, other, path, tree.root)


@given(st.data(), st.integers(2, 40 * LEAF_SIZE))
def test_truncated_extended_and_swapped_paths_are_refused(data: st.DataObject, length: int) -> None:
    shard = make_shard(length)
    tree = build_tree(shard)
    index = data.draw(st.integers(0, tree.leaf_count - 1))
    leaf, path = cut(shard)[index], tree.path(index)
    extra = data.draw(st.sampled_from((bytes(32), tree.root, hash_leaf(leaf), *path)))
    place = data.draw(st.integers(0, len(path)))
    forged = [
        (*path[:place], extra, *path[place:]),
        path[:place] + path[place + 1 :],
        path[::-1],
        tuple(node[:-1] for node in path),
        tuple(node + b"\x00" for node in path),
        (b"".join(path),),
        path * 2,
        (),
    ]
    for other in forged:
        assert verify_path(leaf, index, tree.leaf_count, other, tree.root) == (other == path)


@given(st.data(), lengths)
def test_one_flipped_bit_anywhere_is_refused(data: st.DataObject, length: int) -> None:
    shard = make_shard(length)
    tree = build_tree(shard)
    index = data.draw(st.integers(0, tree.leaf_count - 1))
    parts = [cut(shard)[index], *tree.path(index), tree.root]
    which = data.draw(st.integers(0, len(parts) - 1))
    bit = data.draw(st.integers(0, 8 * len(parts[which]) - 1))
    flipped = bytearray(parts[which])
    flipped[bit // 8] ^= 1 << bit % 8
    parts[which] = bytes(flipped)
    assert not verify_path(parts[0], index, tree.leaf_count, parts[1:-1], parts[-1])


@given(st.data(), st.integers(2 * LEAF_SIZE, 40 * LEAF_SIZE))
def test_a_leaf_of_another_length_is_refused(data: st.DataObject, length: int) -> None:
    shard = make_shard(length)
    tree = build_tree(shard)
    index = data.draw(st.integers(0, tree.leaf_count - 1))
    leaf, path = cut(shard)[index], tree.path(index)
    for other in (b"", leaf[:-1], leaf + b"\x00", leaf * 2, bytes(2048)):
        assert not verify_path(other, index, tree.leaf_count, path, tree.root)


def test_an_inner_leaf_must_be_full_even_if_its_hash_is_right() -> None:
    short = make_shard(100)
    tree = Tree.over(hash_leaf(short) + hash_leaf(make_shard(LEAF_SIZE)))
    assert not verify_path(short, 0, 2, tree.path(0), tree.root)


def test_an_empty_leaf_is_refused_even_if_its_hash_is_right() -> None:
    assert not verify_path(b"", 0, 1, (), hash_leaf(b""))


@given(lengths.filter(lambda length: length > LEAF_SIZE))
def test_an_inner_node_is_no_leaf(length: int) -> None:
    """The preimage of a node, 64 bytes, must not pass for a leaf of a smaller tree with the same root."""
    tree = build_tree(make_shard(length))
    for level in range(1, len(tree.levels)):
        below, here = tree.levels[level - 1], tree.levels[level]
        size = len(here) // HASH_SIZE
        for index in range(len(below) // (2 * HASH_SIZE)):
            preimage = below[index * 64 : index * 64 + 64]
            path = Tree.over(here).path(index)
            assert hash_node(preimage[:32], preimage[32:]) == here[index * 32 : index * 32 + 32]
            assert not verify_path(preimage, index, size, path, tree.root)
            assert not verify_path(b"\x01" + preimage, index, size, path, tree.root)


def test_one_old_proof_does_not_pass_for_the_next_challenge() -> None:
    shard = make_shard(8 * LEAF_SIZE)
    tree = build_tree(shard)
    old = cut(shard)[3], tree.path(3)
    assert [index for index in range(8) if verify_path(old[0], index, 8, old[1], tree.root)] == [3]


@given(
    st.binary(max_size=LEAF_SIZE + 2),
    st.integers(-(2**70), 2**70),
    st.integers(-(2**70), 2**70),
    st.lists(st.binary(max_size=40), max_size=70),
    st.binary(max_size=40),
)
def test_verification_never_raises(
    leaf: bytes, index: int, size: int, path: list[bytes], root: bytes
) -> None:
    assert not verify_path(leaf, index, size, path, root)


def test_work_is_bounded_by_the_path_not_by_the_claimed_size() -> None:
    assert not verify_path(bytes(LEAF_SIZE), 0, 2**64, [bytes(32)] * 100_000, bytes(32))


# The cached tree


@given(lengths)
def test_a_tree_survives_the_disk(length: int) -> None:
    tree = build_tree(make_shard(length))
    read = Tree.from_bytes(tree.to_bytes())
    read.check()
    assert read == tree


@given(st.data(), lengths)
def test_a_cut_or_longer_tree_is_named_corrupt(data: st.DataObject, length: int) -> None:
    written = build_tree(make_shard(length)).to_bytes()
    cut_at = data.draw(st.integers(0, len(written) - 1))
    for bad in (written[:cut_at], written + b"\x00", b"x" + written[1:]):
        with pytest.raises(CorruptTree):
            Tree.from_bytes(bad)


@given(st.binary(max_size=400) | st.binary(max_size=400).map(lambda rest: b"tithetr1" + rest))
def test_any_bytes_are_a_tree_or_named_corrupt(data: bytes) -> None:
    try:
        tree = Tree.from_bytes(data)
    except CorruptTree:
        return
    assert tree.to_bytes() == data


@given(st.data(), st.integers(LEAF_SIZE + 1, 40 * LEAF_SIZE))
def test_a_flipped_bit_in_a_cached_tree_is_found(data: st.DataObject, length: int) -> None:
    tree = build_tree(make_shard(length))
    level = data.draw(st.integers(0, len(tree.levels) - 1))
    bit = data.draw(st.integers(0, 8 * len(tree.levels[level]) - 1))
    flipped = bytearray(tree.levels[level])
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CorruptTree):
        Tree((*tree.levels[:level], bytes(flipped), *tree.levels[level + 1 :])).check()
