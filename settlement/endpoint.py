"""An endpoint: one URL (or web3 provider) of a chain's node, and what we think of it.

Every request is bounded in time and ends in a value or in an error of our tree. web3's own middleware stays
out: it asks for the chain id before and after every call.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self
from urllib.parse import urlsplit

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector
from web3 import AsyncHTTPProvider, AsyncWeb3
from web3.exceptions import Web3Exception
from web3.providers import AsyncBaseProvider
from web3.providers.rpc.utils import ExceptionRetryConfiguration
from web3.types import RPCEndpoint

from settlement.answers import read_data
from settlement.errors import ChainUnreachable, MalformedAnswer, NodeRefused
from settlement.reverts import decode_revert
from settlement.urls import hide_url, public_url

REQUEST_SECONDS: Final = 30.0
CONNECT_SECONDS: Final = 5.0
FIRST_SECONDS: Final = 5.0
"""A read is asked again after this: Ganache, for one, now and then never answers an estimate that a new block
overtook, and answers the next at once."""
READS: Final = (
    "eth_get",
    "eth_call",
    "eth_estimateGas",
    "eth_simulateV1",
    "eth_blockNumber",
    "eth_chainId",
    "eth_gasPrice",
    "eth_maxPriorityFeePerGas",
    "eth_feeHistory",
    "web3_clientVersion",
)
"""How the requests begin that change nothing, which may be asked twice."""
EXECUTION_REVERTED: Final = 3
"""JSON-RPC error code of geth and Anvil for a revert."""

log = logging.getLogger("tithebarn.chain")


class Endpoint:
    """One way to a chain. `fault`: why it is put aside, empty while in use; `lies`: do not believe it."""

    def __init__(self, provider: AsyncBaseProvider, url: str) -> None:
        self.url = url
        self.provider = provider
        self.fault = ""
        self.lies = False
        self._until = 0.0
        self._web3: AsyncWeb3[AsyncBaseProvider] = AsyncWeb3(provider, middleware=[])
        self._middleware = self._web3.middleware_onion

    @classmethod
    async def open(cls, place: str | AsyncBaseProvider) -> Self:
        """Speak to a URL (http or https) or to a web3 provider; nothing is asked yet."""
        if not isinstance(place, str):
            return cls(place, "embedded")
        if not place.startswith(("http://", "https://")):
            raise ChainUnreachable(place, "only http:// and https:// URLs are spoken")
        retries = ExceptionRetryConfiguration(errors=(ClientError,), retries=3, backoff_factor=0.05)
        timeout = ClientTimeout(total=REQUEST_SECONDS, connect=CONNECT_SECONDS)
        provider = AsyncHTTPProvider(
            place, request_kwargs={"timeout": timeout}, exception_retry_configuration=retries
        )
        await provider.cache_async_session(
            ClientSession(connector=TCPConnector(limit=8), raise_for_status=True)
        )
        return cls(provider, place)

    @property
    def name(self) -> str:
        """Host and port: the rest of a URL may hold a key, and names go into logs."""
        parts = urlsplit(self.url)
        return f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname or self.url

    def put_aside(self, fault: str | Exception, *, lies: bool = False, seconds: float = 0) -> None:
        """Use it no more, until it is taken back, for so long at least; said once."""
        said = fault.reason if isinstance(fault, ChainUnreachable) else str(fault) or "it does not answer"
        fault = said.replace(public_url(self.url), self.name)
        if not self.fault or lies > self.lies:
            log.warning("endpoint put aside endpoint=%s reason=%s", self.name, fault)
        self.fault, self.lies = fault, lies or self._distrusted
        self._until = max(self._until, time.monotonic() + seconds)

    @property
    def _distrusted(self) -> bool:
        return time.monotonic() < self._until

    def take_back(self) -> None:
        """Use it again, unless it is distrusted still."""
        if self._distrusted:
            return
        if self.fault:
            log.warning("endpoint is used again endpoint=%s", self.name)
        self.fault, self.lies = "", False

    async def close(self) -> None:
        """Close the connections."""
        if isinstance(self.provider, AsyncHTTPProvider):
            await self.provider.disconnect()

    async def request(self, method: str, parameters: Sequence[object]) -> Any:  # noqa: ANN401 - whatever the method yields
        """Send one request. Raises ChainUnreachable, MalformedAnswer, Reverted's children or NodeRefused."""
        try:
            response = await self._send(method, [to_wire(value) for value in parameters])
        except (ClientError, OSError, TimeoutError, ValueError, Web3Exception) as err:
            said = hide_url(str(err), self.url) or type(err).__name__
            raise ChainUnreachable(self.url, said) from None  # what it came of names the whole URL
        if not isinstance(response, Mapping) or not response.keys() & {"error", "result"}:
            raise MalformedAnswer(self.url, method)
        if "error" in response:
            raise _fault(method, response["error"], self.url)
        return response["result"]

    async def _send(self, method: str, parameters: list[Any]) -> Any:  # noqa: ANN401 - whatever the node says
        send = await self.provider.request_func(self._web3, self._middleware)
        if method.startswith(READS):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FIRST_SECONDS):
                    return await send(RPCEndpoint(method), parameters)
        return await send(RPCEndpoint(method), parameters)


def to_wire(value: object) -> Any:  # noqa: ANN401 - JSON
    """Write bytes and integers in hex."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, int) and not isinstance(value, bool):
        return hex(value)
    return value


def _fault(method: str, error: Any, url: str) -> Exception:  # noqa: ANN401 - JSON
    """Read a JSON-RPC error: revert data comes as a string (geth, Anvil) or within a mapping (Ganache)."""
    fields: Mapping[str, Any] = error if isinstance(error, Mapping) else {"message": str(error)}
    message, rpc_code, data = str(fields.get("message", "")), fields.get("code", 0), fields.get("data")
    if isinstance(data, Mapping):
        data = data.get("result")
    is_hex = isinstance(data, str) and data.startswith("0x")
    if rpc_code == EXECUTION_REVERTED or "revert" in message:
        return decode_revert(read_data(data) if is_hex else b"")
    return NodeRefused(method, rpc_code if isinstance(rpc_code, int) else 0, hide_url(message, url))
