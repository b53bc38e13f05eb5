"""The JSON-RPC seam: one `Rpc` is one node of a chain, spoken to through web3.py's providers.

Bytes and integers inside, hex on the wire. Every request is bounded in time and ends in a value or in an
error of our tree. web3's own middleware stays out: it asks for the chain id before and after every call.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector
from web3 import AsyncHTTPProvider, AsyncWeb3
from web3.exceptions import Web3Exception
from web3.providers import AsyncBaseProvider
from web3.providers.rpc.utils import ExceptionRetryConfiguration
from web3.types import RPCEndpoint

from payments.types import Address, Timestamp
from settlement.errors import ChainUnreachable, NodeRefused
from settlement.reverts import decode_revert

REQUEST_SECONDS: Final = 30.0
CONNECT_SECONDS: Final = 5.0
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
        send = await self.provider.request_func(self._web3, self._middleware)
        try:
            response = await send(RPCEndpoint(method), [_to_wire(value) for value in parameters])
        except (ClientError, OSError, TimeoutError, ValueError, Web3Exception) as err:
            raise ChainUnreachable(self.url, str(err) or type(err).__name__) from err
        if "error" in response:
            raise _fault(method, response["error"])
        return response.get("result")

    async def chain_id(self) -> int:
        """The chain's id (EIP-155)."""
        return _integer(await self.request("eth_chainId"))

    async def client(self) -> str:
        """Name and version of the node's program."""
        return str(await self.request("web3_clientVersion"))

    async def block(self, block: BlockId = "latest") -> Block | None:
        """Header of a block by number or tag; None when the chain has none."""
        found = await self.request("eth_getBlockByNumber", block, False)
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

    async def balance(self, owner: Address, block: BlockId = "latest") -> int:
        """Wei held by `owner`."""
        return _integer(await self.request("eth_getBalance", owner, block))

    async def nonce(self, sender: Address, block: BlockId = "latest") -> int:
        """Number of transactions of `sender` up to `block` ("pending" counts the pool)."""
        return _integer(await self.request("eth_getTransactionCount", sender, block))

    async def code(self, address: Address, block: BlockId = "latest") -> bytes:
        """Code at an address."""
        return _data(await self.request("eth_getCode", address, block))

    async def call(
        self,
        to: Address,
        data: bytes,
        *,
        sender: Address | None = None,
        value: int = 0,
        block: BlockId = "latest",
    ) -> bytes:
        """Run a call without a transaction; what it returns."""
        return _data(await self.request("eth_call", _transaction(to, data, sender, value), block))

    async def estimate(self, to: Address | None, data: bytes, *, sender: Address, value: int = 0) -> int:
        """Gas a transaction would need, as the node estimates it on the latest block."""
        return _integer(await self.request("eth_estimateGas", _transaction(to, data, sender, value)))

    async def send_raw(self, raw: bytes) -> bytes:
        """Broadcast a signed transaction; its hash."""
        return _data(await self.request("eth_sendRawTransaction", raw))

    async def knows(self, transaction: bytes) -> bool:
        """Whether the node has the transaction, in a block or in its pool."""
        return await self.request("eth_getTransactionByHash", transaction) is not None

    async def receipt(self, transaction: bytes) -> Receipt | None:
        """The receipt of a transaction in a block; None while there is none."""
        found = await self.request("eth_getTransactionReceipt", transaction)
        if found is None:
            return None
        gas_used = _integer(found["gasUsed"])
        created = found.get("contractAddress")
        return Receipt(
            transaction=transaction,
            succeeded=_integer(found["status"]) == 1,
            block_number=_integer(found["blockNumber"]),
            block_hash=_data(found["blockHash"]),
            gas_used=gas_used,
            fee=gas_used * _integer(found.get("effectiveGasPrice", 0)),
            contract=Address(_data(created)) if created else None,
            logs=tuple(_log(entry) for entry in found["logs"]),
        )

    async def logs(self, address: Address, first: int, last: int) -> list[Log]:
        """Logs of a contract in the blocks `first`..`last`, in their order."""
        query = {"address": _to_wire(address), "fromBlock": hex(first), "toBlock": hex(last)}
        found = [_log(entry) for entry in await self.request("eth_getLogs", query)]
        return sorted(found, key=lambda log: (log.block_number, log.index))

    async def fees(self) -> Fees:
        """What the next blocks ask for: twice the base fee (five full blocks of rise) and the usual tip."""
        head = await self.block()
        if head is None or head.base_fee is None:
            return Fees(cap=_integer(await self.request("eth_gasPrice")), priority=None)
        try:
            priority = _integer(await self.request("eth_maxPriorityFeePerGas"))
        except NodeRefused:
            priority = DEFAULT_PRIORITY
        return Fees(cap=2 * head.base_fee + priority, priority=priority)


def _transaction(to: Address | None, data: bytes, sender: Address | None, value: int) -> dict[str, str]:
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
