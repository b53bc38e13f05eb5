"""The two places where a story can play: everything in this process, or a local node and farmer processes.

A stage is built once and taken down whatever happens. The renter and the chain client are the same on both.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.demo.cast import Actor, Shape
from node.demo.farmers import LocalFarmer
from node.demo.offers import LIMITS
from node.demo.processes import ProcessFarmer
from node.identity import NodeKey
from node.master_key import MasterKey
from node.renter.context import Keys
from node.renter.renter import TABLES, Renter
from payments.types import Address
from payments.vouchers import SigningKey
from settlement.client import Chain
from settlement.database import Database
from settlement.deployment import deploy
from settlement.local_chain import ChainKind, LocalChain, dev_keys, embedded, give, warp
from settlement.rpc import Rpc
from settlement.wallet import new_key

GAS_MONEY: Final = 10**18
"""Wei that each farmer's gas key starts with."""
AT_ONCE: Final = 4
"""Farmers that start at the same time."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a story plays: a chain with the contracts, a renter with tokens, farmers that listen."""

    name: str
    chain: Chain
    renter: Renter
    payer: Address
    actors: tuple[Actor, ...]
    scratch: Path

    async def warp(self, seconds: int) -> None:
        """Let the chain's clock jump."""
        await warp(self.chain.rpc, seconds)


@asynccontextmanager
async def set_stage(kind: ChainKind, shape: Shape) -> AsyncIterator[Stage]:
    """Start a chain of this kind, deploy, open the renter, start the farmers; end all of it afterwards.

    Raises ToolMissing, LocalChainFailed, ChainError, StageCollapsed.
    """
    async with AsyncExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tithe-demo-")))
        payer = dev_keys(1)[0]
        chain = await _open_chain(stack, kind, payer)
        renter = await stack.enter_async_context(_open_renter(scratch / "renter", chain, payer))
        made: type[LocalFarmer | ProcessFarmer] = (
            ProcessFarmer if kind is not ChainKind.EMBEDDED else LocalFarmer
        )
        actors: list[LocalFarmer | ProcessFarmer] = []
        for number in range(1, shape.farmers + 1):
            gas_key = new_key()
            await give(chain.rpc, gas_key.address, GAS_MONEY)
            folder = scratch / f"farmer-{number}"
            await asyncio.to_thread(folder.mkdir)
            actors.append(made(f"farmer {number}", folder, chain, new_key().address, gas_key))
        for actor in actors:
            stack.push_async_callback(actor.kill)
        await _start(actors)
        yield Stage(kind.value, chain, renter, payer.address, tuple(actors), scratch)


async def _open_chain(stack: AsyncExitStack, kind: ChainKind, deployer: SigningKey) -> Chain:
    if kind is ChainKind.EMBEDDED:
        rpc = await Rpc.open(embedded())
    else:
        local = await asyncio.to_thread(LocalChain.start, kind)
        stack.callback(local.stop)
        rpc = await Rpc.open(local.url)
    stack.push_async_callback(rpc.close)
    return await Chain.connect(rpc, await deploy(rpc, deployer, "demo"))


@asynccontextmanager
async def _open_renter(folder: Path, chain: Chain, payer: SigningKey) -> AsyncIterator[Renter]:
    await asyncio.to_thread(folder.mkdir)
    keys = Keys(
        node=NodeKey(os.urandom(32)),
        signer=new_key(),
        master=MasterKey(os.urandom(32)),
        payer=payer.address,
        payer_key=payer,
    )
    with closing(Database.at(folder / "money.db", TABLES)) as database:
        async with await Renter.open(database, chain, keys, limits=LIMITS) as renter:
            yield renter


async def _start(actors: list[LocalFarmer | ProcessFarmer]) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def begin(actor: LocalFarmer | ProcessFarmer) -> None:
        async with gate:
            await actor.start()

    async with asyncio.TaskGroup() as group:
        for actor in actors:
            group.create_task(begin(actor))
