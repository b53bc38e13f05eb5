"""A farmer's vitals: the few figures and deadlines that tell whether its money is safe.

Read from the books and the chain, beside a running farmer or without one: a farmer that stands still does
not know that a payer asked to close, so the chain is asked for every channel with something to claim.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from node.db import Connection
from node.db.farmer_latency import worst_latency
from node.farmer.claimable import ALONE_GAS, Candidate, consider, find_candidates
from node.farmer.config import FarmerConfig
from payments.channel import CloseRequested, Status, apply
from payments.deadlines import Deadline, margin
from payments.types import Address, Amount, ChannelId, Seconds, Timestamp
from settlement.client import Chain, ChannelState
from settlement.database import Database
from settlement.deployment import Deployment
from settlement.errors import ChainError
from settlement.outbox import BLOCK_SECONDS, stuck_after
from settlement.outbox_store import Queued, list_open
from settlement.rpc import Block
from settlement.watcher_store import load_cursor

LOCAL_SECONDS = 5
"""How long a claim that is not stuck takes on a chain whose blocks come at once."""


@dataclass(frozen=True, slots=True)
class Books:
    """Where a farmer's figures are, and what is needed to read them."""

    config: FarmerConfig
    database: Database
    deployment: Deployment
    gas_key: Address | None


@dataclass(frozen=True, slots=True)
class Sight:
    """What is seen of the chain: its newest block, the price of gas, the gas key's money (wei), channels.

    None: not asked, or not answered.
    """

    head: Block | None = None
    price: int | None = None
    balance: int | None = None
    channels: Mapping[ChannelId, ChannelState] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Vitals:
    """How safe a farmer's money is. Amounts in base units, ages in seconds; None: nothing or unknown.

    claimable: what vouchers and proofs would bring now. locked: what open channels hold beyond what is
    claimed. waiting: why transactions do not go out. gas_claims: how many claims the gas key can pay for.
    watcher_lag: blocks the books lie behind the chain.
    """

    claimable: Amount
    locked: Amount
    claimed: Amount
    open_claims: int
    waiting: tuple[str, ...]
    oldest_unclaimed: Seconds | None
    deadlines: tuple[Deadline, ...]
    gas_balance: int | None
    gas_price: int | None
    gas_claims: int | None
    watcher_lag: int | None

    @property
    def nearest_deadline(self) -> Deadline | None:
        """The first one."""
        return min(self.deadlines, key=lambda one: one.remaining, default=None)


@dataclass(frozen=True, slots=True)
class Stored:
    """What the books say at one moment. slowest: the longest a claim has taken lately, in seconds."""

    candidates: Sequence[Candidate]
    queue: Sequence[Queued]
    seen: int | None
    slowest: Seconds | None


def read_stored(conn: Connection, now: Timestamp) -> Stored:
    """Read the books."""
    cursor = load_cursor(conn)
    seen = cursor.seen if cursor else None
    return Stored(find_candidates(conn, now), list_open(conn), seen, worst_latency(conn, now))


async def look(chain: Chain, candidates: Sequence[Candidate], gas_key: Address | None) -> Sight:
    """Ask the chain. Raises ChainError."""
    ids = [one.channel.id for one in candidates if _brings(one) and one.channel.status is not Status.CLOSED]
    head = await chain.head()
    states = dict(zip(ids, await chain.channel_states(ids), strict=True))
    balance = await chain.balance(gas_key) if gas_key else None
    return Sight(head, (await chain.rpc.fees()).now, balance, states)


async def read_vitals(farm: Books, now: Timestamp, chain: Chain | None) -> tuple[Vitals, str | None]:
    """Read all of it, and why the chain could not be asked. Raises StorageError."""
    sight, fault = Sight(), None
    stored = await asyncio.to_thread(farm.database.read, lambda conn: read_stored(conn, now))
    if chain is not None:
        try:
            sight = await look(chain, stored.candidates, farm.gas_key)
        except ChainError as error:
            fault = str(error)
    return measure(farm, stored, now, sight), fault


