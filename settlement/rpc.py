"""The JSON-RPC seam: one `Rpc` is one node of a chain, spoken to through web3.py's providers.

Bytes and integers inside, hex on the wire. Every request is bounded in time and ends in a value or in an
error of our tree. web3's own middleware stays out: it asks for the chain id before and after every call.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self, TypeVar

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector
from web3 import AsyncHTTPProvider, AsyncWeb3
from web3.exceptions import Web3Exception
from web3.providers import AsyncBaseProvider
from web3.providers.rpc.utils import ExceptionRetryConfiguration
from web3.types import RPCEndpoint

from payments.types import Address, Timestamp
from settlement import steps
from settlement.errors import ChainUnreachable, MalformedAnswer, NodeRefused
from settlement.reverts import decode_revert

T = TypeVar("T")

REQUEST_SECONDS: Final = 30.0
CONNECT_SECONDS: Final = 5.0
FIRST_SECONDS: Final = 5.0
"""A read is asked again after this: Ganache, for one, now and then never answers an estimate that a new block
overtook, and answers the next at once."""
READS: Final = ("eth_get", "eth_call", "eth_estimateGas", "eth_blockNumber", "eth_chainId")
"""How the requests begin that change nothing, which may be asked twice."""
EXECUTION_REVERTED: Final = 3
"""JSON-RPC error code of geth and Anvil for a revert."""
DEFAULT_PRIORITY: Final = 10**9
"""Wei a unit of gas offered to the block builder where the node has no opinion."""

BlockId = int | str
"""A number, or a tag such as "latest"."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block's header, as far as we need it. Hashes 32 bytes; `base_fee` in wei, None before EIP-1559."""

    number: int
    hash: bytes
    parent: bytes
    timestamp: Timestamp
    base_fee: int | None


