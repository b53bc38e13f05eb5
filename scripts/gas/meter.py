"""What is measured and noted: a figure for each system, operation and number of rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from payments.eip712 import keccak
from payments.types import Address
from payments.vouchers import SigningKey
from scripts.gas.bench import Bench, people
from settlement.abi import TOKEN as TOKEN_CONTRACT
from settlement.abi import encode_constructor
from settlement.calls import Call
from settlement.rpc import Receipt

ALONE: Final = 10
"""Rows sent one by one where a contract has no function for many."""


class Method(StrEnum):
    """How a figure came about."""

    MEASURED = "measured"
    CITED = "cited"


@dataclass(frozen=True, slots=True)
class Figure:
    """Gas for each of `n` rows of an operation, in so many transactions. `note`: what to know about it."""

    system: str
    operation: str
    n: int
    gas: float
    method: Method = Method.MEASURED
    transactions: int = 1
    note: str = ""


@dataclass(frozen=True)
class Ground:
    """The same ground for everybody: an OpenZeppelin ERC-20, its rich holder, people with gas money.

    Payees (one more than the largest batch) and payers hold the token already; there are 20 of each at least.
    """

    bench: Bench
    token: Address
    payer: SigningKey
    payees: list[SigningKey]
    payers: list[SigningKey]


async def prepare(bench: Bench, largest: int) -> Ground:
    """Deploy the token and give everybody gas money and tokens; enough people for batches of `largest`."""
    token = await bench.create(encode_constructor(TOKEN_CONTRACT, bench.deployer.address))
    many = max(largest, 2 * ALONE)
    payees, payers = people("payee", many + 1), people("payer", many)
    everybody = [*payees, *payers]
    await bench.enrich(everybody)
    await bench.spread(token, [one.address for one in everybody])
    return Ground(bench, token, bench.deployer, payees, payers)


@dataclass
class Meter:
    """Sends one system's transactions and notes what they cost."""

    system: str
    bench: Bench
    figures: list[Figure] = field(default_factory=list)

    async def batch(
        self, operation: str, n: int, sender: SigningKey, calls: Sequence[Call], note: str = ""
    ) -> list[Receipt]:
        """Note `n` rows sent in these calls, each a transaction."""
        receipts = [await self.bench.send(sender, one) for one in calls]
        self.note(operation, n, receipts, note)
        return receipts

    async def alone(
        self, operation: str, calls: Sequence[tuple[SigningKey, Call]], note: str = ""
    ) -> list[Receipt]:
        """Note rows that take a transaction each: their mean, and the first by itself."""
        receipts = [await self.bench.send(sender, one) for sender, one in calls]
        for n in sorted({1, len(receipts)}):
            self.note(operation, n, receipts[:n], note)
        return receipts

    def note(self, operation: str, n: int, receipts: Sequence[Receipt], note: str = "") -> None:
        """Note `n` rows that these transactions brought."""
        gas = sum(receipt.gas_used for receipt in receipts) / n
        self.figures.append(Figure(self.system, operation, n, gas, transactions=len(receipts), note=note))


def sign65(key: SigningKey, digest: bytes) -> bytes:
    """Sign as most peers want it: r, s, and 27 or 28 (65 bytes)."""
    compact = key.sign(digest)
    s = bytes((compact[32] & 0x7F,)) + compact[33:]
    return compact[:32] + s + bytes((27 + (compact[32] >> 7),))


def personal(message: bytes) -> bytes:
    """Hash as `personal_sign` does (EIP-191, version 0x45)."""
    return keccak(b"\x19Ethereum Signed Message:\n" + str(len(message)).encode() + message)
