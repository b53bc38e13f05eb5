"""The JSON-RPC seam: an `Rpc` is a chain, spoken to through one endpoint or several.

Bytes and integers inside, hex on the wire. Of several endpoints the first that answers is used: one that is
down, or was found to lag or to lie (`survey`), is put aside, and comes back when it is well again.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, Self, TypeVar

from web3.providers import AsyncBaseProvider

from payments.types import Address
from settlement import steps
from settlement.answers import (
    Block,
    Log,
    Receipt,
    Sent,
    read_block,
    read_data,
    read_integer,
    read_logs,
    read_receipt,
    read_run,
    read_sent,
)
from settlement.endpoint import Endpoint, to_wire
from settlement.errors import ChainUnreachable, MalformedAnswer, NodeRefused
from settlement.fees import Fees

__all__ = ["Block", "BlockId", "Fees", "Log", "Receipt", "Rpc", "Sent"]

T = TypeVar("T")

PATIENCE_SECONDS: Final = 10.0
"""How long an endpoint may take while there is another to ask."""
DEFAULT_PRIORITY: Final = 10**9
"""Wei a unit of gas offered to the block builder where the node has no opinion."""

BlockId = int | str | bytes
"""A number, a tag such as "latest", or where a node knows EIP-1898 a hash."""


class Rpc:
    """A chain behind its endpoints, in order of preference. Belongs to one event loop; close it when done."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self.endpoints = tuple(endpoints)

    @classmethod
    async def open(cls, place: str | AsyncBaseProvider) -> Self:
        """Speak to URLs (http or https, separated by commas) or to a web3 provider; nothing is asked yet."""
        if not isinstance(place, str):
            return cls([await Endpoint.open(place)])
        urls = [url for url in map(str.strip, place.split(",")) if url]
        if not urls:
            raise ChainUnreachable(place, "no URL is named")
        endpoints: list[Endpoint] = []
        try:
            for url in urls:
                endpoints.append(await Endpoint.open(url))  # noqa: PERF401 - what is open is closed on a fault
        except BaseException:
            await cls(endpoints).close()
            raise
        return cls(endpoints)

    @property
    def current(self) -> Endpoint:
        """The endpoint that is asked first."""
        return next(iter(self._order()), self.endpoints[0])

    @property
    def url(self) -> str:
        """The current endpoint's URL; "embedded" for a provider."""
        return self.current.url

    @property
    def urls(self) -> str:
        """All URLs, as `open` takes them."""
        return ",".join(endpoint.url for endpoint in self.endpoints)

    @property
    def provider(self) -> AsyncBaseProvider:
        """The current endpoint's web3 provider."""
        return self.current.provider

    def apart(self) -> "list[Rpc]":
        """List the endpoints, each as a chain of its own."""
        return [Rpc([endpoint]) for endpoint in self.endpoints]

    async def close(self) -> None:
        """Close the connections."""
        for endpoint in self.endpoints:
            await endpoint.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def request(self, method: str, *parameters: object) -> Any:  # noqa: ANN401 - whatever the method yields
        """Send one request. Raises ChainUnreachable, MalformedAnswer, Reverted's children or NodeRefused."""
        return await self.ask(method, *parameters, read=lambda answer: answer)

    async def ask(self, method: str, *parameters: object, read: Callable[[Any], T]) -> T:
        """Send a request and read the answer with `read`; MalformedAnswer when it does not fit.

        The next endpoint is asked where one does not answer, or answers nonsense.
        """
        fault: ChainUnreachable | MalformedAnswer | None = None
        order = self._order()
        for endpoint in order:
            try:
                async with asyncio.timeout(None if endpoint is order[-1] else PATIENCE_SECONDS):
                    return await _ask(endpoint, method, parameters, read)
            except TimeoutError:
                endpoint.put_aside(f"no answer to {method} for {PATIENCE_SECONDS:g} s")
            except (ChainUnreachable, MalformedAnswer) as err:
                fault = fault or err
                if len(self.endpoints) > 1:
                    endpoint.put_aside(err, lies=endpoint.lies)
        raise fault or ChainUnreachable(self.url, self.endpoints[0].fault)

    def _order(self) -> list[Endpoint]:
        """Those in use, then those that were down or behind; never a liar."""
        honest = [endpoint for endpoint in self.endpoints if not endpoint.lies]
        return sorted(honest, key=lambda endpoint: bool(endpoint.fault))

    async def chain_id(self) -> int:
        """The chain's id (EIP-155)."""
        return await self.ask("eth_chainId", read=read_integer)

    async def client(self) -> str:
        """Name and version of the node's program."""
        return await self.ask("web3_clientVersion", read=str)

    async def block(self, block: BlockId = "latest") -> Block | None:
        """Header of a block by number or tag; None when the chain has none."""
        return await self.ask("eth_getBlockByNumber", block, False, read=read_block)

    async def transactions(self, block: int) -> tuple[Sent, ...]:
        """What a block consists of; nothing where the chain has no such block."""
        return await self.ask("eth_getBlockByNumber", block, True, read=read_sent)

    async def balance(self, owner: Address, block: BlockId = "latest") -> int:
        """Wei held by `owner`."""
        return await self.ask("eth_getBalance", owner, block, read=read_integer)

    async def nonce(self, sender: Address, block: BlockId = "latest") -> int:
        """Number of transactions of `sender` up to `block` ("pending" counts the pool)."""
        return await self.ask("eth_getTransactionCount", sender, block, read=read_integer)

    async def code(self, address: Address, block: BlockId = "latest") -> bytes:
        """Code at an address."""
        return await self.ask("eth_getCode", address, block, read=read_data)

    async def call(
        self,
        to: Address,
        data: bytes,
        *,
        block: BlockId = "latest",
        sender: Address | None = None,
        gas: int | None = None,
    ) -> bytes:
        """Run a call without a transaction, with at most so much gas; what it returns."""
        at = {"blockHash": to_wire(block), "requireCanonical": True} if isinstance(block, bytes) else block
        return await self.ask("eth_call", _transaction(to, data, sender, gas=gas), at, read=read_data)

    async def estimate(self, to: Address | None, data: bytes, *, sender: Address, value: int = 0) -> int:
        """Gas a transaction would need, as the node estimates it on the latest block."""
        return await self.ask("eth_estimateGas", _transaction(to, data, sender, value), read=read_integer)

    async def run(
        self, to: Address | None, data: bytes, *, sender: Address, value: int, gas: int
    ) -> int | None:
        """Gas that a transaction with this limit uses, by running it once; None where it fails.

        An estimate runs it some twenty times. Raises NodeRefused where the node knows no eth_simulateV1.
        """
        blocks = {"blockStateCalls": [{"calls": [_transaction(to, data, sender, value, gas)]}]}
        return await self.ask("eth_simulateV1", blocks, "latest", read=read_run)

    async def send_raw(self, raw: bytes) -> bytes:
        """Broadcast a signed transaction through every endpoint that is used; its hash.

        Raises NodeRefused where none takes it.
        """
        origin = steps.origin()
        steps.reach(steps.Kind.BROADCAST, steps.Moment.BEFORE, origin)
        name = await self._spread(raw)
        steps.reach(steps.Kind.BROADCAST, steps.Moment.AFTER, origin)
        return name

    async def _spread(self, raw: bytes) -> bytes:
        used = [endpoint for endpoint in self._order() if not endpoint.fault]
        if len(used) <= 1:
            return await self.ask("eth_sendRawTransaction", raw, read=read_data)
        sent = (Rpc([one]).ask("eth_sendRawTransaction", raw, read=read_data) for one in used)
        answers = await asyncio.gather(*sent, return_exceptions=True)
        taken = [answer for answer in answers if isinstance(answer, bytes)]
        if taken:
            return taken[0]
        raise next(answer for answer in answers if isinstance(answer, BaseException))

    async def knows(self, transaction: bytes) -> bool:
        """Whether the node has the transaction, in a block or in its pool."""
        return await self.ask("eth_getTransactionByHash", transaction, read=lambda found: found is not None)

    async def receipt(self, transaction: bytes) -> Receipt | None:
        """The receipt of a transaction in a block; None while there is none."""
        return await self.ask("eth_getTransactionReceipt", transaction, read=read_receipt)

    async def logs(self, address: Address, first: int, last: int) -> list[Log]:
        """Logs of a contract in the blocks `first`..`last`, in their order."""
        query = {"address": to_wire(address), "fromBlock": hex(first), "toBlock": hex(last)}
        return await self.ask("eth_getLogs", query, read=read_logs)

    async def fees(self) -> Fees:
        """What the next blocks ask for: twice the base fee (five full blocks of rise) and the usual tip."""
        head = await self.block()
        if head is None or head.base_fee is None:
            return Fees(cap=await self.ask("eth_gasPrice", read=read_integer), priority=None)
        try:
            priority = await self.ask("eth_maxPriorityFeePerGas", read=read_integer)
        except NodeRefused:
            priority = DEFAULT_PRIORITY
        return Fees(cap=2 * head.base_fee + priority, priority=priority)


def _transaction(
    to: Address | None,
    data: bytes,
    sender: Address | None = None,
    value: int = 0,
    gas: int | None = None,
) -> dict[str, str]:
    fields: dict[str, object] = {"to": to, "data": data, "from": sender, "value": value or None, "gas": gas}
    return {key: to_wire(field) for key, field in fields.items() if field is not None}


async def _ask(endpoint: Endpoint, method: str, parameters: Sequence[object], read: Callable[[Any], T]) -> T:
    answer = await endpoint.request(method, parameters)
    try:
        return read(answer)
    except (KeyError, TypeError, ValueError, AttributeError) as err:
        raise MalformedAnswer(endpoint.url, method) from err
