"""Challenges: the condition, the choice of leaves, what a farmer refuses."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.audit import (
    MAX_CLAIM_BYTES,
    MAX_INDICES,
    Challenge,
    Item,
    challenge_digest,
    check_challenge,
    choose_indices,
    claim_bytes,
    good_indices,
)
from node.errors import (
    BadIndices,
    ChallengeTooLarge,
    EmptyChallenge,
    ItemDiffers,
    RepeatedAgreement,
    TooLittleRandomness,
    UnknownAgreement,
)
from node.merkle import LEAF_SIZE, Commitment
from payments.eip712 import Domain
from payments.errors import MalformedValue
from payments.types import Address
from tests.node.support import (
    DOMAIN,
    OTHER_DOMAIN,
    from_vector,
    make_item,
    make_shard,
    reference_digest,
    seeded,
)

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "payments" / "vectors.json").read_text()
)["vectors"]

words = st.binary(min_size=32, max_size=32)
uints = st.integers(0, 2**64 - 1)
domains = st.builds(Domain, st.integers(0, 2**256 - 1), st.binary(min_size=20, max_size=20).map(Address))
items = st.builds(Item, words, words, uints, st.lists(uints, max_size=4).map(tuple))
challenges = st.builds(Challenge, words, st.lists(items, max_size=4).map(tuple))
lengths = st.integers(1, 30 * LEAF_SIZE)

SHARD = make_shard(5 * LEAF_SIZE + 100)
ITEM = make_item(SHARD, (0, 3, 5), seeded("agreement"))


# The condition


def in_words(challenge: Challenge) -> dict[str, Any]:
    return {
        "auditId": challenge.audit_id,
        "items": [
            {
                "agreement": item.agreement,
                "dataRoot": item.data_root,
                "leafCount": item.leaf_count,
                "indices": list(item.indices),
            }
            for item in challenge.items
        ],
    }


@given(domains, challenges)
def test_condition_equals_the_general_encoders(domain: Domain, challenge: Challenge) -> None:
    assert challenge_digest(domain, challenge) == reference_digest(domain, "Challenge", in_words(challenge))


@pytest.mark.parametrize(
    "vector",
    [vector for vector in VECTORS if vector["primaryType"] == "Challenge"],
    ids=lambda v: v["digest"],
)
def test_condition_is_that_of_the_committed_vectors(vector: dict[str, Any]) -> None:
    message = from_vector(vector["message"])
    challenge = Challenge(
        message["auditId"],
        tuple(
            Item(item["agreement"], item["dataRoot"], item["leafCount"], tuple(item["indices"]))
            for item in message["items"]
        ),
    )
    domain = from_vector(vector["domain"])
    digest = challenge_digest(Domain(domain["chainId"], Address(domain["verifyingContract"])), challenge)
    assert "0x" + digest.hex() == vector["digest"]


def test_condition_binds_every_field() -> None:
    challenge = Challenge(seeded("audit"), (ITEM,))
    others = [
        replace(challenge, audit_id=seeded("another audit")),
        replace(challenge, items=()),
        replace(challenge, items=(ITEM, ITEM)),
        *(
            replace(challenge, items=(replace(ITEM, **change),))
            for change in (
                {"agreement": seeded("another")},
                {"data_root": seeded("another")},
                {"leaf_count": 7},
                {"indices": (0, 3)},
                {"indices": (0, 3, 4)},
            )
        ),
    ]
    digests = {challenge_digest(DOMAIN, other) for other in (challenge, *others)}
    assert len(digests | {challenge_digest(OTHER_DOMAIN, challenge)}) == len(others) + 2


@pytest.mark.parametrize(
    "change",
    [{"agreement": bytes(31)}, {"data_root": bytes(33)}, {"leaf_count": 2**64}, {"indices": (-1,)}],
    ids=str,
)
def test_an_item_that_solidity_could_not_hold_does_not_exist(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedValue):
        replace(ITEM, **change)
    with pytest.raises(MalformedValue):
        Challenge(bytes(31), ())


# Choosing leaves


@given(st.integers(1, 2**64 - 1), st.integers(0, 9), st.binary(min_size=16, max_size=64))
def test_chosen_indices_are_those_of_a_good_item(leaves: int, count: int, randomness: bytes) -> None:
    chosen = choose_indices(leaves, count, randomness)
    assert len(chosen) == min(count, MAX_INDICES, leaves)
    assert chosen == tuple(sorted(set(chosen)))
    assert all(0 <= index < leaves for index in chosen)
    assert choose_indices(leaves, count, randomness) == chosen


@pytest.mark.parametrize("leaves", [5, 6, 7, 9, 12])
def test_every_leaf_is_chosen_equally_often(leaves: int) -> None:
    rounds, count = 6000, 2
    seen = Counter(
        index
        for number in range(rounds)
        for index in choose_indices(leaves, count, seeded("draw", leaves, number))
    )
    expected = rounds * count / leaves
    chi_squared = sum((seen[index] - expected) ** 2 / expected for index in range(leaves))
    assert chi_squared < 35  # p < 0.001 even at 11 degrees of freedom; the draws are fixed, so is the answer


def test_every_pair_of_leaves_is_chosen_equally_often() -> None:
    pairs = Counter(choose_indices(5, 2, seeded("pair", number)) for number in range(5000))
    assert len(pairs) == 10
    assert all(400 < count < 600 for count in pairs.values())


def test_choice_needs_randomness_nobody_can_try_out() -> None:
    with pytest.raises(TooLittleRandomness):
        choose_indices(100, 4, bytes(15))


# What a farmer answers


HELD = {ITEM.agreement: Commitment(ITEM.data_root, len(SHARD))}


def test_a_challenge_of_ones_own_agreements_is_answered() -> None:
    check_challenge(Challenge(seeded("audit"), (ITEM,)), HELD)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"agreement": seeded("unknown")}, UnknownAgreement),
        ({"data_root": seeded("other")}, ItemDiffers),
        ({"leaf_count": 5}, ItemDiffers),
        ({"leaf_count": 7}, ItemDiffers),
        ({"indices": ()}, BadIndices),
        ({"indices": (3, 3)}, BadIndices),
        ({"indices": (3, 2)}, BadIndices),
        ({"indices": (0, 6)}, BadIndices),
        ({"indices": (0, 1, 2, 3, 4)}, BadIndices),
    ],
    ids=str,
)
def test_an_item_that_is_not_the_agreements_is_refused(
    change: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        check_challenge(Challenge(seeded("audit"), (replace(ITEM, **change),)), HELD)


def test_an_empty_challenge_is_refused() -> None:
    with pytest.raises(EmptyChallenge):
        check_challenge(Challenge(seeded("audit"), ()), HELD)


def test_an_agreement_is_asked_for_once_a_challenge() -> None:
    twice = Challenge(seeded("audit"), (ITEM, replace(ITEM, indices=(1,))))
    with pytest.raises(RepeatedAgreement) as caught:
        check_challenge(twice, HELD)
    assert caught.value.detail == {"agreement": "0x" + ITEM.agreement.hex()}


def test_a_challenge_whose_proof_does_not_fit_a_claim_is_refused() -> None:
    many = [replace(ITEM, agreement=seeded("agreement", number)) for number in range(64)]
    held = {item.agreement: Commitment(ITEM.data_root, len(SHARD)) for item in many}
    with pytest.raises(ChallengeTooLarge):
        check_challenge(Challenge(seeded("audit"), tuple(many)), held)
    fitting = MAX_CLAIM_BYTES // claim_bytes(ITEM)
    check_challenge(Challenge(seeded("audit"), tuple(many[:fitting])), held)
    with pytest.raises(ChallengeTooLarge):
        check_challenge(Challenge(seeded("audit"), tuple(many[: fitting + 1])), held)


def test_good_indices_need_no_list() -> None:
    assert good_indices(Item(bytes(32), bytes(32), 1, (0,)))
    assert not good_indices(Item(bytes(32), bytes(32), 0, (0,)))
