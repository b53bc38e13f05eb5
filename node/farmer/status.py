"""A FarmerStatus: how a farmer is doing, as one value for people and programs.

Read from the books alone, beside a running farmer or without one; the chain adds the gas key's balance and
the price of gas, and may be left out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from node.db import Connection
from node.db.farmer_agreements import RenterSums, list_sums
from node.farmer.claimable import ALONE_GAS, Considered, consider, find_candidates
from node.farmer.config import FarmerConfig
from node.farmer.farm import load_debt
from node.farmer.gas_prices import GasPrices
from node.farmer.holdings import Holdings
from payments.gas_forecast import Cheaper
from payments.policy import ClaimDecision, ClaimReason
from payments.types import Address, Amount, ChannelId, NodeId, Timestamp
from settlement.client import Chain
from settlement.database import Database
from settlement.errors import ChainError


@dataclass(frozen=True, slots=True)
class ChannelStatus:
    """One channel. Amounts in base units; `proven` is what only a proof shows so far, beyond `paid`.

    `claim`, `with_proof`, `reason`, `when` and `why` are the claim policy's: whether it is due now, and with
    the proof of unpaid work (then part of `claimable`), why or why not, and when it will be if known. `why`
    also tells that the gas key cannot pay for a claim that is due.
    """

    channel_id: ChannelId
    renter: NodeId
    deposit: Amount
    paid: Amount
    proven: Amount
    claimable: Amount
    claimed: Amount
    closes_at: Timestamp | None
    serving: bool
    claim: bool
    with_proof: bool
    reason: ClaimReason
    when: Timestamp | None
    why: str


@dataclass(frozen=True, slots=True)
class RenterStatus:
    """One renter's storage and debt."""

    renter: NodeId
    shards: int
    stored_bytes: int
    owed: Amount
    over_since: Timestamp | None


@dataclass(frozen=True, slots=True)
class GasStatus:
    """The gas key: wei it holds, what a unit of gas costs, and how many single claims that pays for."""

    address: Address
    balance: int
    price: int | None
    claims: int | None


@dataclass(frozen=True, slots=True)
class FarmerStatus:
    """Everything `tithe farm status` shows. `earned` counts what was proven, paid by voucher or on chain."""

    payee: Address
    shards: int
    stored_bytes: int
    reserved_bytes: int
    capacity: int
    earned: Amount
    claimable: Amount
    claimed: Amount
    audits_passed: int
    audits_failed: int
    channels: tuple[ChannelStatus, ...]
    renters: tuple[RenterStatus, ...]
    gas: GasStatus | None
    trouble: tuple[str, ...]
    holdings: Holdings


async def read_status(
    config: FarmerConfig,
    database: Database,
    counters: Mapping[str, int],
    now: Timestamp,
    *,
    holdings: Holdings,
    chain: Chain | None = None,
    gas_key: Address | None = None,
    trouble: tuple[str, ...] = (),
    show: Callable[[int], str] = str,
) -> FarmerStatus:
    """Read how a farmer is doing. A chain that does not answer is part of `trouble`. Raises StorageError.

    `counters` are the statistics' totals; `show` writes an amount in the sentences of `why`.
    """
    seen = await _look(chain, gas_key, now) if chain else _GasSeen()

    def read(conn: Connection) -> tuple[list[Considered], list[RenterStatus], list[RenterSums]]:
        all_sums = list_sums(conn)
        found = find_candidates(conn, now)
        return (
            consider(config, found, gas_wei=seen.price, now=now, cheaper=seen.cheaper, show=show),
            [_renter(conn, config, sums, now) for sums in all_sums],
            all_sums,
        )

    considered, renters, all_sums = database.read(read)
    channels = tuple(_channel(one, seen.gas) for one in considered)
    return FarmerStatus(
        payee=config.payee,
        shards=sum(sums.stored for sums in all_sums),
        stored_bytes=sum(sums.stored_bytes for sums in all_sums),
        reserved_bytes=sum(sums.reserved_bytes for sums in all_sums),
        capacity=config.capacity,
        earned=Amount(sum(one.candidate.book.earnings.earned for one in considered)),
        claimable=Amount(sum(one.claimable for one in channels)),
        claimed=Amount(sum(one.claimed for one in channels)),
        audits_passed=counters.get("audits_passed", 0),
        audits_failed=counters.get("audits_failed", 0),
        channels=channels,
        renters=tuple(one for one in renters if one.shards or one.owed),
        gas=seen.gas,
        trouble=(*trouble, *seen.trouble),
        holdings=holdings,
    )


@dataclass(frozen=True, slots=True)
class _GasSeen:
    """What the chain says of gas: the key's, the price of a unit now, a cheaper time, and what went wrong."""

    gas: GasStatus | None = None
    price: int | None = None
    cheaper: Cheaper | None = None
    trouble: tuple[str, ...] = ()


async def _look(chain: Chain, gas_key: Address | None, now: Timestamp) -> _GasSeen:
    prices = GasPrices(chain)
    price = await prices.now()
    cheaper = await prices.cheaper(price, now)
    try:
        balance = await chain.balance(gas_key) if gas_key else None
    except ChainError as error:
        return _GasSeen(None, price, cheaper, (str(error),))
    if gas_key is None or balance is None:
        return _GasSeen(None, price, cheaper)
    claims = balance // (price * ALONE_GAS) if price else None
    return _GasSeen(GasStatus(gas_key, balance, price, claims), price, cheaper)


def _renter(conn: Connection, config: FarmerConfig, sums: RenterSums, now: Timestamp) -> RenterStatus:
    return RenterStatus(
        renter=sums.renter,
        shards=sums.stored,
        stored_bytes=sums.stored_bytes,
        owed=load_debt(conn, config, sums, now).exposed,
        over_since=sums.over_since or None,
    )


def _channel(considered: Considered, gas: GasStatus | None) -> ChannelStatus:
    candidate, decision = considered.candidate, considered.decision
    channel, earnings = candidate.channel, candidate.book.earnings
    return ChannelStatus(
        channel_id=channel.id,
        renter=candidate.book.renter,
        deposit=channel.deposit,
        paid=earnings.covered,
        proven=earnings.unpaid,
        claimable=considered.amount,
        claimed=channel.claimed,
        closes_at=channel.closes_at or None,
        serving=channel.serving,
        claim=decision.claim,
        with_proof=decision.with_proof,
        reason=decision.reason,
        when=decision.when,
        why=_why(decision, gas),
    )


def _why(decision: ClaimDecision, gas: GasStatus | None) -> str:
    if not decision.claim or gas is None or gas.claims != 0:
        return decision.sentence
    return f"{decision.sentence} The gas key cannot pay for it: send it gas money."
