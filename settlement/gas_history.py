"""What gas has cost on a chain in each hour of the last day, by its own `eth_feeHistory`."""

import asyncio
from collections.abc import Mapping
from statistics import median_low
from typing import Any, Final

from payments.gas_forecast import HOUR, HOURS
from settlement.client import Chain

SAMPLE: Final = 16
"""Blocks looked at for each hour: some minutes, the median of which is no outlier."""
SPACING_BLOCKS: Final = 1_000
"""Over so many blocks the time between two is measured."""


async def read_hours(chain: Chain) -> tuple[int | None, ...]:
    """Read a base fee in wei for each hour (UTC) of the day before the head; None before the chain's first.

    Raises ChainError, also where the node knows no fee history.
    """
    head = await chain.head()
    first = await chain.block(max(0, head.number - SPACING_BLOCKS))
    elapsed = head.timestamp - first.timestamp
    hours: list[int | None] = [None] * HOURS
    if not elapsed:
        return tuple(hours)
    per_hour = HOUR * (head.number - first.number) / elapsed
    newest = [head.number - round(per_hour * ago) for ago in range(HOURS)]
    costs = await asyncio.gather(*(_base_fee(chain, number) for number in newest if number >= 0))
    for ago, cost in enumerate(costs):
        hours[(head.timestamp // HOUR - ago) % HOURS] = cost
    return tuple(hours)


async def _base_fee(chain: Chain, newest: int) -> int:
    count = min(SAMPLE, newest + 1)
    return await chain.rpc.ask("eth_feeHistory", count, newest, [], read=_median)


def _median(found: Mapping[str, Any]) -> int:
    return median_low(int(fee, 16) if isinstance(fee, str) else int(fee) for fee in found["baseFeePerGas"])
