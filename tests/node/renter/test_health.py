"""The checker's rules: what counts, when a segment is to be repaired, which is worst off, what is renewed."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.agreement import Agreement
from node.audit import Outcome
from node.db.renter_shards import ShardRecord, ShardState
from node.renter.health import (
    Condition,
    Known,
    Standing,
    file_condition,
    repair_threshold,
    segment_health,
    standing,
    to_be_renewed,
)
from node.renter.safety import Prepaid
from node.renter.schedule import DAY
from node.renter.succession import better
from payments.types import Amount, NodeId, Seconds, Timestamp

GRACE = 7 * DAY
LIFE = 90 * DAY
NOW = Timestamp(1_000_000)
PEERS = frozenset(NodeId(bytes([number]) * 32) for number in range(10))


def shard(index: int, *, farmer: int | None = None, start: int = NOW, life: int = LIFE) -> ShardRecord:
    node = NodeId(bytes([index if farmer is None else farmer]) * 32)
    terms = Agreement(
        renter=NodeId(b"r" * 32),
        farmer=node,
        shard_length=1_000,
        leaf_count=1,
        data_root=b"d" * 32,
        step=Amount(5),
        audit_interval=DAY,
        response_deadline=Seconds(60),
        grace=Seconds(GRACE),
        download_price=Amount(1),
        start=Timestamp(start),
        end=Timestamp(start + life),
    )
    name = bytes([index, start % 251]) * 16
    return ShardRecord(name, b"f" * 16, 0, index, ShardState.STORED, terms, b"s" * 64, Timestamp(start))


def known(
    now: int = NOW,
    away: dict[bytes, Timestamp] | None = None,
    scores: dict[NodeId, float] | None = None,
    until: int | None = None,
    peers: frozenset[NodeId] = PEERS,
) -> Known:
    keeps = {} if until is None else {b"f" * 16: Timestamp(until)}
    return Known(Timestamp(now), peers, away or {}, scores or {}, keeps)


@pytest.mark.parametrize(
    ("k", "n", "threshold"),
    [
        *[(29, 80, 52), (4, 12, 8), (2, 4, 3), (1, 3, 2), (1, 2, 2), (3, 3, 3), (1, 1, 1)],
        *[(40, 80, 59), (1, 20, 13), (29, 100, 65), (10, 256, 167)],
    ],
)
def test_the_threshold_leaves_the_same_share_of_all_and_of_what_may_be_lost(
    k: int, n: int, threshold: int
) -> None:
    assert repair_threshold(k, n) == threshold


@given(st.integers(1, 256).flatmap(lambda n: st.tuples(st.integers(1, n), st.just(n))))
def test_a_threshold_leaves_one_to_lose_before_it_is_too_late(code: tuple[int, int]) -> None:
    k, n = code
    assert min(k + 1, n) <= repair_threshold(k, n) <= n


def test_a_silent_farmer_is_missing_only_after_the_grace() -> None:
    one = shard(1)
    since = {one.agreement_id: NOW}
    assert standing(one, known()) is Standing.HEALTHY
    assert standing(one, known(NOW + GRACE, since)) is Standing.AWAY
    assert standing(one, known(NOW + GRACE + 1, since)) is Standing.MISSING


def test_a_forgotten_farmer_is_missing_until_it_is_met_again() -> None:
    one = shard(1)
    assert standing(one, known(peers=PEERS - {one.agreement.farmer})) is Standing.MISSING


def test_a_shard_that_could_not_be_audited_counts_until_its_farmer_may_delete_it() -> None:
    one = replace(shard(1), outcome=Outcome.UNCHECKED, paid_until=Timestamp(NOW + DAY))
    kept_until = NOW + DAY + DAY + GRACE
    assert standing(one, known(kept_until)) is Standing.HEALTHY
    assert standing(one, known(kept_until + 1)) is Standing.UNPAID
    assert not Standing.UNPAID.counts
    ahead = {one.agreement.farmer: Prepaid(Seconds(2 * DAY), Timestamp(NOW + DAY))}
    assert standing(one, replace(known(kept_until + DAY), prepaid=ahead)) is Standing.HEALTHY
    assert standing(replace(one, outcome=Outcome.PASSED), known(kept_until + 1)) is Standing.HEALTHY
    assert standing(replace(one, outcome=None), known(kept_until + 1)) is Standing.HEALTHY


def test_a_failed_audit_loses_a_shard_at_once_and_other_outcomes_do_not() -> None:
    for outcome in Outcome:
        found = standing(replace(shard(1), outcome=outcome), known())
        assert found is (Standing.LOST if outcome is Outcome.FAILED else Standing.HEALTHY)


def test_an_agreement_that_ends_does_not_count_if_its_file_is_to_be_kept_longer() -> None:
    one, end = shard(1), NOW + LIFE
    assert standing(one, known(end - 7 * DAY - 1)) is Standing.HEALTHY
    assert standing(one, known(end - 7 * DAY)) is Standing.ENDING
    assert standing(one, known(end + 1)) is Standing.ENDING
    assert standing(one, known(end - 1, until=end)) is Standing.HEALTHY
    assert standing(one, known(end - 1, until=end + 1)) is Standing.ENDING


def test_renewal_waits_for_the_last_days_and_a_passed_audit_but_not_too_long() -> None:
    one, end = shard(1), NOW + LIFE
    begins = end - 14 * DAY
    just_paid = replace(one, paid_until=Timestamp(begins))
    assert not to_be_renewed(just_paid, known(begins - 1))
    assert to_be_renewed(just_paid, known(begins + 60))
    assert not to_be_renewed(one, known(begins + 60))
    assert to_be_renewed(one, known(end - 10 * DAY))
    assert not to_be_renewed(one, known(end - 10 * DAY, until=end))
    assert not to_be_renewed(one, known(end - 10 * DAY, {one.agreement_id: Timestamp(end - 11 * DAY)}))


def test_a_short_agreement_is_renewed_in_its_last_third() -> None:
    short = shard(1, life=9 * DAY)
    assert not to_be_renewed(short, known(NOW + 6 * DAY - 1))
    assert to_be_renewed(replace(short, paid_until=Timestamp(NOW + 6 * DAY)), known(NOW + 6 * DAY))


def test_a_segment_counts_its_healthy_shards_and_names_the_others() -> None:
    shards = [shard(index) for index in range(6)]
    shards[2] = replace(shards[2], outcome=Outcome.FAILED)
    health = segment_health(0, 3, 8, shards, known())
    assert (health.healthy, health.missing, health.threshold) == (5, (2, 6, 7), 6)
    assert health.condition is Condition.WEAK
    assert segment_health(0, 3, 8, shards[:2], known()).condition is Condition.LOST
    assert segment_health(0, 3, 6, [*shards[:2], *shards[3:]], known()).condition is Condition.GOOD


def test_a_file_is_as_its_worst_segment() -> None:
    shards = [shard(index) for index in range(6)]
    good, weak, lost = (segment_health(0, 3, 6, shards[:count], known()) for count in (6, 4, 2))
    assert file_condition([good, good]) is Condition.GOOD
    assert file_condition([good, weak]) is Condition.WEAK
    assert file_condition([weak, lost, good]) is Condition.LOST


def test_danger_weighs_what_is_left_by_how_fast_it_is_lost() -> None:
    shards = [shard(index) for index in range(6)]
    away = {one.agreement_id: NOW for one in shards[:3]}
    unsteady = {one.agreement.farmer: 0.7 for one in shards}
    slack = [
        segment_health(0, 3, 6, shards[:4], known()).slack,
        segment_health(0, 3, 6, shards, known(scores=unsteady)).slack,
        segment_health(0, 3, 6, shards, known()).slack,
    ]
    assert slack[1] < slack[0] < slack[2]
    assert segment_health(0, 3, 6, shards, known(away=away)).slack < slack[0]
    assert (
        segment_health(0, 3, 6, [], known()).slack < 0 == segment_health(0, 3, 6, shards[:3], known()).slack
    )


def test_of_two_shards_for_one_place_the_old_one_stays_if_it_counts() -> None:
    old, new = shard(1), shard(1, farmer=9, start=NOW + 5)
    lost, away = replace(old, outcome=Outcome.FAILED), {old.agreement_id: Timestamp(NOW - GRACE - 1)}
    assert better(old, new, known()) is old
    assert better(lost, new, known()) is new
    assert better(old, new, known(away=away)) is new
    renewed = shard(1, start=NOW + 5)
    assert better(old, renewed, known()) is renewed
