"""The channel machine, step by step: what each fact does, what is refused, what is asked of the shell."""

from itertools import permutations
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.channel import (
    TRANSITIONS,
    Channel,
    Claimed,
    ClaimNow,
    CloseRequested,
    Effect,
    Event,
    Funded,
    ReadAgain,
    Reorganised,
    Reread,
    ResumeAccepting,
    Status,
    StopAccepting,
    VoucherAccepted,
    VoucherReturned,
    VoucherSigned,
    Withdrawn,
    apply,
    diagram,
    open_channel,
)
from payments.errors import (
    AboveDeposit,
    AmountOutOfRange,
    ChannelClosing,
    ChannelFrozen,
    ImpossibleChannel,
    IntegerOutOfRange,
)
from payments.types import MAX_AMOUNT, Amount, Timestamp
from payments.vouchers import channel_id
from tests.payments.support import DOMAIN, TERMS, make_channel

CLOSES_AT = Timestamp(1_800_000_000)
OPENED = open_channel(DOMAIN, TERMS)
FUNDED = make_channel(1000)


def step(channel: Channel, *events: Event) -> Channel:
    for event in events:
        channel, _ = apply(channel, event)
    return channel


def effects(channel: Channel, event: Event) -> tuple[Effect, ...]:
    return apply(channel, event)[1]


def signed(total: int) -> VoucherSigned:
    return VoucherSigned(Amount(total))


def accepted(total: int) -> VoucherAccepted:
    return VoucherAccepted(Amount(total))


def claimed(total: int) -> Claimed:
    return Claimed(Amount(total))


CLOSING = step(FUNDED, signed(500), accepted(300), claimed(100), CloseRequested(CLOSES_AT))
CLOSED = step(CLOSING, Withdrawn())
FROZEN = step(FUNDED, signed(500), accepted(300), claimed(100), Reorganised())
EVERY_STATUS = [OPENED, FUNDED, CLOSING, CLOSED, FROZEN]

small = st.integers(0, 40).map(Amount)
events = st.one_of(
    st.builds(Funded, small),
    st.builds(VoucherSigned, small),
    st.builds(VoucherAccepted, small),
    st.builds(VoucherReturned, small),
    st.builds(Claimed, small),
    st.builds(CloseRequested, st.integers(0, 5).map(Timestamp)),
    st.just(Withdrawn()),
    st.just(Reorganised()),
    st.builds(Reread, small, small, st.integers(0, 5).map(Timestamp)),
)


def test_opened_channel_holds_nothing() -> None:
    assert OPENED.id == channel_id(DOMAIN, TERMS)
    assert (OPENED.deposit, OPENED.promised, OPENED.earned, OPENED.claimed) == (0, 0, 0, 0)
    assert OPENED.status is Status.OPENED
    assert not OPENED.serving


def test_funding_opens_for_business() -> None:
    assert FUNDED.status is Status.FUNDED
    assert FUNDED.serving
    assert FUNDED.free == 1000


def test_top_up_raises_the_deposit_to_its_total() -> None:
    assert step(FUNDED, Funded(Amount(1500))).deposit == 1500


def test_late_funding_changes_nothing() -> None:
    assert apply(FUNDED, Funded(Amount(999))) == (FUNDED, ())


def test_nothing_funded_is_no_funding() -> None:
    assert step(OPENED, Funded(Amount(0))).status is Status.OPENED


def test_signing_promises_and_acceptance_earns() -> None:
    channel = step(FUNDED, signed(10))
    assert (channel.promised, channel.earned, channel.free) == (10, 0, 990)
    channel = step(channel, accepted(10))
    assert (channel.promised, channel.earned, channel.unclaimed) == (10, 10, 10)


def test_acceptance_is_proof_of_the_promise() -> None:
    assert step(FUNDED, accepted(10)).promised == 10


def test_lower_voucher_changes_nothing() -> None:
    channel = step(FUNDED, signed(10), accepted(10))
    assert apply(channel, signed(9)) == (channel, ())
    assert apply(channel, accepted(9)) == (channel, ())


