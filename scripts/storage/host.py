"""A process that hosts farmers: each the daemon of `tithe farm run`, with its own keys, books, store, socket.

    python -m scripts.storage.host CHAIN

CHAIN is the file that names the deployment. The farmers share the process, its event loop and its connection
to the chain, nothing else. Their rhythm is that of a public chain.
"""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from node.daemon import FarmerDaemon, Places, Rhythm
from node.farmer.config import FarmerConfig, Offer
from node.identity import NodeKey
from payments.types import Address
from scripts.storage.child import serve
from scripts.storage.relay import SlowLine
from settlement.client import Chain
from settlement.deployment import Deployment


class Farmer:
    """One of them: a folder, and a port at which it is always found."""

    def __init__(self, folder: Path, port: int, chain: Chain) -> None:
        folder.mkdir(exist_ok=True)
        key, deployment = folder / "node.key", chain.deployment
        if not key.exists():
            key.write_bytes(os.urandom(32))
        self._key = NodeKey(key.read_bytes())
        self._folder = folder
        self._port = port
        self._chain = chain
        offer = replace(Offer(), min_challenge_period=deployment.challenge_period)
        payee = Address(self._key.node[:20])
        url = f"http://127.0.0.1:{port}"
        self._config = FarmerConfig(payee, (deployment.token,), urls=(url,), offer=offer)
        self._daemon: FarmerDaemon | None = None
        self._line: SlowLine | None = None

    async def start(self, seconds: float = 0.0) -> None:
        """Serve; `seconds` above zero: behind a line that is so slow."""
        folder, slow = self._folder, bool(seconds)
        places = Places(folder / "money.db", folder / "stats.db", folder / "shards")
        config = replace(self._config, port=0 if slow else self._port)
        self._daemon = FarmerDaemon(
            config, self._chain.deployment, places, self._key, chain=self._chain, rhythm=Rhythm()
        )
        await self._daemon.start()
        if slow:
            target = int(self._daemon.url.rpartition(":")[2])
            self._line = SlowLine(self._port, target, seconds)
            await self._line.start()

    async def stop(self) -> None:
        """Stop serving."""
        if self._line is not None:
            await self._line.stop()
            self._line = None
        if self._daemon is not None:
            await self._daemon.stop()


class Host:
    """The farmers of this process."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._farmers: list[Farmer] = []

    async def start(self, folders: Sequence[str], ports: Sequence[int]) -> Mapping[str, Any]:
        """Start a farmer in each folder."""
        self._farmers = [
            Farmer(Path(folder), port, self._chain) for folder, port in zip(folders, ports, strict=True)
        ]
        for farmer in self._farmers:
            await farmer.start()
        return {}

    async def slow(self, seconds: float) -> Mapping[str, Any]:
        """Put all farmers behind lines that are so slow; 0: behind none."""
        for farmer in self._farmers:
            await farmer.stop()
            await farmer.start(seconds)
        return {}

    async def stop(self) -> None:
        """Stop all."""
        for farmer in self._farmers:
            await farmer.stop()


async def main(chain_file: Path) -> None:
    """Host until the input ends."""
    deployment = Deployment.load(chain_file)
    async with await Chain.connect(deployment.url, deployment) as chain:
        host = Host(chain)
        await serve({"start": host.start, "slow": host.slow})
        await host.stop()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
