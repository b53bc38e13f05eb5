"""Challenges and proofs: the condition, the choice of leaves, what a farmer refuses, a renter believes."""

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
    Answer,
    Challenge,
    Fault,
    Item,
    ItemProof,
    Outcome,
    Proof,
    Try,
    Window,
    challenge_digest,
    check_challenge,
    choose_indices,
    claim_bytes,
    classify,
    good_indices,
    try_times,
    verify_item,
    verify_proof,
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
from node.merkle import LEAF_SIZE, Commitment, Tree, build_tree, hash_leaf
from payments.eip712 import Domain
from payments.errors import MalformedValue
from payments.types import Address
from tests.node.support import (
    DOMAIN,
    OTHER_DOMAIN,
    cut,
    from_vector,
    make_audit,
    make_item,
    make_shard,
    prove,
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


# What a renter believes


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


# Outcomes


WINDOW = Window(opened_at=1000, response_deadline=300, end=10_000)
S, U, E = Answer.SILENT, Answer.UNREACHABLE, Answer.OUR_FAULT


def tries(*made: tuple[int, Answer]) -> list[Try]:
    return [Try(at, answer) for at, answer in made]


def test_three_tries_are_spread_over_the_window() -> None:
    assert try_times(WINDOW) == (1000, 1100, 1200)
    assert WINDOW.closes_at == 1300


@pytest.mark.parametrize(
    ("made", "now", "outcome"),
    [
        # while the farmer has time
        ([], 1000, None),
        ([(1000, S)], 1299, None),
        ([(1000, S), (1100, S), (1200, S)], 1299, None),
        ([(1000, U)], 1299, None),
        # a proof, whenever it comes
        ([(1000, Answer.PROVEN)], 1000, Outcome.PASSED),
        ([(1000, S), (1100, S), (1200, S), (5000, Answer.PROVEN)], 5000, Outcome.PASSED),
        ([(1000, Answer.DISPROVED), (1100, Answer.PROVEN)], 1100, Outcome.PASSED),
        ([(1000, Answer.PROVEN)], 20_000, Outcome.PASSED),
        # lost data
        ([(1000, Answer.DISPROVED)], 1000, Outcome.FAILED),
        ([(1000, Answer.DECLINED)], 1000, Outcome.FAILED),
        ([(1000, S), (1100, S), (1200, S)], 1300, Outcome.FAILED),
        ([(1000, S), (1000, E), (1150, S), (1299, S)], 1300, Outcome.FAILED),
        ([(1000, S), (1100, S), (1150, U), (1200, S)], 1300, Outcome.FAILED),
        # no answer, but not three tries over the whole window
        ([(1000, S), (1100, S)], 1300, Outcome.TIMED_OUT),
        ([(1000, S), (1001, S), (1002, S)], 1300, Outcome.TIMED_OUT),
        ([(1000, S), (1100, U), (1200, S)], 1300, Outcome.TIMED_OUT),
        ([(1000, U), (1100, U), (1200, S)], 1300, Outcome.TIMED_OUT),
        # never reached
        ([(1000, U)], 1300, Outcome.OFFLINE),
        ([(1000, U), (1100, E), (1200, U)], 1300, Outcome.OFFLINE),
        # never asked
        ([], 1300, Outcome.UNCHECKED),
        ([(1000, E), (1100, E), (1200, E)], 1300, Outcome.UNCHECKED),
        # over
        ([(1000, S), (1100, S), (1200, S)], 10_000, Outcome.NOT_NEEDED),
        ([], 10_000, Outcome.NOT_NEEDED),
    ],
    ids=str,
)
def test_outcome_of_the_tries(made: list[tuple[int, Answer]], now: int, outcome: Outcome | None) -> None:
    assert classify(tries(*made), WINDOW, now) is outcome


@pytest.mark.parametrize("deadline", [0, 1, 2])
def test_a_tiny_deadline_is_no_way_to_stay_silent(deadline: int) -> None:
    window = Window(1000, deadline, 10_000)
    silent = [Try(at, Answer.SILENT) for at in try_times(window)]
    assert len({attempt.at for attempt in silent}) == 3
    assert classify(silent, window, window.closes_at) is Outcome.FAILED


@given(
    st.lists(st.tuples(st.integers(900, 11_000), st.sampled_from(Answer)), max_size=6),
    st.integers(900, 11_000),
)
def test_only_a_verified_proof_earns_and_our_own_faults_never_cost_the_farmer(
    made: list[tuple[int, Answer]], now: int
) -> None:
    outcome = classify(tries(*made), WINDOW, now)
    answers = {answer for _, answer in made}
    assert (outcome is Outcome.PASSED) == (Answer.PROVEN in answers)
    if outcome is Outcome.FAILED:
        assert answers & {Answer.DISPROVED, Answer.DECLINED, Answer.SILENT}
    without_ours = [(at, answer) for at, answer in made if answer is not Answer.OUR_FAULT]
    if without_ours:
        assert classify(tries(*without_ours), WINDOW, now) is outcome


def test_good_indices_need_no_list() -> None:
    assert good_indices(Item(bytes(32), bytes(32), 1, (0,)))
    assert not good_indices(Item(bytes(32), bytes(32), 0, (0,)))


def test_tree_of_one_leaf_has_an_empty_path() -> None:
    shard = make_shard(10)
    item = make_item(shard, (0,), bytes(32))
    assert prove(item, shard, Tree.over(hash_leaf(shard))) == ItemProof((shard,), ((),))
    assert verify_item(item, prove(item, shard), 10).good
