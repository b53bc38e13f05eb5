"""Prices round in the farmer's favour, quotes are signed in one canonical form and expire."""

from dataclasses import fields, replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from payments.errors import (
    AmountOutOfRange,
    InconsistentQuote,
    IntegerOutOfRange,
    QuoteExpired,
    QuoteNotYetValid,
    WrongLength,
    WrongQuoteSignature,
)
from payments.prices import (
    CLOCK_SKEW,
    Prices,
    Quote,
    SignedQuote,
    agreement_value,
    deposit_for,
    read_price,
    sign_quote,
    step_price,
    step_rate,
    storage_price,
    verify_quote,
)
from payments.types import GB, MIB, MONTH, Address, Amount, NodeId, Seconds, Timestamp

FARMER = SigningKey(b"\x0f" * 32)
NOW = Timestamp(1_800_000_000)
DAY = Seconds(86_400)
PRICES = Prices(storage_per_gb_month=Amount(3 * 10**12), download_per_gb=Amount(10**10), per_audit=Amount(7))
QUOTE = Quote(
    farmer=NodeId(FARMER.verify_key.encode()),
    sequence=3,
    issued_at=NOW,
    expires_at=Timestamp(NOW + 3600),
    prices=PRICES,
    audit_interval=DAY,
    response_deadline=Seconds(60),
    grace=Seconds(7 * DAY),
    min_deposit=Amount(1000),
    min_agreement_value=Amount(10),
    min_challenge_period=Seconds(60),
    max_challenge_period=Seconds(30 * DAY),
    max_agreement_seconds=Seconds(365 * DAY),
    tokens=(Address(b"\x01" * 20), Address(b"\x02" * 20)),
    free_bytes=10**12,
)

prices = st.integers(0, 10**18).map(Amount)
lengths = st.integers(0, 2**34)
durations = st.integers(1, 10 * MONTH).map(Seconds)


def test_gb_stored_for_a_month_costs_its_price() -> None:
    assert step_price(PRICES, GB, MONTH) == 3 * 10**12 + 7
    assert storage_price(Amount(30), MONTH) == 30


def test_tiny_shard_costs_at_least_one_unit() -> None:
    free = Prices(Amount(0), Amount(0), Amount(0))
    assert step_price(free, 10**6, DAY) == 1


@given(prices, prices, lengths, durations)
def test_step_is_the_exact_price_rounded_up(
    per_month: Amount, per_audit: Amount, length: int, interval: Seconds
) -> None:
    step = step_price(Prices(per_month, Amount(0), per_audit), length, interval)
    exact = Fraction(per_month * length * interval, GB * MONTH) + per_audit
    assert step == 1 if exact < 1 else exact <= step < exact + 1


@given(prices, lengths)
def test_read_price_is_rounded_up(per_gb: Amount, length: int) -> None:
    exact = Fraction(per_gb * length, GB)
    assert exact <= read_price(per_gb, length) < exact + 1


def test_reading_nothing_costs_nothing() -> None:
    assert read_price(Amount(10**18), 0) == 0


def test_amount_above_uint96_is_no_price() -> None:
    with pytest.raises(AmountOutOfRange):
        step_price(Prices(Amount(2**95), Amount(0), Amount(0)), 2**40, MONTH)
    with pytest.raises(AmountOutOfRange):
        Prices(Amount(-1), Amount(0), Amount(0))


def test_step_rate_is_a_months_steps() -> None:
    assert step_rate(Amount(5), DAY) == 150


def test_agreement_is_worth_its_whole_intervals_and_at_least_one() -> None:
    assert agreement_value(Amount(5), DAY, NOW, Timestamp(NOW + 10 * DAY + 1)) == 50
    assert agreement_value(Amount(5), DAY, NOW, Timestamp(NOW + 1)) == 5


def test_deposit_covers_every_audit_and_one_more() -> None:
    step = step_price(PRICES, 10**6, DAY)
    assert deposit_for(QUOTE, [10**6, 10**6], Seconds(30 * DAY)) == 2 * step * 31


