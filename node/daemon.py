"""The farmer's daemon: a Farmer with its databases, shard store, HTTP server and loops, from start to stop.

Embeddable: many of them live in one event loop, each on a port of its own. A loop whose step fails is logged
and goes on; nothing but `stop` ends it. Importing this module imports the whole farmer: do it late.
"""

import asyncio
import logging
import os
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

from node.api.limits import Limits
from node.api.metrics import HOST as METRICS_HOST
from node.api.metrics import create_metrics_app
from node.api.routes import create_app
from node.api.server import HttpServer
from node.clock import Clock, wall_clock
from node.db.farmer import open_books
from node.db.stats import Statistics
from node.errors import NodeError
from node.farmer.config import FarmerConfig
from node.farmer.farm import Farm
from node.farmer.farmer import Farmer
from node.hex import to_hex
from node.home import COPIES, write_json
from node.identity import NodeKey
from node.shard_store import ShardStore
from node.suspects import PATIENCE
from node.tasks import end, repeat
from payments.vouchers import SigningKey
from settlement.client import Chain
from settlement.copies import EVERY, Copies, keep_copies
from settlement.database import Database
from settlement.deployment import Deployment

log = logging.getLogger("tithebarn.farmer")


@dataclass(frozen=True, slots=True)
class Places:
    """Where a farmer keeps what it has: its two databases, its shards, and the file its owner edits (if any).

    `money` stays unused where the configuration names a database.

    Below `shards` every deployment has a folder of its own, as its agreements are in its own books only.
    `running` is a file that says where the daemon listens while it runs: for the owner's other commands.
    """

    money: Path
    stats: Path
    shards: Path
    config: Path | None = None
    running: Path | None = None


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often a farmer looks around by itself, in seconds."""

    follow: float = 12.0
    collect: float = 60.0
    sweep: float = 30.0
    reload: float = 2.0
    copy: float = EVERY
    towers: float = 5.0
    scan: float = 1.0

    @classmethod
    def of(cls, deployment: Deployment) -> Self:
        """Follow local chains, whose blocks come at once, more closely."""
        return cls(follow=2.0, collect=10.0, sweep=5.0) if deployment.local else cls()


class FarmerDaemon:
    """A farmer from start to stop. `chain`: a connection to share and leave open; otherwise it makes its own.

    `accept_loss`: shards that are gone are given up, however many. `start` raises ChainError (unreachable,
    wrong chain, contract missing), StorageError (StorageCorrupt: the books have a damaged page; StorageLost:
    only copies of them are left), StoreFault (the disk with the shards is not there), and OSError when the
    port is taken.
    """

    def __init__(
        self,
        config: FarmerConfig,
        deployment: Deployment,
        places: Places,
        node_key: NodeKey,
        *,
        gas_key: SigningKey | None = None,
        chain: Chain | None = None,
        clock: Clock = wall_clock,
        rhythm: Rhythm | None = None,
        limits: Limits | None = None,
        accept_loss: bool = False,
    ) -> None:
        self._config = config
        self._deployment = deployment
        self._places = places
        self._node_key = node_key
        self._gas_key = gas_key
        self._chain = chain
        self._clock = clock
        self._rhythm = rhythm or Rhythm.of(deployment)
        self._limits = limits
        self._accept_loss = accept_loss
        self._stack = AsyncExitStack()
        self._farmer: Farmer | None = None
        self._url = ""

    @property
    def farmer(self) -> Farmer:
        """The farmer within; RuntimeError before `start`."""
        if self._farmer is None:
            raise RuntimeError("the daemon has not been started")
        return self._farmer

    @property
    def url(self) -> str:
        """Where it listens, as a base URL."""
        return self._url

    async def start(self) -> Self:
        """Open everything, make books and disk agree, serve."""
        async with AsyncExitStack() as stack:
            server = self._serve_on(stack)
            farmer = await self._open(stack)
            await farmer.begin(accept_loss=self._accept_loss)
            await server.start(create_app(farmer, server.limits))
            stack.push_async_callback(server.stop)
            await self._serve_metrics(stack, farmer)
            self._farmer = farmer
            self._announce(stack)
            self._begin_loops(stack, farmer)
            self._stack = stack.pop_all()
        log.info("farmer_started node=%s url=%s", farmer.farm.node.hex(), self._url)
        return self

    async def stop(self) -> None:
        """Finish what runs, keep what was counted, close everything. Stopping twice is harmless."""
        if self._farmer is None:
            return
        await self._stack.aclose()
        log.info("farmer_stopped node=%s", self._node_key.node.hex())
        self._farmer = None

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _serve_on(self, stack: AsyncExitStack) -> HttpServer:
        """Take the port first: two farmers on one would share the books."""
        server = HttpServer(self._config.host, self._config.port, self._limits or Limits())
        stack.callback(server.close)
        self._url = server.url
        return server

    async def _serve_metrics(self, stack: AsyncExitStack, farmer: Farmer) -> None:
        """Let a Prometheus on this machine read, if the owner has named a port for it."""
        if self._config.metrics_port is None:
            return
        server = HttpServer(METRICS_HOST, self._config.metrics_port, self._limits or Limits())
        stack.callback(server.close)
        await server.start(create_metrics_app(farmer, server.limits))
        stack.push_async_callback(server.stop)
        log.info("metrics_served url=%s/metrics", server.url)

    async def _open(self, stack: AsyncExitStack) -> Farmer:
        chain = self._chain
        if chain is None:
            chain = await Chain.connect(self._deployment.url, self._deployment)
            stack.push_async_callback(chain.close)
        database = await self._open_books(stack)
        stats = Statistics(self._places.stats)
        stack.callback(stats.close)
        stack.push_async_callback(stats.flush)
        patience = min(PATIENCE, self._config.offer.response_deadline / 4)  # before a renter's tries are over
        store = ShardStore(self._places.shards / self._deployment.folder, patience=patience)
        farm = Farm(self._node_key, self._config, database, store, chain, stats, self._clock)
        urls = self._config.urls or (self._url,)
        farmer = Farmer(farm, run=os.urandom(16), urls=urls, gas_key=self._gas_key)
        stack.push_async_callback(farmer.close)
        return farmer

    async def _open_books(self, stack: AsyncExitStack) -> Database:
        """Open the books; those in a file are checked, and copied as long as we run."""
        file, url = self._places.money, self._config.database
        copies = Copies(file, file.parent / COPIES)
        if url is None:
            await asyncio.to_thread(copies.check_source)
        database = open_books(file, url, lambda: self._node_key.node, self._deployment.folder)
        stack.callback(database.close)
        if url is None:
            copying = keep_copies(copies, self._rhythm.copy)
            stack.push_async_callback(end, [asyncio.create_task(copying)])
        return database

    def _announce(self, stack: AsyncExitStack) -> None:
        path = self._places.running
        if path is None:
            return
        write_json(path, {"url": self._url, "pid": os.getpid(), "node": to_hex(self._node_key.node)})
        stack.callback(path.unlink, missing_ok=True)

    def _begin_loops(self, stack: AsyncExitStack, farmer: Farmer) -> None:
        rhythm = self._rhythm
        loops = [
            repeat("follow", farmer.follow, rhythm.follow),
            repeat("sweep", farmer.sweep, rhythm.sweep, at_once=True),
            repeat("scan", partial(farmer.scan, rhythm.scan), rhythm.scan),
            repeat("towers", farmer.tell_towers, rhythm.towers),
            repeat("collect", farmer.collect, rhythm.collect, farmer.farm.claims_due),
        ]
        if self._places.config is not None:
            reload = _Reload(self._places.config, farmer)
            loops.append(repeat("reload", reload.look, rhythm.reload))
        for loop in loops:
            stack.push_async_callback(end, [asyncio.create_task(loop)])


class _Reload:
    """Watches the configuration file, and takes it over when it has changed."""

    def __init__(self, path: Path, farmer: Farmer) -> None:
        self._path = path
        self._farmer = farmer
        self._seen = self._stamp()

    async def look(self) -> None:
        stamp = self._stamp()
        if stamp == self._seen or stamp is None:
            return
        self._seen = stamp
        try:
            self._farmer.reconfigure(FarmerConfig.load(self._path))
        except (NodeError, FileNotFoundError) as error:
            log.warning("configuration_refused reason=%s", error)
        else:
            log.info("configuration_taken_over")

    def _stamp(self) -> tuple[int, int] | None:
        with suppress(OSError):
            found = self._path.stat()
            return found.st_mtime_ns, found.st_ino
        return None