def test_whole_deposit_may_be_promised_and_no_unit_more() -> None:
    channel = step(FUNDED, signed(1000), accepted(1000))
    for event in (signed(1001), accepted(1001), VoucherReturned(Amount(1001))):
        with pytest.raises(AboveDeposit) as caught:
            apply(channel, event)
        assert caught.value.detail == {"total": 1001, "deposit": 1000}


def test_unfunded_channel_promises_nothing() -> None:
    with pytest.raises(AboveDeposit):
        apply(OPENED, signed(1))


def test_claim_moves_what_was_earned() -> None:
    channel = step(FUNDED, accepted(10), claimed(4))
    assert (channel.claimed, channel.unclaimed, channel.deposit) == (4, 6, 1000)


def test_push_raises_promised_and_earned() -> None:
    channel = step(FUNDED, accepted(10), claimed(25))
    assert (channel.claimed, channel.earned, channel.promised, channel.deposit) == (25, 25, 25, 1000)


def test_claim_seen_before_its_funding_proves_the_funding() -> None:
    channel = step(OPENED, claimed(25))
    assert (channel.status, channel.deposit) == (Status.FUNDED, 25)
    assert step(channel, Funded(Amount(1000))).deposit == 1000


def test_close_request_stops_and_claims() -> None:
    channel = step(FUNDED, signed(500), accepted(300), claimed(100))
    after, asked = apply(channel, CloseRequested(CLOSES_AT))
    assert (after.status, after.closes_at) == (Status.CLOSING, CLOSES_AT)
    assert asked == (StopAccepting(channel.id), ClaimNow(channel.id, Amount(300), CLOSES_AT))


def test_close_request_without_unclaimed_earnings_only_stops() -> None:
    assert effects(FUNDED, CloseRequested(CLOSES_AT)) == (StopAccepting(FUNDED.id),)


def test_close_request_seen_twice_asks_once() -> None:
    assert apply(CLOSING, CloseRequested(CLOSES_AT)) == (CLOSING, ())


def test_open_channel_read_from_chain_is_no_close_request() -> None:
    assert apply(FUNDED, CloseRequested(Timestamp(0))) == (FUNDED, ())


def test_earlier_deadline_counts_and_claims_again() -> None:
    sooner = Timestamp(CLOSES_AT - 10)
    after, asked = apply(CLOSING, CloseRequested(sooner))
    assert after.closes_at == sooner
    assert asked == (ClaimNow(CLOSING.id, Amount(300), sooner),)
    assert apply(CLOSING, CloseRequested(Timestamp(CLOSES_AT + 10))) == (CLOSING, ())


@pytest.mark.parametrize("channel", [CLOSING, CLOSED], ids=["closing", "closed"])
def test_funding_after_a_close_request_is_ignored(channel: Channel) -> None:
    assert apply(channel, Funded(Amount(9999))) == (channel, ())


@pytest.mark.parametrize("channel", [CLOSING, CLOSED], ids=["closing", "closed"])
def test_no_new_promise_after_a_close_request(channel: Channel) -> None:
    for event in (signed(501), accepted(501)):
        with pytest.raises(ChannelClosing) as caught:
            apply(channel, event)
        assert caught.value.detail == {"channel_id": channel.id, "total": 501, "promised": 500}
    assert apply(channel, signed(500)) == (channel, ())


def test_late_proof_of_an_old_promise_is_earned_and_claimed() -> None:
    after, asked = apply(CLOSING, accepted(500))
    assert after.earned == 500
    assert asked == (ClaimNow(CLOSING.id, Amount(500), CLOSES_AT),)


def test_claims_count_until_the_withdrawal_and_may_be_seen_after_it() -> None:
    assert step(CLOSING, claimed(300)).claimed == 300
    late = step(CLOSED, claimed(300))
    assert (late.claimed, late.status) == (300, Status.CLOSED)


def test_withdrawal_seen_before_its_close_request_closes() -> None:
    channel = step(FUNDED, Withdrawn(), CloseRequested(CLOSES_AT))
    assert (channel.status, channel.closes_at) == (Status.CLOSED, CLOSES_AT)


def test_closed_channel_asks_for_nothing() -> None:
    assert effects(CLOSED, accepted(400)) == ()


