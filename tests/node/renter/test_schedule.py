"""The calendar of audits: once an interval, whatever was missed, never twice."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from node.renter.schedule import Duty, agreement_end, due, next_due
from payments.types import NodeId, Seconds, Timestamp

DUTY = Duty(
    agreement=b"a" * 32,
    farmer=NodeId(b"f" * 32),
    start=Timestamp(1_000),
    end=Timestamp(1_000 + 5 * 100 + 50),
    interval=Seconds(100),
)


def at(now: int, audited: int = 0) -> bool:
    return replace(DUTY, audited=audited).is_due(Timestamp(now))


def test_first_audit_is_due_one_interval_after_the_start() -> None:
    assert not at(900)
    assert not at(1_000)
    assert not at(1_099)
    assert at(1_100)
    assert at(1_199)


def test_an_audited_interval_is_not_due_again() -> None:
    assert not at(1_150, audited=1)
    assert at(1_200, audited=1)


def test_missed_intervals_are_due_once() -> None:
    duty = replace(DUTY, audited=1)
    assert duty.is_due(Timestamp(1_450))
    after = replace(duty, audited=duty.interval_at(Timestamp(1_450)))
    assert after.audited == 4
    assert not after.is_due(Timestamp(1_499))
    assert after.is_due(Timestamp(1_500))


def test_nothing_is_due_from_the_end_on() -> None:
    assert at(1_549, audited=4)
    assert not at(1_550, audited=4)
    assert replace(DUTY, audited=5).due_at(Timestamp(1_500)) is None


def test_due_groups_by_farmer() -> None:
    other = NodeId(b"g" * 32)
    duties = [
        DUTY,
        replace(DUTY, agreement=b"b" * 32),
        replace(DUTY, agreement=b"c" * 32, farmer=other),
        replace(DUTY, agreement=b"d" * 32, farmer=other, audited=1),
    ]
    groups = due(duties, Timestamp(1_100))
    assert {farmer: [duty.agreement[:1] for duty in group] for farmer, group in groups.items()} == {
        DUTY.farmer: [b"a", b"b"],
        other: [b"c"],
    }


def test_next_due_is_the_earliest() -> None:
    duties = [DUTY, replace(DUTY, start=Timestamp(980))]
    assert next_due(duties, Timestamp(1_000)) == 1_080
    assert next_due(duties, Timestamp(1_090)) == 1_090
    assert next_due([], Timestamp(1_000)) is None
    assert next_due(duties, Timestamp(5_000)) is None


@given(pauses=st.lists(st.integers(1, 260), min_size=1, max_size=40))
def test_any_pattern_of_waking_audits_each_interval_at_most_once(pauses: list[int]) -> None:
    duty, now, audited = DUTY, 1_000, []
    for pause in pauses:
        now += pause
        if duty.is_due(Timestamp(now)):
            duty = replace(duty, audited=duty.interval_at(Timestamp(now)))
            audited.append(duty.audited)
            assert not duty.is_due(Timestamp(now))
    assert audited == sorted(set(audited))
    assert all(1 <= interval <= 5 for interval in audited)


@given(
    interval=st.integers(2, 10**6),
    wanted=st.integers(1, 10**8),
    deadline=st.integers(1, 10**4),
    longest=st.integers(4 * 10**6, 10**8),
)
def test_agreements_end_after_their_last_audit_and_within_the_offer(
    interval: int, wanted: int, deadline: int, longest: int
) -> None:
    start = Timestamp(1_700_000_000)
    end = agreement_end(start, Seconds(interval), Seconds(wanted), Seconds(deadline), Seconds(longest))
    assert 0 < end - start <= longest
    last = start + (end - start) // interval * interval
    assert last < end
    assert end - start >= min(wanted, longest - 2 * interval)
