"""A dry run of a claim: what it would bring, what it would cost, what is left and why. Sends nothing."""

from collections.abc import Callable
from dataclasses import dataclass

from node.farmer.claimable import Considered, consider, fee_of, find_candidates
from node.farmer.config import FarmerConfig
from node.farmer.gas_prices import GasPrices
from payments.types import Address, Amount, ChannelId, Timestamp
from settlement.chain_events import Reason
from settlement.claims import plan_claims
from settlement.client import Chain
from settlement.database import Database


@dataclass(frozen=True, slots=True)
class QuotedClaim:
    """One channel. `amount`: base units that would be claimed, or are left; `why`: the policy's sentence."""

    channel_id: ChannelId
    amount: Amount
    with_proof: bool
    why: str


@dataclass(frozen=True, slots=True)
class ClaimQuote:
    """What claiming now would do. Gas by simulation, at the price of now (wei a unit).

    fee: base units of the token, None while nobody has said what gas is worth. left: what would not be
    claimed, and why not.
    """

    claimed: tuple[QuotedClaim, ...]
    left: tuple[QuotedClaim, ...]
    transactions: int
    gas: int
    gas_price: int
    fee: Amount | None

    @property
    def total(self) -> Amount:
        """What the claims bring."""
        return Amount(sum(one.amount for one in self.claimed))

    @property
    def cost(self) -> int:
        """What they cost, in wei."""
        return self.gas * self.gas_price


async def quote_claims(
    config: FarmerConfig,
    database: Database,
    chain: Chain,
    sender: Address,
    now: Timestamp,
    *,
    everything: bool = False,
    show: Callable[[int], str] = str,
) -> ClaimQuote:
    """Plan the claims that are due now, or `everything`, as `sender` would send them.

    `show` writes amounts in sentences. Raises ChainError.
    """
    prices = GasPrices(chain)
    price = (await chain.rpc.fees()).now
    cheaper = await prices.cheaper(price, now)
    candidates = database.read(lambda conn: find_candidates(conn, now))
    considered = consider(config, candidates, gas_wei=price, now=now, cheaper=cheaper, show=show)
    due = {
        one.candidate.channel.id: claim
        for one in considered
        if (everything or one.decision.claim) and (claim := one.claim)
    }
    plan = await plan_claims(chain, list(due.values()), sender)
    refused = {outcome.channel_id: outcome.reason for outcome in plan.left_out}
    claimed = [one for one in considered if one.candidate.channel.id in due.keys() - refused.keys()]
    left = [one for one in considered if one.amount and one not in claimed]
    return ClaimQuote(
        claimed=tuple(_row(one, None) for one in claimed),
        left=tuple(_row(one, refused.get(one.candidate.channel.id)) for one in left),
        transactions=len(plan.batches),
        gas=plan.gas,
        gas_price=price,
        fee=fee_of(config, price, plan.gas),
    )


def _row(one: Considered, refused: Reason | None) -> QuotedClaim:
    why = one.decision.sentence if refused is None else f"The contract would skip it: {refused.name}."
    return QuotedClaim(one.candidate.channel.id, one.amount, one.decision.with_proof, why)