@pytest.mark.parametrize("channel", EVERY_STATUS, ids=lambda channel: channel.status.value)
def test_our_own_signature_shown_by_the_peer_is_remembered(channel: Channel) -> None:
    total = Amount(channel.deposit)
    after = step(channel, VoucherReturned(total))
    assert (after.promised, after.earned, after.status) == (total, channel.earned, channel.status)


def test_reorganisation_freezes_and_asks_to_read() -> None:
    after, asked = apply(FUNDED, Reorganised())
    assert after.status is Status.FROZEN
    assert asked == (StopAccepting(FUNDED.id), ReadAgain(FUNDED.id))
    assert apply(after, Reorganised()) == (after, ())


def test_frozen_channel_promises_nothing_new() -> None:
    with pytest.raises(ChannelFrozen) as caught:
        apply(FROZEN, signed(501))
    assert caught.value.total == 501
    with pytest.raises(ChannelFrozen):
        apply(FROZEN, accepted(501))
    assert step(FROZEN, accepted(500)).earned == 500


@pytest.mark.parametrize(
    ("read", "status"),
    [
        (Reread(Amount(1000), Amount(100), Timestamp(0)), Status.FUNDED),
        (Reread(Amount(500), Amount(0), Timestamp(0)), Status.FUNDED),
        (Reread(Amount(1000), Amount(100), CLOSES_AT), Status.CLOSING),
        (Reread(Amount(1000), Amount(1000), CLOSES_AT), Status.CLOSED),
        (Reread(Amount(499), Amount(0), Timestamp(0)), Status.FROZEN),
        (Reread(Amount(0), Amount(0), Timestamp(0)), Status.FROZEN),
    ],
)
def test_reading_again_decides_the_status(read: Reread, status: Status) -> None:
    after = step(FROZEN, read)
    assert after.status is status
    assert (after.deposit, after.closes_at) == (read.deposit, read.closes_at)
    assert (after.promised, after.earned) == (500, 300)


def test_thawed_channel_serves_again() -> None:
    read = Reread(Amount(1000), Amount(100), Timestamp(0))
    assert effects(FROZEN, read) == (ResumeAccepting(FROZEN.id),)


def test_claim_undone_by_the_reorganisation_is_asked_for_again() -> None:
    frozen = step(CLOSING, claimed(300), Reorganised())
    after, asked = apply(frozen, Reread(Amount(1000), Amount(0), CLOSES_AT))
    assert after.claimed == 0
    assert asked == (ClaimNow(after.id, Amount(300), CLOSES_AT),)


def test_closing_channel_that_lost_its_deposit_still_claims() -> None:
    after, asked = apply(FROZEN, Reread(Amount(400), Amount(100), CLOSES_AT))
    assert after.status is Status.FROZEN
    assert asked == (ClaimNow(after.id, Amount(300), CLOSES_AT),)


def test_push_that_a_reorganisation_takes_back_promised_nothing() -> None:
    pushed = step(FUNDED, signed(500), accepted(300), Funded(Amount(1500)), claimed(1200))
    assert (pushed.promised, pushed.earned) == (1200, 1200)
    after = step(pushed, Reorganised(), Reread(Amount(1000), Amount(0), Timestamp(0)))
    assert (after.status, after.promised, after.earned) == (Status.FUNDED, 500, 300)


@pytest.mark.parametrize("voucher", [VoucherSigned(Amount(1100)), VoucherAccepted(Amount(1100))])
@pytest.mark.parametrize("between", [(), (CloseRequested(CLOSES_AT),), (Reorganised(),)])
def test_what_is_signed_below_a_push_stays_promised(voucher: Event, between: tuple[Event, ...]) -> None:
    pushed = step(FUNDED, Funded(Amount(1500)), claimed(1200), *between, voucher, Reorganised())
    short = step(pushed, Reread(Amount(1000), Amount(0), Timestamp(0)))
    assert (short.status, short.promised) == (Status.FROZEN, 1100)
    again = step(short, Reread(Amount(1100), Amount(0), Timestamp(0)))
    assert (again.status, again.promised) == (Status.FUNDED, 1100)


def test_payers_rest_is_no_claim_of_ours() -> None:
    frozen = step(CLOSED, Reorganised())
    after = step(frozen, Reread(Amount(1000), Amount(1000), CLOSES_AT))
    assert (after.status, after.claimed) == (Status.CLOSED, 100)


