"""Proofs as the contract takes them: what stands where, and never more than was reckoned with."""

from hypothesis import given
from hypothesis import strategies as st

from node.audit import Challenge, Item, Proof, claim_bytes
from node.merkle import LEAF_SIZE, build_tree, leaf_count
from node.packed_proof import pack_item, pack_proof
from tests.node.support import make_audit, make_item, make_shard, prove, seeded

SHARD = make_shard(5 * LEAF_SIZE + 100)


def test_the_parts_stand_one_after_another() -> None:
    item = make_item(SHARD, (0, 5), seeded("agreement"))
    challenge = Challenge(seeded("audit"), (item,))
    tree = build_tree(SHARD)
    expected = seeded("audit") + seeded("agreement") + (6).to_bytes(8) + b"\2" + bytes(8) + (5).to_bytes(8)
    expected += SHARD[:LEAF_SIZE] + b"".join(tree.path(0))
    expected += (100).to_bytes(2) + SHARD[5 * LEAF_SIZE :] + b"".join(tree.path(5))
    assert pack_proof(challenge, Proof((prove(item, SHARD),))) == expected


def test_a_batch_is_its_items_after_the_audit() -> None:
    challenge, proof = make_audit(make_shard(5000, 1), make_shard(6000, 2), make_shard(700, 3))
    parts = map(pack_item, challenge.items, proof.items)
    assert pack_proof(challenge, proof) == challenge.audit_id + b"".join(parts)


@given(st.data(), st.integers(1, 20 * LEAF_SIZE))
def test_no_item_takes_more_than_was_reckoned_with(data: st.DataObject, length: int) -> None:
    shard = make_shard(length)
    count = leaf_count(length)
    indices = data.draw(st.sets(st.integers(0, count - 1), min_size=1, max_size=4))
    item = make_item(shard, tuple(sorted(indices)), seeded("agreement"))
    packed = pack_item(item, prove(item, shard))
    assert len(packed) <= claim_bytes(item)


def test_the_bound_is_reached_but_for_the_length_of_a_last_leaf() -> None:
    item = make_item(make_shard(8 * LEAF_SIZE), (7,), seeded("agreement"))
    assert len(pack_item(item, prove(item, make_shard(8 * LEAF_SIZE)))) == claim_bytes(item)
    assert claim_bytes(Item(bytes(32), bytes(32), 1, (0,))) == 41 + 8 + 2 + LEAF_SIZE
