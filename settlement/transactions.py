"""Ethereum transactions by hand: packed, signed by a `SigningKey`, sent. EIP-1559 where the chain knows it.

The durable way to send is the outbox; `send_now` here serves deployments and gifts on local chains, where a
lost transaction is simply sent again.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from payments.eip712 import keccak
from payments.types import Address
from payments.vouchers import SigningKey
from settlement.errors import OutOfGasMoney, TransactionFailed, TransactionPending, TransactionTooLarge
from settlement.rpc import Fees, Receipt, Rpc

MAX_TRANSACTION_GAS: Final = 16_777_216
"""No transaction may use more (EIP-7825)."""
MAX_CALL_BYTES: Final = 127 * 1024
"""Call data of one transaction: common pools refuse those above 128 KiB, signature and fees included."""
TRANSFER_GAS: Final = 21_000
"""What a plain transfer takes."""
POLL_SECONDS: Final = 0.1
_DYNAMIC_FEE: Final = b"\x02"
_SHORT: Final = 55
_SINGLE_BYTE: Final = 0x80


@dataclass(frozen=True, slots=True)
class Transaction:
    """What is signed. `to` None creates a contract; `gas` is the limit; fees in wei a unit."""

    chain_id: int
    nonce: int
    to: Address | None
    data: bytes
    value: int
    gas: int
    fees: Fees


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """Raw bytes as they are broadcast, and their hash (32 bytes)."""

    raw: bytes
    hash: bytes


class RemoteKey(SigningKey):
    """A key that is elsewhere and signs what its owner can read: transactions and typed data."""

    __slots__ = ()

    def sign_transaction(self, transaction: Transaction) -> bytes:
        """Sign a transaction: 64 bytes (EIP-2098) over its digest. Raises SignerError's branches."""
        raise NotImplementedError


def call_gas(data: bytes) -> int:
    """Gas that a call with this data costs before any code runs (EIP-2028)."""
    zeros = data.count(0)
    return 21_000 + 4 * zeros + 16 * (len(data) - zeros)


def sign_transaction(transaction: Transaction, key: SigningKey) -> SignedTransaction:
    """Sign: type 2 (EIP-1559), or the legacy form with replay protection (EIP-155) where fees have no tip.

    Raises SignerError's branches where the key is a RemoteKey.
    """
    if isinstance(key, RemoteKey):
        signature = key.sign_transaction(transaction)
    else:
        signature = key.sign(transaction_digest(transaction))
    vs = int.from_bytes(signature[32:])
    r, s, parity = int.from_bytes(signature[:32]), vs & (2**255 - 1), vs >> 255
    fields = _fields(transaction)
    if transaction.fees.priority is not None:
        raw = _DYNAMIC_FEE + rlp([*fields, parity, r, s])
    else:
        raw = rlp([*fields, 35 + 2 * transaction.chain_id + parity, r, s])
    return SignedTransaction(raw, keccak(raw))


async def sign_beside(transaction: Transaction, key: SigningKey) -> SignedTransaction:
    """Sign as `sign_transaction` does; the event loop does not wait for the owner of a key elsewhere."""
    if isinstance(key, RemoteKey):
        return await asyncio.to_thread(sign_transaction, transaction, key)
    return sign_transaction(transaction, key)


def transaction_digest(transaction: Transaction) -> bytes:
    """Compute what is signed of a transaction: 32 bytes."""
    fields = _fields(transaction)
    if transaction.fees.priority is not None:
        return keccak(_DYNAMIC_FEE + rlp(fields))
    return keccak(rlp([*fields, transaction.chain_id, 0, 0]))


def rlp(item: object) -> bytes:
    """Encode integers, bytes and lists of them (Yellow Paper, appendix B)."""
    if isinstance(item, int):
        item = item.to_bytes((item.bit_length() + 7) // 8)
    if isinstance(item, list):
        body = b"".join(rlp(part) for part in item)
        return _length(len(body), 0xC0) + body
    if not isinstance(item, bytes):
        raise TypeError(f"RLP knows no {type(item).__name__}")
    if len(item) == 1 and item[0] < _SINGLE_BYTE:
        return item
    return _length(len(item), _SINGLE_BYTE) + item


async def send_now(
    rpc: Rpc, key: SigningKey, to: Address | None, data: bytes = b"", value: int = 0, *, seconds: float = 60
) -> Receipt:
    """Sign, broadcast, wait for the receipt. Raises Reverted, OutOfGasMoney, TransactionFailed, -Pending."""
    gas = await rpc.estimate(to, data, sender=key.address, value=value)
    fees = await rpc.fees()
    await check_funds(rpc, key.address, gas * fees.cap + value)
    nonce = await rpc.nonce(key.address, "pending")
    transaction = Transaction(await rpc.chain_id(), nonce, to, data, value, gas, fees)
    signed = await sign_beside(transaction, key)
    await rpc.send_raw(signed.raw)
    return await wait_mined(rpc, signed.hash, seconds)


async def wait_mined(rpc: Rpc, transaction: bytes, seconds: float) -> Receipt:
    """Wait for the receipt of a transaction (its hash). Raises TransactionFailed, TransactionPending."""
    deadline = time.monotonic() + seconds
    while (receipt := await rpc.receipt(transaction)) is None:
        if time.monotonic() > deadline:
            raise TransactionPending(transaction, seconds)
        await asyncio.sleep(POLL_SECONDS)
    if not receipt.succeeded:
        raise TransactionFailed(transaction)
    return receipt


def check_size(data: bytes, gas: int = 0) -> None:
    """Raise TransactionTooLarge for what no chain takes: its data, or the gas it needs."""
    if len(data) > MAX_CALL_BYTES:
        raise TransactionTooLarge("bytes of data", len(data), MAX_CALL_BYTES)
    if gas > MAX_TRANSACTION_GAS:
        raise TransactionTooLarge("gas", gas, MAX_TRANSACTION_GAS)


async def check_funds(rpc: Rpc, sender: Address, needed: int) -> None:
    """Raise OutOfGasMoney unless `sender` holds `needed` wei."""
    balance = await rpc.balance(sender)
    if balance < needed:
        raise OutOfGasMoney(sender, balance, needed)


def _fields(t: Transaction) -> list[object]:
    """The fields of a transaction in their order, without the signature."""
    if t.fees.priority is None:
        return [t.nonce, t.fees.cap, t.gas, t.to or b"", t.value, t.data]
    head: list[object] = [t.chain_id, t.nonce, t.fees.priority, t.fees.cap]
    return [*head, t.gas, t.to or b"", t.value, t.data, []]


def _length(length: int, offset: int) -> bytes:
    if length <= _SHORT:
        return bytes((offset + length,))
    encoded = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes((offset + _SHORT + len(encoded),)) + encoded
