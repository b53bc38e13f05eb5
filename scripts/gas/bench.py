"""One fresh Anvil on which ours and the peers are measured alike, by real signed transactions.

Everybody's key is derived from a name, amounts and salts are fixed, so two runs send the same bytes and use
the same gas. What a figure counts is `gasUsed` of the receipt, the 21,000 included.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, TypeVar

from eth_abi.abi import encode

from payments.eip712 import keccak
from payments.types import Address
from payments.vouchers import SigningKey
from settlement.calls import Call
from settlement.errors import ChainError, TransactionFailed, TransactionPending
from settlement.local_chain import ChainKind, LocalChain, dev_keys
from settlement.rpc import Fees, Receipt, Rpc
from settlement.transactions import MAX_TRANSACTION_GAS, Transaction, sign_transaction

Row = TypeVar("Row")

TOKEN: Final = 10**18
"""One token, the unit of all amounts."""
LIGHT_GAS: Final = 1_000_000
"""Gas limit of a transaction that shares its block."""
POLL_SECONDS: Final = 0.002
PATIENCE: Final = 60.0
GAS_MONEY: Final = 10**24
MAX_TRANSACTION_BYTES: Final = 128 * 1024
"""What common transaction pools accept at most."""
ENVELOPE_BYTES: Final = 256
"""Of a transaction beside its call data, at most: fees, addresses, signature."""
FEES: Final = Fees(cap=100 * 10**9, priority=10**9)


def people(role: str, count: int) -> list[SigningKey]:
    """Keys of `count` people, the same in every run."""
    return [SigningKey(keccak(f"{role} {index}".encode())) for index in range(count)]


def call(to: Address, signature: str, *arguments: object) -> Call:
    """Encode a call by the function's signature, such as `transfer(address,uint256)`."""
    return Call(to, keccak(signature.encode())[:4] + arguments_of(signature, *arguments))


def arguments_of(signature: str, *arguments: object) -> bytes:
    """Encode arguments by the types between the outer parentheses of `signature`."""
    return encode(_types(signature[signature.index("(") + 1 : -1]), arguments)


@dataclass
class Bench:
    """The chain, who deploys, and the next nonce of everybody."""

    rpc: Rpc
    chain_id: int
    deployer: SigningKey
    _nonces: dict[Address, int] = field(default_factory=dict)

    async def send(self, key: SigningKey, what: Call) -> Receipt:
        """Send a transaction in a block of its own; raises TransactionFailed."""
        (receipt,) = await self._results([await self._broadcast(key, what.to, what.data)])
        return receipt

    async def send_many(self, calls: Sequence[tuple[SigningKey, Call]]) -> list[Receipt]:
        """Send light transactions, many in a block: each block slows Anvil down. Raises TransactionFailed."""
        await self.rpc.request("evm_setAutomine", False)
        sent = [await self._broadcast(key, one.to, one.data, LIGHT_GAS) for key, one in calls]
        for _ in sent:  # at least one a block
            if await self.rpc.receipt(sent[-1]) is not None:
                break
            await self.rpc.request("evm_mine")
        await self.rpc.request("evm_setAutomine", True)
        return await self._results(sent)

    async def create(self, code: bytes) -> Address:
        """Deploy `code` (creation code with its arguments)."""
        (receipt,) = await self._results([await self._broadcast(self.deployer, None, code)])
        if receipt.contract is None:
            raise TransactionFailed(receipt.transaction)
        return receipt.contract

    async def enrich(self, keys: Sequence[SigningKey]) -> None:
        """Give everybody gas money."""
        for key in keys:
            await self.rpc.request("anvil_setBalance", key.address, GAS_MONEY)

    async def spread(self, token: Address, owners: Sequence[Address], amount: int = 100 * TOKEN) -> None:
        """Give everybody some of the deployer's tokens: who receives has held some before."""
        signature = "transfer(address,uint256)"
        await self.send_many([(self.deployer, call(token, signature, owner, amount)) for owner in owners])

    async def approve(self, token: Address, spender: Address, owners: Sequence[SigningKey]) -> None:
        """Allow `spender` everything: no measured call writes an allowance."""
        allowed = call(token, "approve(address,uint256)", spender, 2**256 - 1)
        await self.send_many([(owner, allowed) for owner in owners])

    async def split(
        self, rows: Sequence[Row], make: Callable[[Sequence[Row]], Call], sender: SigningKey
    ) -> list[Call]:
        """Make calls of the rows, in the fewest equal parts that gas and size of a transaction allow."""
        parts = 1 + len(make(rows).data) // (MAX_TRANSACTION_BYTES - ENVELOPE_BYTES)
        for count in range(parts, len(rows)):
            calls = [make(part) for part in _equal_parts(rows, count)]
            if await self._fit(calls, sender):
                return calls
        return [make([row]) for row in rows]

    async def _fit(self, calls: Sequence[Call], sender: SigningKey) -> bool:
        for one in calls:
            if not await self._fits(one, sender):
                return False
        return True

    async def _fits(self, what: Call, sender: SigningKey) -> bool:
        if len(what.data) + ENVELOPE_BYTES > MAX_TRANSACTION_BYTES:
            return False
        try:
            gas = await self.rpc.estimate(what.to, what.data, sender=sender.address)
        except ChainError:  # too heavy to be simulated
            return False
        return gas <= MAX_TRANSACTION_GAS

    async def _broadcast(
        self, key: SigningKey, to: Address | None, data: bytes, gas: int = MAX_TRANSACTION_GAS
    ) -> bytes:
        nonce = self._nonces.get(key.address, 0)
        self._nonces[key.address] = nonce + 1
        signed = sign_transaction(Transaction(self.chain_id, nonce, to, data, 0, gas, FEES), key)
        return await self.rpc.send_raw(signed.raw)

    async def _results(self, sent: Sequence[bytes]) -> list[Receipt]:
        receipts = [await self._result(transaction) for transaction in sent]
        for receipt in receipts:
            if not receipt.succeeded:
                raise TransactionFailed(receipt.transaction)
        return receipts

    async def _result(self, transaction: bytes) -> Receipt:
        deadline = time.monotonic() + PATIENCE
        while (receipt := await self.rpc.receipt(transaction)) is None:
            if time.monotonic() > deadline:
                raise TransactionPending(transaction, PATIENCE)
            await asyncio.sleep(POLL_SECONDS)
        return receipt


@asynccontextmanager
async def fresh_bench() -> AsyncIterator[Bench]:
    """Start an Anvil of its own: a block a transaction, default hardfork, EIP-7825 in force."""
    with LocalChain.start(ChainKind.ANVIL, block_time=0) as local:
        async with await Rpc.open(local.url) as rpc:
            yield Bench(rpc, await rpc.chain_id(), dev_keys(1)[0])


def _equal_parts(rows: Sequence[Row], parts: int) -> list[Sequence[Row]]:
    """Cut rows into so many parts whose lengths differ by one at most."""
    cuts = [len(rows) * place // parts for place in range(parts + 1)]
    return [rows[start:end] for start, end in pairwise(cuts)]


def _types(inner: str) -> list[str]:
    """Split a list of ABI types at its outer commas."""
    found, depth = [""], 0
    for letter in inner:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            found.append("")
        else:
            found[-1] += letter
    return [kind for kind in found if kind]
