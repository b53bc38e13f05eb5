"""Verdicts: what the chain says became of a transaction. Only blocks that are part of it still count."""

from collections.abc import Iterable
from dataclasses import replace

from payments.types import Address
from settlement.answers import Receipt, Sent
from settlement.calls import Call
from settlement.client import Chain
from settlement.errors import NodeRefused, TransactionFailed
from settlement.outbox_store import Attempt, Phase, Queued
from settlement.rpc import Rpc


async def find_receipt(rpc: Rpc, transaction: bytes) -> Receipt | None:
    """The receipt of a transaction (its hash), unless a reorganisation threw its block out of the chain."""
    receipt = await rpc.receipt(transaction)
    if receipt is None:
        return None
    block = await rpc.block(receipt.block_number)
    return receipt if block is not None and block.hash == receipt.block_hash else None


async def find_mined(chain: Chain, attempts: Iterable[Attempt], depth: int) -> Receipt | None:
    """Find the attempt that lies this deep, not deep enough to be done with it. Raises TransactionFailed."""
    head = await chain.head()
    for attempt in attempts:
        receipt = None if attempt.cancels else await find_receipt(chain.rpc, attempt.signed.hash)
        if receipt is not None and head.number - receipt.block_number + 1 >= depth:
            if not receipt.succeeded:
                raise TransactionFailed(receipt.transaction)
            return receipt
    return None


def end(queued: Queued, attempt: Attempt, receipt: Receipt) -> Queued:
    """What a transaction is once an attempt is confirmed; one cancelled but wanted again starts anew."""
    if not attempt.cancels:
        phase = Phase.DONE if receipt.succeeded else Phase.REVERTED
        return replace(queued, phase=phase, final=receipt.transaction)
    if queued.phase is Phase.CANCELLING:
        return replace(queued, phase=Phase.CANCELLED, final=receipt.transaction)
    return queued.again


async def displace(rpc: Rpc, queued: Queued, nonce: int, final: int) -> Queued:
    """What becomes of a wish whose nonce somebody else used: never twice, so look at what used it.

    Another copy of this outbox may have sent the same call. Where nobody can tell, it is not sent again.
    """
    used = await find_use(rpc, queued.sender, nonce, final)
    receipt = None if used is None else await rpc.receipt(used.hash)
    if used is None or receipt is None:
        return replace(queued, phase=Phase.REPLACED)
    if used.to is not None and Call(used.to, used.data, used.value) == queued.call:
        phase = Phase.DONE if receipt.succeeded else Phase.REVERTED
        return replace(queued, phase=phase, final=used.hash)
    if queued.phase is Phase.CANCELLING or queued.empty:
        return replace(queued, phase=Phase.CANCELLED, final=used.hash)
    return queued.again


async def find_use(rpc: Rpc, sender: Address, nonce: int, last: int) -> Sent | None:
    """Find the transaction of `sender` with this nonce in the blocks up to `last`, by halving.

    None when there is none, or the node has forgotten the states of blocks that old. Raises ChainError.
    """
    low, high = 0, last
    while low < high:
        middle = (low + high) // 2
        if await _used(rpc, sender, nonce, middle):
            high = middle
        else:
            low = middle + 1
    found = (sent for sent in await rpc.transactions(low) if (sent.sender, sent.nonce) == (sender, nonce))
    return next(found, None)


async def _used(rpc: Rpc, sender: Address, nonce: int, block: int) -> bool:
    try:
        return await rpc.nonce(sender, block) > nonce
    except NodeRefused:  # the node has forgotten that state: look further on
        return False