def measure(farm: Books, stored: Stored, now: Timestamp, sight: Sight) -> Vitals:
    """Take the figures from the books and what is seen of the chain. Pure."""
    candidates, queue = stored.candidates, stored.queue
    since = [one.claimable.since for one in candidates if one.claimable.amount]
    waiting = tuple(dict.fromkeys(one.problem for one in queue if one.problem))
    return Vitals(
        claimable=Amount(sum(map(_brings, candidates))),
        locked=Amount(sum(one.channel.deposit - one.channel.claimed for one in candidates if _open(one))),
        claimed=Amount(sum(one.channel.claimed for one in candidates)),
        open_claims=sum(one.purpose == "claim" for one in queue),
        waiting=waiting,
        oldest_unclaimed=Seconds(max(0, now - min(since))) if since else None,
        deadlines=find_deadlines(farm, stored, now, sight),
        gas_balance=sight.balance,
        gas_price=sight.price,
        gas_claims=(
            None if sight.balance is None or not sight.price else sight.balance // (sight.price * ALONE_GAS)
        ),
        watcher_lag=(
            max(0, sight.head.number - stored.seen) if sight.head and stored.seen is not None else None
        ),
    )


def find_deadlines(farm: Books, stored: Stored, now: Timestamp, sight: Sight) -> tuple[Deadline, ...]:
    """Find the channels that close with something worth a claim, by the books and by what the chain says."""
    usual = usual_latency(farm.deployment)
    slowest = Seconds(max(stored.slowest or 0, usual))
    allowed = margin(slowest, now, sight.head.timestamp if sight.head else None)
    closing = [known for one in stored.candidates if (known := _as_seen(one, sight)).channel.closes_at]
    considered = consider(farm.config, closing, gas_wei=sight.price, now=now)
    return tuple(
        Deadline(one.candidate.channel.id, one.amount, closes_at, closes_at - now, allowed)
        for one in considered
        if one.decision.claim and one.amount and (closes_at := one.candidate.channel.closes_at)
    )


def _as_seen(one: Candidate, sight: Sight) -> Candidate:
    """Bring a candidate up to what the chain's newest block says: a close request, a claim not confirmed."""
    seen = sight.channels.get(one.channel.id)
    if seen is None:
        return one
    left = max(0, one.claimable.amount - max(0, seen.claimed - one.channel.claimed))
    channel, _ = apply(one.channel, CloseRequested(seen.closes_at))
    unpaid = None if seen.claimed > one.book.earnings.covered else one.claimable.unpaid
    return replace(one, channel=channel, claimable=replace(one.claimable, amount=Amount(left), unpaid=unpaid))


def usual_latency(deployment: Deployment) -> Seconds:
    """How long a claim takes where nothing was measured: it may be stuck once, and has to be confirmed."""
    confirmed = LOCAL_SECONDS if deployment.local else deployment.confirmations * BLOCK_SECONDS
    return Seconds(int(stuck_after(deployment)) + confirmed)


def deadline_sentence(deadline: Deadline, show: Callable[[int], str] = str) -> str:
    """Say how a deadline stands."""
    name = deadline.channel_id.hex()[:16]
    what = f"{show(deadline.amount)} of channel 0x{name} are not claimed yet"
    if deadline.remaining <= 0:
        return f"{what}, and its payer may withdraw since {-deadline.remaining} s"
    return (
        f"{what}, and its payer may withdraw in {deadline.remaining} s (a claim may take {deadline.margin} s)"
    )


def _brings(one: Candidate) -> int:
    return one.claimable.amount + (one.claimable.unpaid.amount if one.claimable.unpaid else 0)


def _open(one: Candidate) -> bool:
    return one.channel.status in (Status.FUNDED, Status.CLOSING)
