"""What gas costs now and is expected to cost, as a farmer asks its chain: the history once an hour."""

from payments.gas_forecast import HOUR, Cheaper, cheaper_hour
from payments.types import Timestamp
from settlement.client import Chain
from settlement.errors import ChainError
from settlement.gas_history import read_hours


class GasPrices:
    """The prices of one chain. A local chain's gas is free, and none of its hours is cheaper."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._hours: tuple[int | None, ...] = ()
        self._read_at = 0

    async def now(self) -> int | None:
        """What a unit of gas costs in wei; None if the chain does not say."""
        try:
            return (await self._chain.rpc.fees()).now
        except ChainError:
            return None

    async def cheaper(self, price: int | None, now: Timestamp) -> Cheaper | None:
        """When gas is expected to cost clearly less than `price`; None if nothing tells so."""
        if price is None or self._chain.deployment.local:
            return None
        if now - self._read_at >= HOUR:
            self._read_at = now
            try:
                self._hours = await read_hours(self._chain)
            except ChainError:  # a forecast is a convenience: without one, claims go when they are due
                self._hours = ()
        return cheaper_hour(self._hours, now, price) if self._hours else None
