"""Claims: vouchers into tokens, in as few transactions as the chain's limits allow.

Rows that would be skipped are left out beforehand, rows of one payee stand together (they share a
transfer), and a batch too heavy for one transaction is halved until it fits. What became of each row is
read from the logs.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from payments.types import Address, Amount, ChannelId
from payments.vouchers import SigningKey, channel_id
from settlement.calls import Call, Claim, Fee
from settlement.chain_events import NO_FEE, ChannelClaimed, Reason, RowSkipped
from settlement.client import Chain, ChannelState
from settlement.errors import ChainError, NodeRefused, Reverted, TransactionFailed, TransactionTooLarge
from settlement.outbox import Outbox
from settlement.reverts import Refused
from settlement.rpc import Receipt
from settlement.transactions import MAX_CALL_BYTES, MAX_TRANSACTION_GAS, check_size

GAS_LIMIT: Final = MAX_TRANSACTION_GAS * 9 // 10
"""Of a simulated batch: room for what changes until it is mined."""
_WORD: Final = 32
_ROW_BYTES: Final = 6 * _WORD
_FEE_BYTES: Final = 3 * _WORD
log = logging.getLogger("tithebarn.chain")

Fees = Mapping[ChannelId, Fee]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one claim. `claimed`: the channel's paid-out total; else `reason` says why not.

    `transaction` is None where nothing was sent; `fee` is what a relayer kept.
    """

    channel_id: ChannelId
    claimed: Amount | None
    reason: Reason
    transaction: bytes | None = None
    fee: Amount = NO_FEE


@dataclass(frozen=True, slots=True)
class Batch:
    """One transaction of claims, and the gas it needs."""

    call: Call
    claims: tuple[Claim, ...]
    gas: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Transactions that claim, and the rows that were left out because the contract would skip them."""

    batches: tuple[Batch, ...]
    left_out: tuple[Outcome, ...]

    @property
    def gas(self) -> int:
        """Gas of all transactions together."""
        return sum(batch.gas for batch in self.batches)


async def plan_claims(chain: Chain, claims: Sequence[Claim], sender: Address) -> Plan:
    """Plan claims of vouchers, any tokens and payees, at most one a channel; sends nothing.

    Also the dry run that quotes the gas. Raises ChainError's children.
    """
    ids = [channel_id(chain.domain, claim.terms) for claim in claims]
    states = await chain.channel_states(ids)
    left_out = []
    wanted = []
    for claim, claimed_id, state in zip(claims, ids, states, strict=True):
        reason = foresee(claim, state)
        if reason is Reason.NONE:
            wanted.append(claim)
        else:
            left_out.append(Outcome(claimed_id, None, reason))
    return await plan_batches(chain, wanted, sender, left_out)


async def plan_batches(
    chain: Chain,
    claims: Sequence[Claim],
    sender: Address,
    left_out: Sequence[Outcome] = (),
    fees: Fees | None = None,
) -> Plan:
    """Plan claims that the contract will take, or with `fees` their relay; `left_out` is passed on."""
    batches: list[Batch] = []
    dropped = list(left_out)
    wanted = sorted(claims, key=lambda claim: (claim.terms.token, claim.terms.payee, not claim.proof))
    for _, group in groupby(wanted, key=lambda claim: claim.terms.token):
        for rows in _cut(list(group), _ROW_BYTES if fees is None else _ROW_BYTES + _FEE_BYTES):
            fitting, refused = await _fit(chain, rows, sender, fees)
            batches += fitting
            dropped += refused
    return Plan(tuple(batches), tuple(dropped))


async def send_claims(chain: Chain, outbox: Outbox, plan: Plan, key: SigningKey) -> tuple[Outcome, ...]:
    """Send a plan's transactions through the outbox and wait for all; one outcome for each claim.

    Raises OutOfGasMoney and the like; what was queued stays queued, and is found on chain by the watcher.
    """
    outcomes = list(plan.left_out)
    sent = []
    for batch in plan.batches:
        try:
            sent.append((batch, await submit_batch(outbox, batch, key)))
        except (
            Reverted,
            TransactionTooLarge,
        ):  # what has changed since the plan is no reason to leave the others
            outcomes += [_failed(chain, claim, None) for claim in batch.claims]
    for batch, queued_id in sent:
        outcomes += await wait_batch(chain, outbox, batch, queued_id)
    return tuple(outcomes)


async def submit_batch(outbox: Outbox, batch: Batch, key: SigningKey) -> int:
    """Put one transaction of claims into the outbox; its id there. Raises as `Outbox.submit`."""
    return await outbox.submit("claim", batch.call, key)


async def wait_batch(
    chain: Chain, outbox: Outbox, batch: Batch, queued_id: int, seconds: float | None = None
) -> list[Outcome]:
    """Wait for a transaction that was submitted; one outcome for each claim. Raises as `Outbox.wait`."""
    try:
        receipt = await outbox.wait(queued_id, seconds)
    except (TransactionFailed, Reverted) as err:
        transaction = err.transaction if isinstance(err, TransactionFailed) else None
        return [_failed(chain, claim, transaction) for claim in batch.claims]
    return read_outcomes(chain, batch.claims, receipt)


def read_outcomes(chain: Chain, claims: Sequence[Claim], receipt: Receipt) -> list[Outcome]:
    """Read from a receipt's logs what became of each claim."""
    claimed: dict[ChannelId, ChannelClaimed] = {}
    skipped: dict[ChannelId, Reason] = {}
    for event in chain.events_of(receipt):
        if isinstance(event, ChannelClaimed):
            claimed[event.channel_id] = event
        elif isinstance(event, RowSkipped):
            skipped[event.channel_id] = event.reason
    outcomes = []
    for claim in claims:
        key = channel_id(chain.domain, claim.terms)
        paid = claimed.get(key)
        if paid is not None:
            outcomes.append(Outcome(key, paid.claimed, Reason.NONE, receipt.transaction, paid.fee))
        else:
            outcomes.append(Outcome(key, None, skipped.get(key, Reason.UNKNOWN), receipt.transaction))
    return outcomes


