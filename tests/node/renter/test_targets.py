"""What a channel must hold, and which channels one transaction funds."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.renter.errors import AboveLimit
from node.renter.limits import USUAL
from node.renter.placement import Shape
from node.renter.reports import FundingRow
from node.renter.targets import (
    MOST_ROWS,
    Open,
    Wish,
    batches,
    new_life,
    new_period,
    shares,
    storage_cost,
    storage_target,
)
from node.segments import SEGMENT_SIZE
from payments.prices import Prices, Quote
from payments.types import Address, Amount, ChannelId, NodeId, Seconds, Timestamp
from payments.vouchers import Terms

DAY = 86_400
QUOTE = Quote(
    farmer=NodeId(b"f" * 32),
    sequence=1,
    issued_at=Timestamp(0),
    expires_at=Timestamp(10**10),
    prices=Prices(Amount(10**15), Amount(10**15), Amount(10**6)),
    audit_interval=Seconds(DAY),
    response_deadline=Seconds(60),
    grace=Seconds(DAY),
    min_deposit=Amount(10**12),
    min_agreement_value=Amount(0),
    min_challenge_period=Seconds(100),
    max_challenge_period=Seconds(1_000),
    max_agreement_seconds=Seconds(365 * DAY),
    tokens=(),
    free_bytes=10**12,
)
TERMS = Terms(
    payer=Address(b"r" * 20),
    signer=Address(b"s" * 20),
    payee=Address(b"p" * 20),
    token=Address(b"t" * 20),
    challenge_period=Seconds(60),
    salt=bytes(32),
)
WISH = Wish(QUOTE.farmer, TERMS.payee, QUOTE, open=None)


def opened(promised: int = 0, life: int = 0) -> Wish:
    return replace(WISH, open=Open(TERMS, life, Amount(10**13), Amount(promised)))


def row(number: int, salt: bytes = bytes(32)) -> FundingRow:
    terms = replace(TERMS, payee=Address(number.to_bytes(20, "big")), salt=salt)
    name = ChannelId(number.to_bytes(32, "big"))
    return FundingRow(QUOTE.farmer, name, terms, 0, Amount(0), Amount(1), Amount(0))


@given(
    stored=st.integers(0, 10**12),
    farmers=st.integers(1, 200),
    shape=st.sampled_from([Shape(29, 80), Shape(4, 12), Shape(1, 1)]),
)
def test_shares_make_up_what_the_code_stores(stored: int, farmers: int, shape: Shape) -> None:
    lengths = shares(stored, farmers, shape)
    assert sum(lengths) * farmers * shape.k >= stored * shape.n
    assert sum(lengths) * farmers * shape.k <= stored * shape.n + farmers * shape.k
    assert all(0 < length <= -(-SEGMENT_SIZE // shape.k) for length in lengths)


def test_a_target_covers_storage_and_one_read() -> None:
    lengths = (10**8, 10**8)
    cost = storage_cost(QUOTE, lengths, Seconds(30 * DAY))
    assert abs(cost - 2 * 10**14) < 10**9
    target = storage_target(WISH, lengths, Seconds(30 * DAY))
    assert target > cost + 2 * 10**14
    assert storage_target(opened(promised=7), lengths, Seconds(30 * DAY)) == target + 7


def test_a_target_is_at_least_the_farmers_minimum() -> None:
    assert storage_target(WISH, (), Seconds(30 * DAY)) == QUOTE.min_deposit


def test_new_channels_share_the_lowest_life_that_is_free_for_all() -> None:
    assert new_life([WISH, opened(life=4)]) == 0
    assert new_life([WISH, replace(WISH, free_life=2), opened(life=4)]) == 2
    assert new_life([opened(life=4)]) == 0


def test_the_challenge_period_is_within_what_the_farmer_accepts() -> None:
    usual = [Seconds(seconds) for seconds in (60, 500, 5_000)]
    assert [new_period(QUOTE, seconds, USUAL) for seconds in usual] == [100, 500, 1_000]
    mine = replace(USUAL, challenge_period=Seconds(300))
    assert [new_period(QUOTE, seconds, mine) for seconds in usual] == [100, 300, 300]
    with pytest.raises(AboveLimit):
        new_period(QUOTE, Seconds(500), replace(USUAL, challenge_period=Seconds(99)))


def test_alike_rows_are_funded_together() -> None:
    rows = [row(number, salt=bytes([number % 2]) * 32) for number in range(6)]
    found = batches(rows)
    assert [len(batch) for batch in found] == [3, 3]
    assert all(len({one.terms.salt for one in batch}) == 1 for batch in found)


def test_a_call_has_no_more_rows_than_a_block_takes() -> None:
    found = batches([row(number) for number in range(MOST_ROWS + 1)])
    assert [len(batch) for batch in found] == [MOST_ROWS, 1]
