"""A village: an embedded chain, some real farmers on loopback sockets, one renter, one clock for all."""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from node.daemon import FarmerDaemon, Places, Rhythm
from node.farmer.config import FarmerConfig, Offer
from node.farmer.farmer import Farmer
from node.identity import NodeKey
from node.master_key import MasterKey
from node.renter import TABLES, Keys, Renter
from node.renter.limits import USUAL, Limits
from node.renter.reports import AuditReport
from node.renter.top_ups import TopUpRules
from node.transport import Patience
from payments.prices import Prices
from payments.types import Address, Amount, NodeId, Seconds
from payments.vouchers import SigningKey
from settlement.client import Chain
from settlement.database import Database
from settlement.local_chain import embedded
from settlement.wallet import new_key
from tests.databases import Place
from tests.node.renter.wire import Wire
from tests.settlement.support import World, world

TOKEN = 10**18
QUIET = Rhythm(follow=3600, collect=3600, sweep=3600, scan=3600)
"""Farmers do nothing by themselves: tests call what they test."""
PRICES = Prices(Amount(10**15), Amount(10**15), Amount(10**6))
INTERVAL = Seconds(3_600)
DEADLINE = Seconds(60)
QUICK = Patience(connect=1.0, stall=2.0, pause=0.1)


class Clock:
    """Wall time that only tests move."""

    def __init__(self) -> None:
        self.now = int(time.time())

    def __call__(self) -> int:
        return self.now

    def pass_time(self, seconds: float) -> None:
        self.now += int(seconds)


def config(token: Address, *, prices: Prices = PRICES, **changes: Any) -> FarmerConfig:  # noqa: ANN401
    offer = Offer(
        prices=prices,
        audit_interval=INTERVAL,
        response_deadline=DEADLINE,
        min_deposit=Amount(10**15),
        min_challenge_period=Seconds(60),
    )
    standard = FarmerConfig(payee=Address(os.urandom(20)), tokens=(token,), offer=offer, keep_free=0)
    return replace(standard, **changes)


@dataclass
class Neighbour:
    """One farmer: it can be stopped and started again, with its books and shards, or robbed of them."""

    place: Path
    settings: FarmerConfig
    key: NodeKey
    chain: Chain
    clock: Clock
    gas_key: SigningKey
    wire: Wire | None = None
    daemon: FarmerDaemon = field(init=False)

    def __post_init__(self) -> None:
        self.place.mkdir(parents=True, exist_ok=True)
        self.daemon = self._build()

    @property
    def node(self) -> NodeId:
        return self.key.node

    @property
    def farmer(self) -> Farmer:
        return self.daemon.farmer

    @property
    def shards(self) -> list[Path]:
        """The files of its shards."""
        return sorted((self.place / "shards").rglob("*.shard"))

    async def start(self) -> None:
        self.daemon = await self._build().start()
        port = int(self.daemon.url.rsplit(":", 1)[1])
        self.settings = replace(self.settings, port=port)
        if self.wire is not None:
            self.wire.behind = self.daemon.url

    @property
    def url(self) -> str:
        """Where the renter finds it."""
        return self.wire.url if self.wire else self.daemon.url

    async def stop(self) -> None:
        await self.daemon.stop()

    def _build(self) -> FarmerDaemon:
        return FarmerDaemon(
            self.settings,
            self.chain.deployment,
            Places(self.place / "money.db", self.place / "stats.db", self.place / "shards"),
            self.key,
            gas_key=self.gas_key,
            chain=self.chain,
            clock=self.clock,
            rhythm=QUIET,
        )


