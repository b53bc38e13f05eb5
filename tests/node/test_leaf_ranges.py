"""Ranges of leaves: what proves them is what the RFC's tree says, and nothing else passes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import LeavesOutOfBounds
from node.leaf_ranges import LeafRange, prove_range, verify_range, whole_leaves
from node.merkle import HASH_SIZE, LEAF_SIZE, Tree, build_tree, hash_leaf, hash_node
from tests.node.support import cut, make_shard

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors" / "merkle.json").read_text())


@st.composite
def ranges(draw: st.DrawFn) -> tuple[bytes, LeafRange]:
    """A shard and some leaves of it."""
    length = draw(st.integers(1, 40 * LEAF_SIZE))
    leaves = -(-length // LEAF_SIZE)
    first = draw(st.integers(0, leaves - 1))
    return make_shard(length), LeafRange(first, draw(st.integers(first + 1, leaves)), leaves)


def bytes_of(shard: bytes, leaves: LeafRange) -> bytes:
    return shard[leaves.first * LEAF_SIZE : leaves.stop * LEAF_SIZE]


def rfc_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162, 2.1.1."""
    if len(leaves) == 1:
        return hash_leaf(leaves[0])
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return hash_node(rfc_root(leaves[:k]), rfc_root(leaves[k:]))


def outside(leaves: list[bytes], first: int, stop: int) -> list[bytes]:
    """Hashes of the largest subtrees of the RFC's tree that lie outside a range, from left to right."""
    if first >= len(leaves) or stop <= 0:
        return [rfc_root(leaves)]
    if len(leaves) == 1 or (first <= 0 and stop >= len(leaves)):
        return []
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return outside(leaves[:k], first, min(stop, k)) + outside(leaves[k:], first - k, stop - k)


@pytest.mark.parametrize("vector", VECTORS["certificate_transparency"]["paths"], ids=str)
def test_the_range_of_one_leaf_is_proven_by_its_known_path(vector: dict[str, Any]) -> None:
    leaves = [bytes.fromhex(leaf) for leaf in VECTORS["certificate_transparency"]["leaves"]]
    tree = Tree.over(b"".join(map(hash_leaf, leaves[: vector["size"]])))
    proof = prove_range(tree, LeafRange(vector["index"], vector["index"] + 1, vector["size"]))
    assert proof.hex() == "".join(vector["path"])


@pytest.mark.parametrize(
    "vector", VECTORS["ranges"], ids=lambda vector: f"{vector['first']}-{vector['stop']}"
)
def test_ranges_have_the_committed_proofs(vector: dict[str, Any]) -> None:
    shard = make_shard(vector["length"])
    leaves = LeafRange(vector["first"], vector["stop"], -(-vector["length"] // LEAF_SIZE))
    tree = build_tree(shard)
    proof = prove_range(tree, leaves)
    assert [proof[at : at + HASH_SIZE].hex() for at in range(0, len(proof), HASH_SIZE)] == vector["proof"]
    assert tree.root.hex() == vector["root"]
    assert verify_range(bytes_of(shard, leaves), leaves, len(shard), proof, tree.root)


@given(ranges())
def test_a_proof_is_made_of_the_largest_subtrees_beside_the_range(drawn: tuple[bytes, LeafRange]) -> None:
    shard, leaves = drawn
    proof = prove_range(build_tree(shard), leaves)
    hashes = {proof[at : at + HASH_SIZE] for at in range(0, len(proof), HASH_SIZE)}
    expected = outside(cut(shard), leaves.first, leaves.stop)
    assert hashes == set(expected)
    assert len(proof) == leaves.proof_size == HASH_SIZE * len(expected)


@given(ranges())
def test_a_range_with_its_proof_passes(drawn: tuple[bytes, LeafRange]) -> None:
    shard, leaves = drawn
    tree = build_tree(shard)
    data, proof = bytes_of(shard, leaves), prove_range(tree, leaves)
    assert verify_range(memoryview(data), leaves, len(shard), memoryview(proof), tree.root)


@given(ranges(), st.data())
def test_one_flipped_bit_anywhere_is_noticed(drawn: tuple[bytes, LeafRange], data: st.DataObject) -> None:
    shard, leaves = drawn
    tree = build_tree(shard)
    answer = bytearray(bytes_of(shard, leaves))
    size = len(answer)
    answer += prove_range(tree, leaves)
    answer[data.draw(st.integers(0, len(answer) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert not verify_range(bytes(answer[:size]), leaves, len(shard), bytes(answer[size:]), tree.root)


@given(ranges(), st.integers(-40, 40).filter(bool))
def test_lengths_are_exact(drawn: tuple[bytes, LeafRange], by: int) -> None:
    shard, leaves = drawn
    tree = build_tree(shard)
    data, proof = bytes_of(shard, leaves), prove_range(tree, leaves)
    longer, shorter = bytes(max(0, by)), min(0, by)
    for wrong in ((data + longer)[: len(data + longer) + shorter], b""):
        assert not verify_range(wrong, leaves, len(shard), proof, tree.root)
    wrong = (proof + longer)[: max(0, len(proof + longer) + shorter)]
    if wrong != proof:
        assert not verify_range(data, leaves, len(shard), wrong, tree.root)


@given(ranges(), ranges())
def test_a_range_passes_for_no_other(one: tuple[bytes, LeafRange], other: tuple[bytes, LeafRange]) -> None:
    shard, leaves = one
    tree = build_tree(shard)
    data, proof = bytes_of(shard, leaves), prove_range(tree, leaves)
    asked = other[1]
    if asked != leaves:
        assert not verify_range(data, asked, len(other[0]), proof, tree.root)
    for wrong in (
        replace(leaves, leaves=leaves.leaves + 1),
        replace(leaves, first=-1),
        replace(leaves, stop=0),
    ):
        assert not verify_range(data, wrong, len(shard), proof, tree.root)


@pytest.mark.parametrize(
    ("offset", "length", "good"),
    [
        *((at, length, True) for at, length in ((0, 3000), (1024, 1024), (1024, 1976), (2048, 952))),
        *((at, length, False) for at, length in ((1, 1024), (0, 1000), (2048, 951), (2048, 1024))),
        *((at, length, False) for at, length in ((3072, 1), (0, 0), (1024, -1024), (-1024, 1024))),
    ],
)
def test_a_read_is_of_whole_leaves_inside_the_shard(offset: int, length: int, *, good: bool) -> None:
    if good:
        assert LeafRange.of(offset, length, 3000).leaves == 3
    else:
        with pytest.raises(LeavesOutOfBounds):
            LeafRange.of(offset, length, 3000)


def test_another_trees_range_is_our_fault() -> None:
    with pytest.raises(LeavesOutOfBounds):
        prove_range(build_tree(make_shard(3000)), LeafRange(0, 1, 4))


@given(st.integers(1, 9000), st.data())
def test_whole_leaves_hold_what_was_asked_for_and_hardly_more(length: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, length - 1))
    stop = data.draw(st.integers(start + 1, length))
    offset, taken = whole_leaves(start, stop, length)
    assert offset <= start < stop <= offset + taken <= length
    assert taken < stop - start + 2 * LEAF_SIZE
    LeafRange.of(offset, taken, length)
