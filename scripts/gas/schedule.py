"""What the gas schedule itself charges a transaction, whoever wrote the contract.

A transaction is taken apart by tracing it: the intrinsic 21,000, its call data (EIP-2028, at least
EIP-7623's floor), and in the called contract's own frame its storage, its logs and its calls (the token's
work and the precompiles'). What is left is computing, the only part that other code for the same storage,
events and call data could save.
"""

from dataclasses import dataclass
from typing import Final

from scripts.gas.bench import Bench
from settlement.rpc import Receipt

INTRINSIC: Final = 21_000
ZERO_BYTE, OTHER_BYTE = 4, 16
FLOOR_TOKEN: Final = 10
"""EIP-7623: gas a token, of which a zero byte is one and any other four; nothing may cost less."""
STORAGE: Final = ("SLOAD", "SSTORE")
CALLS: Final = ("CALL", "STATICCALL", "DELEGATECALL")
TRACER: Final = """
{
  spent: {}, name: null, gas: 0,
  step: function (log) {
    if (log.getDepth() != 1) return;
    var left = log.getGas();
    if (this.name !== null) this.spent[this.name] = (this.spent[this.name] || 0) + this.gas - left;
    this.name = log.op.toString();
    this.gas = left;
  },
  fault: function () {},
  result: function () { return this.spent; }
}
"""
"""Adds up, by opcode, what the outermost frame's gas falls by; a call's callee is in the call."""


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Gas of a transaction, by what it is charged for; `floor_rule`: EIP-7623's minimum decided the sum."""

    total: int
    intrinsic: int
    call_data: int
    storage: int
    logs: int
    calls: int
    floor_rule: bool

    @property
    def computing(self) -> int:
        """Our own code's share."""
        return self.total - self.floor

    @property
    def floor(self) -> int:
        """What the schedule charges for this call data, storage, logs and calls, if computing were free."""
        known = self.intrinsic + self.call_data + self.storage + self.logs + self.calls
        return self.total if self.floor_rule else known


async def take_apart(bench: Bench, receipt: Receipt) -> Breakdown:
    """Take a transaction apart that was sent and succeeded."""
    sent = await bench.rpc.request("eth_getTransactionByHash", receipt.transaction)
    spent = await bench.rpc.request("debug_traceTransaction", receipt.transaction, {"tracer": TRACER})
    data = bytes.fromhex(sent["input"].removeprefix("0x"))
    zeros = data.count(0)
    others = len(data) - zeros
    minimum = INTRINSIC + FLOOR_TOKEN * (zeros + 4 * others)
    return Breakdown(
        total=receipt.gas_used,
        intrinsic=INTRINSIC,
        call_data=ZERO_BYTE * zeros + OTHER_BYTE * others,
        storage=sum(spent.get(name, 0) for name in STORAGE),
        logs=sum(gas for name, gas in spent.items() if name.startswith("LOG")),
        calls=sum(spent.get(name, 0) for name in CALLS),
        floor_rule=receipt.gas_used == minimum,
    )
