"""How a round is cut into challenges, and how many leaves each asks for."""

import os
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from node.agreement import Agreement
from node.audit import MAX_CLAIM_BYTES, claim_bytes, good_indices
from node.db.renter_shards import ShardRecord, ShardState
from node.messages import MAX_ITEMS
from node.renter.batches import Subject, group_subjects, leaves_each, to_items
from payments.types import Amount, NodeId, Seconds, Timestamp

TERMS = Agreement(
    renter=NodeId(b"r" * 32),
    farmer=NodeId(b"f" * 32),
    shard_length=2_314_000,
    leaf_count=2_260,
    data_root=b"d" * 32,
    step=Amount(10),
    audit_interval=Seconds(86_400),
    response_deadline=Seconds(60),
    grace=Seconds(60),
    download_price=Amount(1),
    start=Timestamp(0),
    end=Timestamp(10**9),
)


def subjects(count: int, leaves: int = 2_260) -> list[Subject]:
    terms = replace(TERMS, leaf_count=leaves)
    return [
        Subject(
            ShardRecord(
                number.to_bytes(32, "big"), b"f" * 16, 0, 0, ShardState.STORED, terms, b"", Timestamp(0)
            ),
            "file",
            1,
        )
        for number in range(count)
    ]


def test_few_shards_are_asked_for_four_leaves_each() -> None:
    (group,) = group_subjects(subjects(10))
    assert leaves_each(group) == 4
    assert all(len(item.indices) == 4 for item in to_items(group, os.urandom))


def test_many_shards_are_asked_for_one_leaf_each_in_several_challenges() -> None:
    groups = group_subjects(subjects(150))
    assert sum(map(len, groups)) == 150
    assert len(groups) == 3
    assert leaves_each(groups[0]) == 1


def test_small_shards_have_fewer_leaves() -> None:
    assert all(item.indices == (0,) for item in to_items(subjects(5, leaves=1), os.urandom))
    assert all(item.indices == (0, 1) for item in to_items(subjects(5, leaves=2), os.urandom))


def test_a_challenge_is_worth_no_more_than_the_farmer_lends() -> None:
    groups = group_subjects(subjects(10), most=Amount(35))
    assert [len(group) for group in groups] == [3, 3, 3, 1]
    assert [len(group) for group in group_subjects(subjects(3), most=Amount(5))] == [1, 1, 1]


def test_nothing_to_ask_is_no_challenge() -> None:
    assert group_subjects([]) == []


@given(count=st.integers(1, 300), leaves=st.sampled_from([1, 2, 3, 50, 2_260, 2**40]))
def test_every_challenge_fits_a_claim_and_a_message(count: int, leaves: int) -> None:
    asked = subjects(count, leaves)
    groups = group_subjects(asked)
    assert [subject for group in groups for subject in group] == asked
    for group in groups:
        items = to_items(group, os.urandom)
        assert len(items) <= MAX_ITEMS
        assert sum(map(claim_bytes, items)) <= MAX_CLAIM_BYTES
        assert all(map(good_indices, items))
        assert len({item.indices for item in items}) > 1 or leaves < 5 or len(items) == 1