@dataclass
class Village:
    """Everything a renter's test needs."""

    folder: Path
    world: World
    clock: Clock
    keys: Keys
    farmers: list[Neighbour]
    stack: AsyncExitStack
    top_ups: TopUpRules | None = None
    books: Place | None = None
    """Where the renter's books are, if not in its folder."""
    repair_cap: int | None = None
    limits: Limits = USUAL
    renter: Renter = field(init=False)
    database: Database = field(init=False)

    async def open_renter(self) -> Renter:
        """Start the renter; what it knows is on disk."""
        path = self.folder / "renter.db"
        self.database = self.books.open(TABLES) if self.books else Database.at(path, TABLES)
        self.renter = await Renter.open(
            self.database,
            self.world.chain,
            self.keys,
            clock=self.clock,
            locks=self.folder / "locks",
            patience=QUICK,
            top_ups=self.top_ups,
            repair_cap=self.repair_cap,
            limits=self.limits,
        )
        return self.renter

    async def close_renter(self) -> None:
        await self.renter.close()
        self.database.close()

    async def restart_renter(self) -> Renter:
        await self.close_renter()
        return await self.open_renter()

    def farmer(self, node: NodeId) -> Neighbour:
        return next(one for one in self.farmers if one.node == node)

    async def meet(self) -> None:
        """Add all farmers."""
        for one in self.farmers:
            await self.renter.peers.add(one.url)

    async def fund(self, amount: int = TOKEN // 10) -> None:
        """Add all farmers, and open a channel to each, in one transaction."""
        await self.meet()
        plan = await self.renter.funding.plan(amount=Amount(amount))
        await self.renter.funding.fund(plan)

    async def store(self, name: str, data: bytes, **options: Any) -> None:  # noqa: ANN401 - those of put
        source = self.folder / f"{name}.source"
        source.write_bytes(data)
        await self.renter.files.put(source, name, **options)

    async def read(self, name: str) -> bytes:
        out = self.folder / f"{name}.back"
        await self.renter.files.get(name, out)
        data = out.read_bytes()
        out.unlink()
        return data

    def earned(self, node: NodeId) -> int:
        """What the renter's books say a farmer has earned."""
        return sum(info.channel.earned for info in self.renter.channels.list() if info.farmer == node)


@asynccontextmanager
async def build_village(
    folder: Path,
    farmers: int,
    *,
    wired: bool = False,
    books: Place | None = None,
    endpoint: str | None = None,
    limits: Limits = USUAL,
    **changes: Any,  # noqa: ANN401 - any field of the farmers' configuration
) -> AsyncIterator[Village]:
    """So many farmers, none of them funded or known yet; each behind a wire of its own if wished.

    books: where the renter's are, if not in its folder. endpoint: of their chain, if not a fresh one.
    limits: what it signs at most.
    """
    async with AsyncExitStack() as stack:
        scene = await stack.enter_async_context(world(endpoint or embedded()))
        clock = Clock()
        keys = Keys(
            node=NodeKey(os.urandom(32)),
            signer=new_key(),
            master=MasterKey(os.urandom(32)),
            payer=scene.payer.address,
            payer_key=scene.payer,
        )
        neighbours = []
        for number in range(farmers):
            wire = await Wire().start() if wired else None
            settings = config(scene.chain.deployment.token, **changes)
            if wire is not None:
                stack.push_async_callback(wire.stop)
                settings = replace(settings, urls=(wire.url,))
            key = NodeKey(os.urandom(32))
            place = folder / f"farmer{number}"
            one = Neighbour(place, settings, key, scene.chain, clock, scene.stranger, wire)
            await one.start()
            stack.push_async_callback(one.stop)
            neighbours.append(one)
        village = Village(folder, scene, clock, keys, neighbours, stack, books=books, limits=limits)
        await village.open_renter()
        try:
            yield village
        finally:
            await village.close_renter()


def tell(
    folder: Path,
    story: Callable[[Village], Coroutine[Any, Any, None]],
    farmers: int = 4,
    **changes: Any,  # noqa: ANN401 - what `build_village` takes, or any field of the farmers' configuration
) -> None:
    """Tell a story about a village."""

    async def main() -> None:
        async with build_village(folder, farmers, **changes) as place:
            await story(place)

    asyncio.run(main())


def content(length: int, seed: str = "file") -> bytes:
    """Reproducible bytes."""
    return hashlib.shake_256(seed.encode()).digest(length)


def outcomes(report: AuditReport) -> dict[str, int]:
    """Count a report's outcomes by name."""
    found: dict[str, int] = {}
    for result in report.results:
        found[result.outcome.value] = found.get(result.outcome.value, 0) + 1
    return found
