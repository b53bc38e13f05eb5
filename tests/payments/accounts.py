"""A channel of 1000 and the farmer's account of it, for the tests of the ledger."""

from payments.channel import Channel
from payments.debt import grow_storage
from payments.ledger import Accepted, Earnings, accept_payment, accept_proven
from payments.types import MONTH, Amount, Timestamp
from tests.payments.support import CONDITION, DOMAIN, make_channel, make_voucher

NOW = Timestamp(1_800_000_000)
RATE = Amount(MONTH)  # a base unit a second
CHANNEL = make_channel(1000)
CLOSES_AT = Timestamp(NOW + 600)


def begun(at: Timestamp = NOW) -> Earnings:
    """An account whose first agreement was stored then."""
    return grow_storage(Earnings(), Amount(0), RATE, at)


def pay(channel: Channel, earnings: Earnings, total: int, *, spent: int = 0, rate: Amount = RATE) -> Accepted:
    return accept_payment(
        DOMAIN, channel, earnings, make_voucher(total), storage_rate=rate, spent=Amount(spent)
    )


def prove(channel: Channel, earnings: Earnings, total: int, step: int = 10, at: Timestamp = NOW) -> Accepted:
    signed = make_voucher(total, CONDITION)
    return accept_proven(DOMAIN, channel, earnings, signed, condition=CONDITION, step=Amount(step), now=at)


def proven_once(at: Timestamp = NOW) -> Accepted:
    """An account with 10 proven and not paid, its storage begun a hundred seconds before."""
    return prove(CHANNEL, begun(Timestamp(NOW - 100)), 10, at=at)
