"""What the farmers of the story ask: prices high enough to see, on a file small enough to watch."""

from dataclasses import replace
from decimal import Decimal
from typing import Final

from node.demo.cast import Shape
from node.farmer.config import FarmerConfig, Offer
from node.renter.limits import Limits
from payments.policy import ClaimPolicy
from payments.prices import Prices, read_price, step_price
from payments.types import MAX_AMOUNT, Address, Amount, Seconds
from settlement.deployment import Deployment

TOKEN: Final = 10**18
OFFER: Final = Offer(
    prices=Prices(
        storage_per_gb_month=Amount(2 * TOKEN),
        download_per_gb=Amount(20 * TOKEN),
        per_audit=Amount(TOKEN // 100),
    ),
    audit_interval=Seconds(3_600),
    response_deadline=Seconds(60),
    min_deposit=Amount(TOKEN // 10),
)
LIMITS: Final = Limits(OFFER.prices)
"""What the renter of the story signs: just that."""
SLACK: Final = 64 * 1024
"""Bytes a shard may be longer than its part of the plain file: tags, padding."""
READS: Final = 2
MARGIN: Final = 2


def farmer_config(payee: Address, deployment: Deployment) -> FarmerConfig:
    """Configure a farmer of the story for the chain it plays on; it claims when the story says so."""
    offer = replace(OFFER, min_challenge_period=deployment.challenge_period)
    return FarmerConfig(
        payee,
        (deployment.token,),
        offer=offer,
        keep_free=0,
        max_exposure=Amount(10 * TOKEN),
        claims=ClaimPolicy(min_amount=MAX_AMOUNT),
    )


def deposit_for(size: int, shape: Shape) -> Amount:
    """Compute what a channel needs for the whole story of a file of `size` bytes, with room to spare."""
    segments = max(1, -(-size // shape.segment_size))
    shard = -(-min(size, shape.segment_size) // shape.k) + SLACK
    audits = shape.rounds * step_price(OFFER.prices, shard, OFFER.audit_interval)
    reads = READS * read_price(OFFER.prices.download_per_gb, shard)
    return Amount(max(OFFER.min_deposit, MARGIN * segments * (audits + reads)))


def tokens(amount: int) -> str:
    """Write an amount of the story's token, whose decimals are those of its offers."""
    return f"{Decimal(amount) / TOKEN:,.6f}"