@dataclass(frozen=True, slots=True)
class Log:
    """One log entry and its place in the chain."""

    address: Address
    topics: tuple[bytes, ...]
    data: bytes
    block_number: int
    block_hash: bytes
    transaction: bytes
    index: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a transaction. `fee` is wei paid for the gas."""

    transaction: bytes
    succeeded: bool
    block_number: int
    block_hash: bytes
    gas_used: int
    fee: int
    contract: Address | None
    logs: tuple[Log, ...]


@dataclass(frozen=True, slots=True)
class Fees:
    """What a unit of gas may cost, in wei. `priority` None: no EIP-1559 here, `cap` is the gas price."""

    cap: int
    priority: int | None

    @property
    def now(self) -> int:
        """What a unit would cost in the next block: base fee and tip."""
        return self.cap if self.priority is None else (self.cap - self.priority) // 2 + self.priority


class Rpc:
    """A node of a chain. Belongs to one event loop; close it when done."""

    def __init__(self, provider: AsyncBaseProvider, url: str) -> None:
        self.url = url
        self.provider = provider
        self._web3: AsyncWeb3[AsyncBaseProvider] = AsyncWeb3(provider, middleware=[])
        self._middleware = self._web3.middleware_onion

    @classmethod
    async def open(cls, endpoint: str | AsyncBaseProvider) -> Self:
        """Speak to a URL (http or https) or to a web3 provider; nothing is asked yet."""
        if not isinstance(endpoint, str):
            return cls(endpoint, "embedded")
        if not endpoint.startswith(("http://", "https://")):
            raise ChainUnreachable(endpoint, "only http:// and https:// URLs are spoken")
        retries = ExceptionRetryConfiguration(errors=(ClientError,), retries=3, backoff_factor=0.05)
        timeout = ClientTimeout(total=REQUEST_SECONDS, connect=CONNECT_SECONDS)
        provider = AsyncHTTPProvider(
            endpoint, request_kwargs={"timeout": timeout}, exception_retry_configuration=retries
        )
        await provider.cache_async_session(
            ClientSession(connector=TCPConnector(limit=8), raise_for_status=True)
        )
        return cls(provider, endpoint)

    async def close(self) -> None:
        """Close the connections."""
        if isinstance(self.provider, AsyncHTTPProvider):
            await self.provider.disconnect()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def request(self, method: str, *parameters: object) -> Any:  # noqa: ANN401 - whatever the method yields
        """Send one request. Raises ChainUnreachable, Reverted's children or NodeRefused."""
        try:
            response = await self._send(method, [_to_wire(value) for value in parameters])
        except (ClientError, OSError, TimeoutError, ValueError, Web3Exception) as err:
            raise ChainUnreachable(self.url, str(err) or type(err).__name__) from err
        if not isinstance(response, Mapping) or not response.keys() & {"error", "result"}:
            raise MalformedAnswer(self.url, method)
        if "error" in response:
            raise _fault(method, response["error"])
        return response["result"]

    async def _send(self, method: str, parameters: list[Any]) -> Any:  # noqa: ANN401 - whatever the node says
        send = await self.provider.request_func(self._web3, self._middleware)
        if method.startswith(READS):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FIRST_SECONDS):
                    return await send(RPCEndpoint(method), parameters)
        return await send(RPCEndpoint(method), parameters)

    async def ask(self, method: str, *parameters: object, read: Callable[[Any], T]) -> T:
        """Send a request and read the answer with `read`; MalformedAnswer when it does not fit."""
        answer = await self.request(method, *parameters)
        try:
            return read(answer)
        except (KeyError, TypeError, ValueError, AttributeError) as err:
            raise MalformedAnswer(self.url, method) from err

    async def chain_id(self) -> int:
        """The chain's id (EIP-155)."""
        return await self.ask("eth_chainId", read=_integer)

    async def client(self) -> str:
        """Name and version of the node's program."""
        return await self.ask("web3_clientVersion", read=str)

    async def block(self, block: BlockId = "latest") -> Block | None:
        """Header of a block by number or tag; None when the chain has none."""
        return await self.ask("eth_getBlockByNumber", block, False, read=_block)

    async def balance(self, owner: Address, block: BlockId = "latest") -> int:
        """Wei held by `owner`."""
        return await self.ask("eth_getBalance", owner, block, read=_integer)

    async def nonce(self, sender: Address, block: BlockId = "latest") -> int:
        """Number of transactions of `sender` up to `block` ("pending" counts the pool)."""
        return await self.ask("eth_getTransactionCount", sender, block, read=_integer)

    async def code(self, address: Address, block: BlockId = "latest") -> bytes:
        """Code at an address."""
        return await self.ask("eth_getCode", address, block, read=_data)

    async def call(self, to: Address, data: bytes, *, block: BlockId = "latest") -> bytes:
        """Run a call without a transaction; what it returns."""
        return await self.ask("eth_call", _transaction(to, data), block, read=_data)

    async def estimate(self, to: Address | None, data: bytes, *, sender: Address, value: int = 0) -> int:
        """Gas a transaction would need, as the node estimates it on the latest block."""
        return await self.ask("eth_estimateGas", _transaction(to, data, sender, value), read=_integer)

    async def send_raw(self, raw: bytes) -> bytes:
        """Broadcast a signed transaction; its hash."""
        origin = steps.origin()
        steps.reach(steps.Kind.BROADCAST, steps.Moment.BEFORE, origin)
        name = await self.ask("eth_sendRawTransaction", raw, read=_data)
        steps.reach(steps.Kind.BROADCAST, steps.Moment.AFTER, origin)
        return name

    async def knows(self, transaction: bytes) -> bool:
        """Whether the node has the transaction, in a block or in its pool."""
        return await self.ask("eth_getTransactionByHash", transaction, read=lambda found: found is not None)

    async def receipt(self, transaction: bytes) -> Receipt | None:
        """The receipt of a transaction in a block; None while there is none."""
        return await self.ask("eth_getTransactionReceipt", transaction, read=_receipt)

    async def logs(self, address: Address, first: int, last: int) -> list[Log]:
        """Logs of a contract in the blocks `first`..`last`, in their order."""
        query = {"address": _to_wire(address), "fromBlock": hex(first), "toBlock": hex(last)}
        return await self.ask("eth_getLogs", query, read=_logs)

    async def fees(self) -> Fees:
        """What the next blocks ask for: twice the base fee (five full blocks of rise) and the usual tip."""
        head = await self.block()
        if head is None or head.base_fee is None:
            return Fees(cap=await self.ask("eth_gasPrice", read=_integer), priority=None)
        try:
            priority = await self.ask("eth_maxPriorityFeePerGas", read=_integer)
        except NodeRefused:
            priority = DEFAULT_PRIORITY
        return Fees(cap=2 * head.base_fee + priority, priority=priority)


