"""A farmer inside this process: the daemon of `tithe farm run`, with its own folder, port and keys."""

import os
from pathlib import Path

from node.daemon import FarmerDaemon, Places
from node.demo.offers import farmer_config
from node.identity import NodeKey
from payments.types import Address
from payments.vouchers import SigningKey
from settlement.client import Chain


class LocalFarmer:
    """An Actor whose daemon lives in this event loop. Being killed leaves it with its folder only."""

    def __init__(self, name: str, folder: Path, chain: Chain, payee: Address, gas_key: SigningKey) -> None:
        self.name = name
        self.payee = payee
        self.shards = folder / "shards"
        self._key = NodeKey(os.urandom(32))
        self.node = self._key.node
        self._chain = chain
        self._gas_key = gas_key
        self._folder = folder
        self._daemon = self._make()
        self._alive = False

    @property
    def url(self) -> str:
        """Where it listens."""
        return self._daemon.url

    async def start(self) -> None:
        """Listen on a free port."""
        await self._daemon.start()
        self._alive = True

    async def kill(self) -> None:
        """Stop serving at once. The real thing, SIGKILL, is for farmers in processes of their own."""
        await self._daemon.stop()
        self._alive = False

    async def claim(self) -> None:
        """Claim everything; a farmer that was stopped comes back with what is on its disk."""
        if not self._alive:
            self._daemon = self._make()
            await self.start()
        await self._daemon.farmer.collect(everything=True)

    def _make(self) -> FarmerDaemon:
        places = Places(money=self._folder / "money.db", stats=self._folder / "stats.db", shards=self.shards)
        config = farmer_config(self.payee, self._chain.deployment)
        return FarmerDaemon(
            config, self._chain.deployment, places, self._key, gas_key=self._gas_key, chain=self._chain
        )