def test_close_request_read_before_its_deposit_is_confirmed_is_no_withdrawal() -> None:
    frozen = step(OPENED, Reorganised())
    assert step(frozen, Reread(Amount(0), Amount(0), CLOSES_AT)).status is Status.CLOSING


def test_reorganised_unfunded_channel_is_open_again() -> None:
    frozen = step(FUNDED, Reorganised())
    assert step(frozen, Reread(Amount(0), Amount(0), Timestamp(0))).status is Status.OPENED


@pytest.mark.parametrize(
    "channel", [OPENED, FUNDED, CLOSING, CLOSED], ids=lambda channel: channel.status.value
)
def test_reading_nobody_asked_for_changes_nothing(channel: Channel) -> None:
    assert apply(channel, Reread(Amount(7), Amount(7), Timestamp(7))) == (channel, ())


@pytest.mark.parametrize("event", [Funded(Amount(2**96)), Claimed(Amount(2**96))])
def test_totals_beyond_a_uint96_are_refused(event: Event) -> None:
    with pytest.raises(AmountOutOfRange):
        apply(FUNDED, event)


def test_deadline_beyond_a_uint40_is_refused() -> None:
    with pytest.raises(IntegerOutOfRange):
        apply(FUNDED, CloseRequested(Timestamp(2**40)))


def test_largest_amounts_fit() -> None:
    channel = step(OPENED, Funded(MAX_AMOUNT), VoucherSigned(MAX_AMOUNT), Claimed(MAX_AMOUNT))
    assert (channel.claimed, channel.free) == (MAX_AMOUNT, 0)


@pytest.mark.parametrize(
    "totals",
    [
        (0, 1001, 0),
        (0, 0, 1),
        (-1, 0, 0),
    ],
)
def test_impossible_record_cannot_be_made(totals: tuple[int, int, int]) -> None:
    claimed, promised, earned = map(Amount, totals)
    with pytest.raises(ImpossibleChannel) as caught:
        Channel(FUNDED.id, TERMS, FUNDED.deposit, claimed, promised, earned)
    assert caught.value.detail == {
        "claimed": claimed,
        "earned": earned,
        "promised": promised,
        "deposit": 1000,
    }


def test_table_answers_every_fact_in_every_status() -> None:
    assert set(TRANSITIONS) == {(status, event) for status in Status for event in get_args(Event)}


@given(st.sampled_from(EVERY_STATUS), st.lists(events, max_size=8))
def test_steps_stay_in_the_table_and_keep_the_order_of_totals(channel: Channel, facts: list[Event]) -> None:
    for fact in facts:
        before = channel
        try:
            channel, asked = apply(channel, fact)
        except (AboveDeposit, ChannelClosing, ChannelFrozen):
            continue
        if channel == before:
            assert asked == ()
        else:
            assert channel.status in TRANSITIONS[before.status, type(fact)].to
        assert channel.claimed <= channel.earned <= channel.promised
        assert channel.promised <= channel.deposit or channel.status is Status.FROZEN
        assert apply(channel, fact) == (channel, ())


def test_any_order_of_the_facts_of_a_life_ends_the_same() -> None:
    start = step(FUNDED, signed(400))
    close = CloseRequested(CLOSES_AT)
    facts: list[Event] = [Funded(Amount(900)), claimed(200), claimed(300), accepted(400), close, Withdrawn()]
    ends = {step(start, *order) for order in permutations(facts)}
    assert len(ends) == 1
    end = ends.pop()
    assert (end.status, end.claimed, end.earned, end.closes_at) == (Status.CLOSED, 300, 400, CLOSES_AT)


def test_diagram_draws_the_life_of_a_channel() -> None:
    drawn = diagram()
    assert drawn.startswith("stateDiagram-v2\n    [*] --> OPENED\n")
    assert "    OPENED --> FUNDED: Funded, Claimed\n" in drawn
    assert "    FUNDED --> CLOSING: CloseRequested\n" in drawn
    assert "    CLOSING --> CLOSED: Withdrawn\n" in drawn
    assert "CLOSED --> FUNDED" not in drawn