def _cut(rows: Sequence[Claim], row_bytes: int) -> Iterator[list[Claim]]:
    """Cut rows, in their order, into parts whose call data fits one transaction."""
    head = 2 * _WORD if any(row.proof for row in rows) else 0  # a proof's offset and length
    part: list[Claim] = []
    size = 0
    for row in rows:
        own = row_bytes + head + -(-len(row.proof) // _WORD) * _WORD
        if part and size + own > MAX_CALL_BYTES:
            yield part
            part, size = [], 0
        part.append(row)
        size += own
    if part:
        yield part


async def _fit(
    chain: Chain, rows: list[Claim], sender: Address, fees: Fees | None
) -> tuple[list[Batch], list[Outcome]]:
    """Halve until each part can be one transaction; single rows the contract refuses are left out.

    So are those that no transaction can carry: whoever brought them stands in nobody else's way.
    """
    call = _call(chain, rows, fees)
    try:
        check_size(call.data)
        gas = await chain.simulate(call, sender)
        check_size(call.data, gas)
    except Refused as err:
        return [], [Outcome(channel_id(chain.domain, rows[0].terms), None, Reason(err.reason))]
    except (NodeRefused, TransactionTooLarge) as err:  # nodes refuse what takes more gas than they allow
        if len(rows) == 1:
            return [], [_untried(chain, rows[0], err)]
        gas = MAX_TRANSACTION_GAS
    if gas <= GAS_LIMIT or len(rows) == 1:
        return [Batch(call, tuple(rows), gas)], []
    middle = len(rows) // 2
    first, refused = await _fit(chain, rows[:middle], sender, fees)
    second, also_refused = await _fit(chain, rows[middle:], sender, fees)
    return first + second, refused + also_refused


def _call(chain: Chain, rows: Sequence[Claim], fees: Fees | None) -> Call:
    if fees is None:
        return chain.calls.claim(rows)
    return chain.calls.relay(rows, [fees.get(channel_id(chain.domain, row.terms)) for row in rows])


def foresee(claim: Claim, state: ChannelState) -> Reason:
    """Foresee the contract's answer as far as its state tells."""
    if claim.voucher.total <= state.claimed:
        return Reason.STALE
    return Reason.EMPTY if state.claimed >= state.deposit else Reason.NONE


def _untried(chain: Chain, claim: Claim, err: ChainError) -> Outcome:
    """What no transaction carries never will be claimed; what a node does not want to try may be later."""
    name = channel_id(chain.domain, claim.terms)
    log.warning("claim_not_tried channel=%s reason=%s", name.hex(), err)
    reason = Reason.TOO_LARGE if isinstance(err, TransactionTooLarge) else Reason.UNKNOWN
    return Outcome(name, None, reason)


def _failed(chain: Chain, claim: Claim, transaction: bytes | None) -> Outcome:
    return Outcome(channel_id(chain.domain, claim.terms), None, Reason.UNKNOWN, transaction)
