"""Proofs: what a renter believes of them, and what no proof can make it believe."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.audit import (
    Challenge,
    Fault,
    Item,
    ItemProof,
    Proof,
    choose_indices,
    verify_item,
    verify_proof,
)
from node.merkle import LEAF_SIZE, Tree, build_tree, hash_leaf
from payments.eip712 import Domain
from payments.types import Address
from tests.node.support import (
    cut,
    make_audit,
    make_item,
    make_shard,
    prove,
    seeded,
)

words = st.binary(min_size=32, max_size=32)
uints = st.integers(0, 2**64 - 1)
domains = st.builds(Domain, st.integers(0, 2**256 - 1), st.binary(min_size=20, max_size=20).map(Address))
items = st.builds(Item, words, words, uints, st.lists(uints, max_size=4).map(tuple))
challenges = st.builds(Challenge, words, st.lists(items, max_size=4).map(tuple))
lengths = st.integers(1, 30 * LEAF_SIZE)

SHARD = make_shard(5 * LEAF_SIZE + 100)
ITEM = make_item(SHARD, (0, 3, 5), seeded("agreement"))


@given(st.data(), lengths)
def test_an_honest_proof_is_good(data: st.DataObject, length: int) -> None:
    shard = make_shard(length)
    leaves = build_tree(shard).leaf_count
    indices = choose_indices(leaves, data.draw(st.integers(1, 4)), data.draw(words))
    item = make_item(shard, indices, seeded("agreement"))
    proof = prove(item, shard)
    for known in (None, length):
        verdict = verify_item(item, proof, known)
        assert verdict.good
        assert verdict.index is None


def test_a_batch_is_judged_item_by_item() -> None:
    shards = make_shard(5000, 1), make_shard(6000, 2), make_shard(700, 3)
    challenge, proof = make_audit(*shards)
    assert [verdict.good for verdict in verify_proof(challenge, proof)] == [True] * 3
    one_wrong = Proof((proof.items[0], proof.items[0], proof.items[2]))
    assert [verdict.good for verdict in verify_proof(challenge, one_wrong)] == [True, False, True]
    agreements = [verdict.agreement for verdict in verify_proof(challenge, one_wrong)]
    assert agreements == [item.agreement for item in challenge.items]


def test_a_proof_with_too_few_or_too_many_items_proves_nothing() -> None:
    challenge, proof = make_audit(make_shard(5000, 1), make_shard(6000, 2))
    for other in (Proof(()), Proof(proof.items[:1]), Proof((*proof.items, proof.items[0]))):
        verdicts = verify_proof(challenge, other)
        assert [verdict.fault for verdict in verdicts] == [Fault.ITEMS_MISCOUNTED] * 2


GOOD = prove(ITEM, SHARD)
TREE = build_tree(SHARD)
FORGERIES: list[tuple[str, ItemProof, Fault]] = [
    ("nothing", ItemProof((), ()), Fault.LEAVES_MISCOUNTED),
    ("a leaf missing", ItemProof(GOOD.leaves[:2], GOOD.paths), Fault.LEAVES_MISCOUNTED),
    ("a path missing", ItemProof(GOOD.leaves, GOOD.paths[:2]), Fault.LEAVES_MISCOUNTED),
    ("one leaf more", ItemProof((*GOOD.leaves, b"x"), (*GOOD.paths, ())), Fault.LEAVES_MISCOUNTED),
    ("empty leaves", ItemProof((b"", b"", b""), GOOD.paths), Fault.LEAF_LENGTH),
    ("an empty last leaf", ItemProof((*GOOD.leaves[:2], b""), GOOD.paths), Fault.LEAF_LENGTH),
    ("a short inner leaf", ItemProof((GOOD.leaves[0][:-1], *GOOD.leaves[1:]), GOOD.paths), Fault.LEAF_LENGTH),
    (
        "a padded last leaf",
        ItemProof((*GOOD.leaves[:2], GOOD.leaves[2] + b"\x00"), GOOD.paths),
        Fault.NOT_IN_TREE,
    ),
    ("empty paths", ItemProof(GOOD.leaves, ((), (), ())), Fault.PATH_LENGTH),
    ("a truncated path", ItemProof(GOOD.leaves, (GOOD.paths[0][:-1], *GOOD.paths[1:])), Fault.PATH_LENGTH),
    (
        "an extended path",
        ItemProof(GOOD.leaves, ((*GOOD.paths[0], TREE.root), *GOOD.paths[1:])),
        Fault.PATH_LENGTH,
    ),
    (
        "swapped leaves",
        ItemProof((GOOD.leaves[1], GOOD.leaves[0], GOOD.leaves[2]), GOOD.paths),
        Fault.NOT_IN_TREE,
    ),
    (
        "leaf and path of another index",
        ItemProof((cut(SHARD)[1], *GOOD.leaves[1:]), (TREE.path(1), *GOOD.paths[1:])),
        Fault.NOT_IN_TREE,
    ),
    (
        "leaf and path of another tree",
        prove(make_item(make_shard(len(SHARD), 9), (0, 3, 5), bytes(32)), make_shard(len(SHARD), 9)),
        Fault.NOT_IN_TREE,
    ),
    (
        "hashes of 31 bytes",
        ItemProof(GOOD.leaves, tuple(tuple(n[:31] for n in p) for p in GOOD.paths)),
        Fault.NOT_IN_TREE,
    ),
]


@pytest.mark.parametrize(
    ("forged", "fault"), [row[1:] for row in FORGERIES], ids=[row[0] for row in FORGERIES]
)
def test_a_forged_proof_is_refused_with_its_reason(forged: ItemProof, fault: Fault) -> None:
    assert verify_item(ITEM, GOOD).good
    assert verify_item(ITEM, forged).fault is fault


def test_the_verdict_names_the_first_leaf_at_fault() -> None:
    forged = ItemProof((GOOD.leaves[0], GOOD.leaves[0], GOOD.leaves[0]), GOOD.paths)
    assert verify_item(ITEM, forged).index == 3


def test_the_last_leaf_has_the_length_the_shard_leaves_it() -> None:
    """The path of a shorter shard's last leaf is as right; only the known length tells them apart."""
    assert verify_item(ITEM, GOOD, len(SHARD)).good
    for other in (len(SHARD) - 1, len(SHARD) + 1):
        assert verify_item(ITEM, GOOD, other).fault is Fault.LEAF_LENGTH