def test_deposit_is_a_total_on_top_of_what_was_promised() -> None:
    step = step_price(PRICES, 10**6, DAY)
    assert deposit_for(QUOTE, [10**6], DAY, promised=Amount(5000)) == 5000 + 2 * step


def test_deposit_is_at_least_the_farmers_minimum() -> None:
    assert deposit_for(QUOTE, [], DAY) == 1000


@given(st.integers(0, 5 * MIB))
def test_deposit_pays_a_read_in_steps_of_a_mib(length: int) -> None:
    deposit = deposit_for(replace(QUOTE, min_deposit=Amount(0)), [], DAY, read_bytes=length)
    steps = [MIB] * (length // MIB) + [length % MIB]
    assert deposit == sum(read_price(PRICES.download_per_gb, step) for step in steps)


def test_signed_quote_verifies_until_it_expires() -> None:
    signed = sign_quote(QUOTE, FARMER)
    verify_quote(signed, NOW)
    verify_quote(signed, Timestamp(QUOTE.expires_at - 1))
    with pytest.raises(QuoteExpired) as caught:
        verify_quote(signed, QUOTE.expires_at)
    assert caught.value.detail == {"expires_at": QUOTE.expires_at, "now": QUOTE.expires_at}


def test_quote_from_the_future_waits_beyond_the_clock_skew() -> None:
    signed = sign_quote(QUOTE, FARMER)
    verify_quote(signed, Timestamp(NOW - CLOCK_SKEW))
    with pytest.raises(QuoteNotYetValid):
        verify_quote(signed, Timestamp(NOW - CLOCK_SKEW - 1))


CHANGES: dict[str, Any] = {
    "farmer": NodeId(SigningKey(b"\x10" * 32).verify_key.encode()),
    "prices": replace(PRICES, per_audit=Amount(8)),
    "tokens": (Address(b"\x01" * 20),),
}


@pytest.mark.parametrize("name", [field.name for field in fields(Quote)])
def test_signature_covers_every_field(name: str) -> None:
    signed = sign_quote(QUOTE, FARMER)
    values = {field.name: getattr(QUOTE, field.name) for field in fields(Quote)}
    changed = Quote(**{**values, name: CHANGES.get(name, values[name] + 1 if name not in CHANGES else None)})
    with pytest.raises(WrongQuoteSignature) as caught:
        verify_quote(SignedQuote(changed, signed.signature), NOW)
    assert caught.value.farmer == changed.farmer


def test_node_signs_only_its_own_quotes() -> None:
    with pytest.raises(WrongQuoteSignature):
        sign_quote(QUOTE, SigningKey(b"\x10" * 32))


def test_farmer_that_is_no_point_signed_nothing() -> None:
    nobody = replace(QUOTE, farmer=NodeId(b"\xff" * 32))
    with pytest.raises(WrongQuoteSignature):
        verify_quote(SignedQuote(nobody, bytes(64)), NOW)


def test_canonical_form_is_stable() -> None:
    form = QUOTE.to_bytes()
    assert form.startswith(b"tithebarn quote 1\n" + QUOTE.farmer + (3).to_bytes(8) + NOW.to_bytes(8))
    assert form.endswith(b"\x00\x02" + b"\x01" * 20 + b"\x02" * 20)
    assert len(form) == 18 + 32 + 5 * 8 + 5 * 4 + 5 * 12 + 2 + 2 * 20


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"audit_interval": 0}, InconsistentQuote),
        ({"max_challenge_period": 59}, InconsistentQuote),
        ({"farmer": b"short"}, WrongLength),
        ({"tokens": (b"short",)}, WrongLength),
        ({"free_bytes": -1}, IntegerOutOfRange),
        ({"grace": 2**32}, IntegerOutOfRange),
        ({"min_deposit": 2**96}, IntegerOutOfRange),
    ],
)
def test_impossible_quote_cannot_be_made(change: dict[str, Any], error: type[Exception]) -> None:
    values = {field.name: getattr(QUOTE, field.name) for field in fields(Quote)}
    with pytest.raises(error):
        Quote(**{**values, **change})


def test_signature_of_another_length_is_refused() -> None:
    with pytest.raises(WrongLength):
        SignedQuote(QUOTE, bytes(63))
