"""Who is slow: held against the others, never by a number of seconds alone."""

import pytest

from node.renter.pace import FORGIVEN, LEAST, Pace
from payments.types import NodeId

pytestmark = pytest.mark.hurried
ONE, OTHER = NodeId(b"1" * 32), NodeId(b"2" * 32)


def test_nothing_is_slow_while_nothing_is_known() -> None:
    pace = Pace()
    assert pace.patience is None
    assert not pace.is_slow(ONE)
    pace.note(ONE, 100.0)
    assert not pace.is_slow(ONE)


def test_patience_follows_the_others() -> None:
    pace = Pace()
    for seconds in (10.0, 11.0, 12.0):
        pace.note(ONE, seconds)
    assert pace.patience == 33.0
    pace.note(OTHER, 34.0)
    assert pace.is_slow(OTHER)
    pace.note(OTHER, 5.0)
    assert not pace.is_slow(OTHER)


def test_nobody_is_slow_within_a_blink() -> None:
    pace = Pace()
    for _ in range(9):
        pace.note(ONE, 0.001)
    assert pace.patience == LEAST
    pace.note(OTHER, LEAST)
    assert not pace.is_slow(OTHER)


def test_a_slow_farmer_is_tried_again_after_a_while() -> None:
    now = [0.0]
    pace = Pace(lambda: now[0])
    pace.blame(ONE)
    assert pace.is_slow(ONE)
    now[0] = FORGIVEN
    assert not pace.is_slow(ONE)
