"""A node that is not what it seems: a real one, whose answers are changed on the way."""

import asyncio
from collections.abc import Callable
from typing import Any

from web3 import AsyncHTTPProvider
from web3.types import RPCEndpoint, RPCResponse

from settlement.client import Chain
from settlement.endpoint import Endpoint
from settlement.rpc import Rpc
from tests.settlement.support import World

Warp = Callable[[str, Any, Any], Any]
"""What to answer instead, of method, parameters and result; an exception raised is a node that is down."""


class Warped(AsyncHTTPProvider):
    """Answers as the chain at a URL does, but for what `warp` makes of it."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.warp: Warp | None = None
        self.asked: list[str] = []
        self.silent = False

    async def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:  # noqa: ANN401 - web3's signature
        self.asked.append(method)
        if self.silent:
            await asyncio.Event().wait()
        answer = await super().make_request(method, params)
        if self.warp is not None and "result" in answer:
            answer["result"] = self.warp(method, params, answer["result"])
        return answer


def several(w: World, *warps: Warp | None) -> tuple[Chain, list[Warped]]:
    """The chain of a world through as many endpoints, warped or plain; to be closed."""
    providers = [Warped(w.chain.rpc.url) for _ in warps]
    for provider, warp in zip(providers, warps, strict=True):
        provider.warp = warp
    endpoints = [
        Endpoint(provider, f"http://node-{number}.test") for number, provider in enumerate(providers)
    ]
    return Chain(Rpc(endpoints), w.chain.deployment), providers


def down(_method: str, _params: Any, _result: Any) -> Any:  # noqa: ANN401
    raise ConnectionRefusedError("gone")


def behind(blocks: int) -> Warp:
    """A node that has not the newest blocks yet."""

    def warp(method: str, params: Any, result: Any) -> Any:  # noqa: ANN401
        if method == "eth_getBlockByNumber" and params[0] == "latest":
            return {**result, "number": hex(int(result["number"], 16) - blocks)}
        return result

    return warp


def of_chain(chain_id: int) -> Warp:
    """A node of another chain."""

    def warp(method: str, _params: Any, result: Any) -> Any:  # noqa: ANN401
        return hex(chain_id) if method == "eth_chainId" else result

    return warp


def forked(method: str, params: Any, result: Any) -> Any:  # noqa: ANN401
    """A node on a branch of its own since the first block."""
    if method == "eth_getBlockByNumber" and params[0] != "0x0":
        return {**result, "hash": result["hash"][:-8] + "deadbeef"}
    return result


def logs(change: Callable[[list[Any]], list[Any]]) -> Warp:
    """A node that shows other logs than there are."""

    def warp(method: str, _params: Any, result: Any) -> Any:  # noqa: ANN401
        return change(result) if method == "eth_getLogs" else result

    return warp
