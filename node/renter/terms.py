"""Terms: what an agreement with a farmer says, by its quote. Pure."""

from typing import Final

from node.agreement import Agreement
from node.merkle import leaf_count
from node.renter.schedule import DAY, agreement_end
from payments.prices import Quote, step_price
from payments.types import NodeId, Seconds, Timestamp

STORED_FOR: Final = Seconds(90 * DAY)
"""How long agreements run, where the user does not say; farmers may offer less."""


def agreement_terms(
    quote: Quote, renter: NodeId, now: Timestamp, wanted: Seconds, *, shard_length: int, data_root: bytes
) -> Agreement:
    """Write the agreement about a shard that is to be kept for `wanted` seconds, or as long as is offered."""
    end = agreement_end(
        now, quote.audit_interval, wanted, quote.response_deadline, quote.max_agreement_seconds
    )
    return Agreement(
        renter=renter,
        farmer=quote.farmer,
        shard_length=shard_length,
        leaf_count=leaf_count(shard_length),
        data_root=data_root,
        step=step_price(quote.prices, shard_length, quote.audit_interval),
        audit_interval=quote.audit_interval,
        response_deadline=quote.response_deadline,
        grace=quote.grace,
        download_price=quote.prices.download_per_gb,
        start=now,
        end=end,
    )


def time_wanted(kept_until: Timestamp | None, now: Timestamp) -> Seconds:
    """Say for how long a further agreement about a file is to run."""
    return STORED_FOR if kept_until is None else Seconds(min(STORED_FOR, max(1, kept_until - now)))
