"""Until when a file outlives its renter's silence."""

from node.renter.safety import Keeping, Prepaid, file_safe_until, segment_safe_until
from payments.types import Amount, Seconds, Timestamp

DAY = 86_400


def keeping(paid_until: int, prepaid: int = 0, end: int = 400 * DAY) -> Keeping:
    return Keeping(
        paid_until=Timestamp(paid_until),
        interval=Seconds(DAY),
        grace=Seconds(7 * DAY),
        end=Timestamp(end),
        prepaid=Prepaid(Seconds(prepaid), Timestamp(paid_until)),
    )


def test_a_shard_is_kept_one_interval_and_the_grace_after_the_last_paid_audit() -> None:
    assert keeping(10 * DAY).kept_until == 18 * DAY


def test_prepayment_adds_its_time() -> None:
    assert keeping(10 * DAY, prepaid=30 * DAY).kept_until == 48 * DAY


def test_nothing_is_kept_beyond_the_agreement() -> None:
    assert keeping(10 * DAY, prepaid=30 * DAY, end=20 * DAY).kept_until == 20 * DAY


def test_a_segment_is_safe_while_k_shards_are_kept() -> None:
    keepings = [keeping(day * DAY) for day in (5, 1, 9)]
    assert segment_safe_until(1, keepings) == 17 * DAY
    assert segment_safe_until(2, keepings) == 13 * DAY
    assert segment_safe_until(3, keepings) == 9 * DAY


def test_a_segment_with_too_few_healthy_shards_is_not_safe_at_all() -> None:
    assert segment_safe_until(3, [keeping(5 * DAY)] * 2) == 0


def test_a_file_is_as_safe_as_its_worst_segment() -> None:
    assert file_safe_until(1, [[keeping(5 * DAY)], [keeping(2 * DAY)]]) == 10 * DAY


def test_time_paid_ahead_is_used_up_by_the_clock() -> None:
    prepaid = Prepaid(Seconds(30 * DAY), Timestamp(100 * DAY))
    assert prepaid.left(Timestamp(90 * DAY)) == 30 * DAY
    assert prepaid.left(Timestamp(110 * DAY)) == 20 * DAY
    assert prepaid.left(Timestamp(140 * DAY)) == 0


def test_paying_ahead_again_adds_to_what_is_left() -> None:
    prepaid = Prepaid(Seconds(30 * DAY), Timestamp(100 * DAY))
    longer = prepaid.extended(Seconds(5 * DAY), Timestamp(120 * DAY))
    assert longer.left(Timestamp(120 * DAY)) == 15 * DAY
    assert longer.left(Timestamp(100 * DAY)) == 35 * DAY
    late = prepaid.extended(Seconds(5 * DAY), Timestamp(140 * DAY))
    assert late == Prepaid(Seconds(5 * DAY), Timestamp(140 * DAY))


def test_what_is_left_lasts_shorter_when_more_is_stored() -> None:
    prepaid = Prepaid(Seconds(30 * DAY), Timestamp(100 * DAY))
    shared = prepaid.shared(Amount(1), Amount(4), Timestamp(110 * DAY))
    assert shared.left(Timestamp(110 * DAY)) == 5 * DAY
    assert shared.left(Timestamp(100 * DAY)) == 15 * DAY
    assert shared.shared(Amount(4), Amount(4), Timestamp(111 * DAY)) == shared
    assert shared.shared(Amount(4), Amount(8), Timestamp(200 * DAY)) == shared
