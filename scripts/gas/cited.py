"""Figures that this program does not measure: no package of PyPI or npm carries those contracts' bytecode.

They were taken before this benchmark was written, in 2026, from the vendors' own contracts under the same
conditions (a fresh Anvil 1.7.1, one OpenZeppelin ERC-20, receivers hold it, allowances infinite, all-in),
and are repeated here as the goals' yardstick. `floor` is no peer: throw-away contracts that did nothing but
the one operation, to know its floor.
"""

from typing import Final

from scripts.gas.meter import Figure, Method

_KNOWN: Final[list[tuple[str, str, int, int, str]]] = [
    ("floor", "open", 100, 23_248, "packed assembly without events"),
    ("tap_v1", "open", 100, 25_666, "The Graph's escrow, many receivers at once"),
    ("nitro_batch", "open", 100, 33_012, "Nitro's later batch operator"),
    ("x402", "open", 100, 46_204, "batch-settlement"),
    ("x402", "open", 1, 98_650, "batch-settlement"),
    ("graph_escrow", "open", 1, 70_289, "PaymentsEscrow"),
    ("swarm", "open", 1, 161_469 + 51_318, "a cheque book's deployment 161,469, its deposit 51,318"),
    ("tap_v1", "top_up", 100, 8_566, ""),
    ("x402", "top_up", 1, 60_582, ""),
    ("floor", "claim", 1, 48_028, ""),
    ("swarm", "claim", 1, 71_208, ""),
    ("x402", "claim", 1, 48_441 + 46_236, "two transactions: claim 48,441, settle 46,236"),
    ("tap_v1", "claim", 1, 105_655, ""),
    ("graphtally", "claim", 1, 138_206, ""),
    ("floor", "sweep", 100, 10_765, ""),
    ("x402", "sweep", 100, 21_549, ""),
    ("swarm", "relay", 1, 78_863, "one at a time with two signatures"),
    ("x402", "request_close", 1, 52_701, ""),
    ("x402", "withdraw", 1, 50_530, ""),
    ("graph_escrow", "request_close", 1, 76_948, ""),
    ("graph_escrow", "withdraw", 1, 51_215, ""),
]
FIGURES: Final = [
    Figure(system, operation, n, gas, Method.CITED, note=note) for system, operation, n, gas, note in _KNOWN
]