def test_an_old_proof_does_not_answer_a_new_challenge() -> None:
    fresh = replace(ITEM, indices=(1, 2, 4))
    assert verify_item(fresh, GOOD).fault is not None
    shifted = replace(ITEM, indices=(0, 2, 5))
    assert verify_item(shifted, GOOD).index == 2


def test_a_proof_is_bound_to_the_size_of_the_tree() -> None:
    for leaves in (*range(ITEM.indices[-1] + 1, 6), *range(7, 40), 2**63):
        assert not verify_item(replace(ITEM, leaf_count=leaves), GOOD).good


def test_an_item_with_impossible_indices_proves_nothing() -> None:
    leaf = GOOD.leaves[0]
    twice = ItemProof((leaf, leaf), (GOOD.paths[0], GOOD.paths[0]))
    assert verify_item(replace(ITEM, indices=(0, 0)), twice).fault is Fault.LEAVES_MISCOUNTED


def test_a_tree_over_one_empty_leaf_proves_nothing() -> None:
    item = Item(bytes(32), hash_leaf(b""), 1, (0,))
    assert verify_item(item, ItemProof((b"",), ((),))).fault is Fault.LEAF_LENGTH


@given(
    challenges,
    st.lists(
        st.builds(
            ItemProof,
            st.lists(st.binary(max_size=40) | st.just(bytes(1024)), max_size=5).map(tuple),
            st.lists(st.lists(st.binary(max_size=33), max_size=5).map(tuple), max_size=5).map(tuple),
        ),
        max_size=4,
    ),
    st.integers(-5, 2**70),
)
def test_any_proof_of_any_challenge_gets_verdicts_not_exceptions(
    challenge: Challenge, parts: list[ItemProof], length: int
) -> None:
    lengths = {item.agreement: length for item in challenge.items}
    for known in (None, lengths):
        verdicts = verify_proof(challenge, Proof(tuple(parts)), known)
        assert [verdict.agreement for verdict in verdicts] == [item.agreement for item in challenge.items]
        assert not any(verdict.good for verdict in verdicts)


@given(st.data())
def test_a_proof_with_one_flipped_bit_is_refused(data: st.DataObject) -> None:
    parts = [*GOOD.leaves, *(node for path in GOOD.paths for node in path)]
    which = data.draw(st.integers(0, len(parts) - 1))
    bit = data.draw(st.integers(0, 8 * len(parts[which]) - 1))
    flipped = bytearray(parts[which])
    flipped[bit // 8] ^= 1 << bit % 8
    parts[which] = bytes(flipped)
    leaves, rest, paths = tuple(parts[:3]), parts[3:], []
    for path in GOOD.paths:
        paths.append(tuple(rest[: len(path)]))
        rest = rest[len(path) :]
    assert verify_item(ITEM, ItemProof(leaves, tuple(paths))).fault is Fault.NOT_IN_TREE


def test_tree_of_one_leaf_has_an_empty_path() -> None:
    shard = make_shard(10)
    item = make_item(shard, (0,), bytes(32))
    assert prove(item, shard, Tree.over(hash_leaf(shard))) == ItemProof((shard,), ((),))
    assert verify_item(item, prove(item, shard), 10).good
