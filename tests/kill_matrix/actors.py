"""The actors: a farmer's daemon, a watchtower and a renter as processes, forked from one that has imported
everything.

To import takes ten times as long as what most of them live for. Each is told where to die, and what it has
is a folder only: the next one goes on from there.
"""

import asyncio
import ctypes
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final, NoReturn

from node.daemon import FarmerDaemon, Places, Rhythm
from node.demo.offers import LIMITS
from node.errors import NodeError
from node.farmer import admission
from node.farmer.config import FarmerConfig
from node.farmer.farm import Farm
from node.home import Home
from node.identity import NodeKey
from node.master_key import MasterKey
from node.renter import TABLES, Keys, Renter
from node.tower.tower import Tower
from node.tower_daemon import TowerDaemon, open_tower_books
from node.transport import Patience
from payments.errors import PaymentError
from payments.types import ChannelId, Seconds
from payments.vouchers import SigningKey, Terms
from settlement import steps
from settlement.client import Chain
from settlement.database import Database
from settlement.deployment import Deployment
from settlement.errors import SettlementError
from settlement.local_chain import dev_keys
from settlement.transactions import send_now

COLD: Final = dev_keys(4)[3]
"""A cold wallet of the renter's owner: the renter knows its address only."""
NEVER: Final = 10.0**6
IDLE: Final = Rhythm(follow=NEVER, collect=NEVER, sweep=NEVER, reload=NEVER, towers=NEVER)
"""A farmer that moves when it is told to: so it dies where it is told to."""
PATIENCE: Final = Patience(connect=20.0, stall=30.0)
REFUSED: Final = 3
"""Exit code of one that could not do what it was to do, and said so."""
START_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Opened:
    """A renter, opened."""

    renter: Renter
    database: Database
    chain: Chain
    keys: Keys
    now: int


@dataclass(frozen=True)
class Role:
    """What a process is to be: the folder it has, where it dies, by how many seconds its clock is ahead.

    rhythm: how often a farmer looks around by itself.
    """

    folder: Path
    chain: Path
    die_at: str | None = None
    skew: int = 0
    rhythm: Rhythm = IDLE

    @property
    def clock(self) -> Callable[[], int]:
        return lambda: int(time.time()) + self.skew


Deed = Callable[..., Coroutine[Any, Any, None]]


def fork_server() -> ForkServerContext:
    """The context whose processes are forks of one that has imported this."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "tests.kill_matrix.deeds", "pytest"])
    return context


def farm(role: Role, gas_key: bytes, orders: Connection, *, meddler: bytes | None = None) -> None:
    """Be a farmer: say where it listens, then carry orders out, until killed.

    meddler: the key of a payer that asks for its channel back whenever the farmer has just looked at it.
    """
    _begin(role)
    if meddler is not None:
        _meddle(SigningKey(meddler))
    try:
        asyncio.run(_farm(role, SigningKey(gas_key), orders))
    except SettlementError as error:
        _refuse(error)


def watch(role: Role, node_key: bytes, gas_key: bytes, port: int, orders: Connection) -> None:
    """Be a watchtower that serves anybody; otherwise as `farm`."""
    _begin(role)
    try:
        asyncio.run(_watch(role, NodeKey(node_key), SigningKey(gas_key), port, orders))
    except SettlementError as error:
        _refuse(error)


def rent(role: Role, deed: Deed, arguments: tuple[Any, ...]) -> None:
    """Be a renter that does one thing."""
    _begin(role)
    try:
        asyncio.run(_rent(role, deed, arguments))
    except (NodeError, PaymentError, SettlementError) as error:
        _refuse(error)


def wait(process: BaseProcess, seconds: float = START_SECONDS) -> int:
    """How a process has ended, in the form of its exit code."""
    process.join(seconds)
    assert process.exitcode is not None, f"{process} does not end"
    return process.exitcode


def _refuse(error: Exception) -> NoReturn:
    """Say why, and end."""
    print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)  # noqa: T201
    os._exit(REFUSED)


def _begin(role: Role) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # dies with the server it was forked from
    log = os.open(role.folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    steps.arm(role.die_at)


def _meddle(payer: SigningKey) -> None:
    look = admission._look

    async def look_and_close(farm: Farm, name: ChannelId, terms: Terms) -> admission.Sight:
        sight = await look(farm, name, terms)
        call = farm.chain.calls.request_close(
            terms.signer, terms.challenge_period, terms.salt, payees=[terms.payee], token=terms.token
        )
        if terms.payer == payer.address and not sight.state.closes_at:
            await send_now(farm.chain.rpc, payer, call.to, call.data)
        return sight

    admission._look = look_and_close


async def _farm(role: Role, gas_key: SigningKey, orders: Connection) -> None:
    home, deployment = Home(role.folder), Deployment.load(role.chain)
    state = home.farm_state(deployment.folder)
    daemon = FarmerDaemon(
        FarmerConfig.load(home.farm_config),
        deployment,
        Places(state.money, state.stats, home.farm_shards, running=home.farm_running),
        NodeKey(bytes.fromhex(home.farm_node_key.read_text())),
        gas_key=gas_key,
        clock=role.clock,
        rhythm=role.rhythm,
    )
    await daemon.start()

    async def carry_out(order: str) -> None:
        if order == "claim_all":
            await daemon.farmer.collect(everything=True)
        else:
            await getattr(daemon.farmer, order)()

    await _obey(daemon.url, orders, carry_out)


async def _watch(role: Role, node_key: NodeKey, gas_key: SigningKey, port: int, orders: Connection) -> None:
    deployment = Deployment.load(role.chain)
    async with await Chain.connect(deployment.url, deployment) as chain:
        with closing(open_tower_books(role.folder / "tower.db")) as books:
            tower = Tower(books, chain, gas_key, role.clock)
            async with TowerDaemon(tower, node_key, "127.0.0.1", port, NEVER) as daemon:
                await _obey(daemon.url, orders, lambda order: getattr(tower, order)())


async def _obey(url: str, orders: Connection, carry_out: Callable[[str], Awaitable[object]]) -> NoReturn:
    """Say where it listens, then do what comes, and say so."""
    orders.send(url)
    given: asyncio.Queue[str] = asyncio.Queue()
    asyncio.get_running_loop().add_reader(orders.fileno(), lambda: given.put_nowait(orders.recv()))
    while True:
        order = await given.get()
        await carry_out(order)
        orders.send(order)


async def _rent(role: Role, deed: Deed, arguments: tuple[Any, ...]) -> None:
    async with open_renter(role) as opened:
        await deed(opened, *arguments)


@asynccontextmanager
async def open_renter(role: Role) -> AsyncIterator[Opened]:
    """Open the renter of a folder: four keys in one file, and its database."""
    node, signer, master, payer = (role.folder / "keys").read_text().split()
    deployment = Deployment.load(role.chain)
    payer_key = SigningKey(bytes.fromhex(payer))
    keys = Keys(
        node=NodeKey(bytes.fromhex(node)),
        signer=SigningKey(bytes.fromhex(signer)),
        master=MasterKey(bytes.fromhex(master)),
        payer=payer_key.address,
        payer_key=payer_key,
        payers=frozenset({COLD.address}),
    )
    async with await Chain.connect(deployment.url, deployment) as chain:
        with closing(Database.at(role.folder / "money.db", TABLES)) as database:
            locks = role.folder / "locks"
            async with await Renter.open(
                database, chain, keys, clock=role.clock, locks=locks, patience=PATIENCE, limits=LIMITS
            ) as renter:
                yield Opened(renter, database, chain, keys, role.clock())


STORED: Final = Seconds(30 * 86_400)
