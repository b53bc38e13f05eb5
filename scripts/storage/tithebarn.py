"""Ours: a fresh Anvil, farmers in a few processes, a renter in one of its own with a funded channel to each.

Every farmer has its own keys, books, store and socket; processes host several, so that eighty fit on a small
machine. One process hosts one farmer only: it stands for them where memory is told.
"""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from node.demo.cast import let_rot
from scripts.storage.child import Child
from scripts.storage.system import (
    CORRUPT_PART,
    DEAD_PART,
    SLOW_PART,
    SLOW_SECONDS,
    Condition,
    Crowd,
    Done,
    lasting_ports,
    share,
)
from settlement.deployment import deploy
from settlement.local_chain import ChainKind, LocalChain, dev_keys
from settlement.rpc import Rpc

HOSTED: Final = 8
"""Farmers in a process, at most."""
BLOCK_SECONDS: Final = 12.0
"""As on the chains that people use; farmers look as often."""
DEPOSIT: Final = 10 * 10**18
HOST, RENTER = "scripts.storage.host", "scripts.storage.renter"


@dataclass
class Household:
    """A process and the farmers in it: their folders, and the ports that they always have."""

    log: Path
    folders: list[Path]
    ports: list[int]
    child: Child | None = None

    def begin(self, chain_file: Path) -> None:
        """Start the process and its farmers, without waiting for them."""
        self.child = Child(HOST, self.log, str(chain_file))
        self.child.tell("start", folders=list(map(str, self.folders)), ports=self.ports)

    @property
    def alive(self) -> Child:
        """The process."""
        if self.child is None:
            raise AssertionError
        return self.child


class Tithebarn:
    """A System. k and n None: what the renter chooses by itself."""

    name = "tithebarn"

    def __init__(self, stack: ExitStack, folder: Path, farmers: int, shape: tuple[int, int] | None) -> None:
        self._shape = shape or (None, None)
        folder.mkdir()
        chain = stack.enter_context(LocalChain.start(ChainKind.ANVIL, block_time=BLOCK_SECONDS))
        self._chain_file = folder / "chain.json"
        asyncio.run(_deploy(chain.url, self._chain_file))
        self._households = _share_out(folder, farmers)
        stack.callback(self._end)
        self._begin(self._households)
        (folder / "renter").mkdir()
        arguments = (str(self._chain_file), str(folder / "renter"))
        self._renter = Child(RENTER, folder / "renter.log", *arguments)
        stack.callback(self._renter.end)
        urls = [f"http://127.0.0.1:{port}" for house in self._households for port in house.ports]
        self._renter.ask("meet", urls=urls, deposit=DEPOSIT)

    @property
    def crowd(self) -> Crowd:
        """Its living processes."""
        storing = tuple(house.child.pid for house in self._households if house.child is not None)
        return Crowd((self._renter.pid,), storing, self._households[0].alive.pid)

    def describe(self) -> str:
        """What it is, in a line."""
        houses = self._households
        farmers = sum(len(house.folders) for house in houses)
        return (
            f"{farmers} farmers in {len(houses)} processes, a store, books and a socket each; one Anvil; "
            f"funded channels; fsync, commitments, agreements and payment on"
        )

    def put(self, source: Path, name: str) -> Done:
        """Store a file."""
        k, n = self._shape
        said = self._renter.ask("put", source=str(source), name=name, k=k, n=n)
        return Done(said["seconds"], said["k"], said["n"])

    def get(self, name: str, out: Path) -> Done:
        """Read it back, synced to disk."""
        said = self._renter.ask("get", name=name, out=str(out))
        return Done(said["seconds"], said["k"], said["n"])

    def remove(self, name: str) -> None:
        """Have its shards deleted."""
        self._renter.ask("remove", name=name)

    def suffer(self, condition: Condition) -> None:
        """Kill, slow down, or let rot what whole processes host."""
        match condition:
            case Condition.DEAD:
                for house in self._some(DEAD_PART):
                    house.alive.kill()
                    house.child = None
            case Condition.SLOW:
                self._slow(SLOW_SECONDS)
            case Condition.CORRUPT:
                self._rot()

    def recover(self, condition: Condition) -> None:
        """Start, speed up, or flip back what suffered."""
        match condition:
            case Condition.DEAD:
                self._begin([house for house in self._households if house.child is None])
            case Condition.SLOW:
                self._slow(0.0)
            case Condition.CORRUPT:
                self._rot()

    def _slow(self, seconds: float) -> None:
        for house in self._some(SLOW_PART):
            house.alive.ask("slow", seconds=seconds)

    def _rot(self) -> None:
        """Flip a bit pattern in every leaf of every shard; twice is as if nothing had been."""
        for house in self._some(CORRUPT_PART):
            for folder in house.folders:
                let_rot(folder / "shards")

    def _some(self, part: float) -> list[Household]:
        """Whole processes with this part of all farmers, or as near below as can be; at least one."""
        left = share(sum(len(house.folders) for house in self._households), part)
        by_size = sorted(self._households[1:], key=lambda house: -len(house.folders))
        found: list[Household] = []
        for house in by_size:
            if len(house.folders) <= left:
                found.append(house)
                left -= len(house.folders)
        return found or by_size[-1:]

    def _begin(self, houses: Sequence[Household]) -> None:
        for house in houses:
            house.begin(self._chain_file)
        for house in houses:
            house.alive.hear()

    def _end(self) -> None:
        for house in self._households:
            if house.child is not None:
                house.child.end()


def _share_out(folder: Path, farmers: int) -> list[Household]:
    """Share farmers out to processes: one alone in the first."""
    sizes = [1, *([HOSTED] * ((farmers - 1) // HOSTED)), (farmers - 1) % HOSTED]
    ports, number = iter(lasting_ports(farmers)), 0
    houses: list[Household] = []
    for size in filter(None, sizes):
        folders = [folder / f"farmer-{number + one}" for one in range(size)]
        houses.append(Household(folder / f"host-{len(houses)}.log", folders, list(islice(ports, size))))
        number += size
    return houses


async def _deploy(url: str, chain_file: Path) -> None:
    async with await Rpc.open(url) as rpc:
        (await deploy(rpc, dev_keys(1)[0], "bench")).save(chain_file)