def _transaction(
    to: Address | None, data: bytes, sender: Address | None = None, value: int = 0
) -> dict[str, str]:
    fields: dict[str, object] = {"to": to, "data": data, "from": sender, "value": value or None}
    return {key: _to_wire(field) for key, field in fields.items() if field is not None}


def _to_wire(value: object) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, int) and not isinstance(value, bool):
        return hex(value)
    return value


def _integer(value: Any) -> int:  # noqa: ANN401 - JSON
    return value if isinstance(value, int) else int(value, 16)


def _data(value: Any) -> bytes:  # noqa: ANN401 - JSON
    return bytes(value) if isinstance(value, bytes) else bytes.fromhex(value.removeprefix("0x"))


def _block(found: Mapping[str, Any] | None) -> Block | None:
    if found is None:
        return None
    base_fee = found.get("baseFeePerGas")
    return Block(
        number=_integer(found["number"]),
        hash=_data(found["hash"]),
        parent=_data(found["parentHash"]),
        timestamp=Timestamp(_integer(found["timestamp"])),
        base_fee=None if base_fee is None else _integer(base_fee),
    )


def _receipt(found: Mapping[str, Any] | None) -> Receipt | None:
    if found is None:
        return None
    gas_used = _integer(found["gasUsed"])
    created = found.get("contractAddress")
    return Receipt(
        transaction=_data(found["transactionHash"]),
        succeeded=_integer(found["status"]) == 1,
        block_number=_integer(found["blockNumber"]),
        block_hash=_data(found["blockHash"]),
        gas_used=gas_used,
        fee=gas_used * _integer(found.get("effectiveGasPrice", 0)),
        contract=Address(_data(created)) if created else None,
        logs=tuple(_logs(found["logs"])),
    )


def _logs(entries: Iterable[Mapping[str, Any]]) -> list[Log]:
    return sorted(map(_log, entries), key=lambda log: (log.block_number, log.index))


def _log(entry: Mapping[str, Any]) -> Log:
    return Log(
        address=Address(_data(entry["address"])),
        topics=tuple(_data(topic) for topic in entry["topics"]),
        data=_data(entry["data"]),
        block_number=_integer(entry["blockNumber"]),
        block_hash=_data(entry["blockHash"]),
        transaction=_data(entry["transactionHash"]),
        index=_integer(entry["logIndex"]),
    )


def _fault(method: str, error: Any) -> Exception:  # noqa: ANN401 - JSON
    """Read a JSON-RPC error: revert data comes as a string (geth, Anvil) or within a mapping (Ganache)."""
    fields: Mapping[str, Any] = error if isinstance(error, Mapping) else {"message": str(error)}
    message, rpc_code, data = str(fields.get("message", "")), fields.get("code", 0), fields.get("data")
    if isinstance(data, Mapping):
        data = data.get("result")
    is_hex = isinstance(data, str) and data.startswith("0x")
    if rpc_code == EXECUTION_REVERTED or "revert" in message:
        return decode_revert(_data(data) if is_hex else b"")
    return NodeRefused(method, rpc_code if isinstance(rpc_code, int) else 0, message)
