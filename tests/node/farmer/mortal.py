"""A farmer's deeds in a process that ends itself by SIGKILL at a chosen step of what it does to its disk.

A step is a call that does make, write, sync, rename or remove a file of the store, or a commit; they are
counted in the order in which they come. Before a step is also after the one before it, as nothing on the disk
differs; the middle of a write, with half of it on the disk, is a step of its own. The farmer is a real one
but for its chain, of which these deeds ask nothing.
"""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from hashlib import shake_256
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any, Final

from node.agreement import Agreement, agreement_id, sign_agreement
from node.db import Connection
from node.db.farmer import Book, add_book, open_books
from node.db.farmer_agreements import load_agreement
from node.db.stats import Statistics
from node.farmer import agreements, renewals, trash, upkeep
from node.farmer.config import FarmerConfig, Offer
from node.farmer.farm import Farm
from node.farmer.offer import Offers
from node.farmer.room import footprint
from node.farmer.scanner import Scanner
from node.identity import NodeKey
from node.merkle import build_tree
from node.messages import AgreementState
from node.shard_store import ShardStore
from payments.channel import Funded, apply
from payments.ledger import Earnings
from payments.prices import Prices, step_price
from payments.types import Address, Amount, Seconds, Timestamp
from payments.vouchers import SigningKey, Terms
from settlement import steps
from settlement.client import Chain
from settlement.deployment import Deployment
from settlement.rpc import Rpc
from settlement.tables import record_channel, save_channel

TAKEN: Final = "taken"
"""The file with the names of the steps of a deed that nobody has ended."""
NOW: Final = 1_800_000_000
DAY: Final = 86_400
LENGTH: Final = 5_000
PAYEE: Final = Address(bytes(19) + b"\x02")
DEPLOYMENT: Final = Deployment(
    name="none",
    url="http://127.0.0.1:9",
    chain_id=1,
    genesis_hash=bytes(32),
    contract=Address(bytes(19) + b"\x01"),
    token=Address(bytes(19) + b"\x03"),
    deployed_block=0,
    challenge_period=Seconds(60),
    confirmations=1,
    local=True,
)
FARMER: Final = NodeKey(b"f" * 32)
RENTER: Final = NodeKey(b"r" * 32)
SIGNER: Final = SigningKey(b"s" * 32)
OFFER: Final = Offer(prices=Prices(Amount(10**15), Amount(10**15), Amount(10**6)), min_deposit=Amount(1))
CONFIG: Final = FarmerConfig(
    PAYEE, (DEPLOYMENT.token,), offer=OFFER, capacity=4 * footprint(LENGTH), keep_free=0
)


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard that a renter has agreed on: what it is, and for how long."""

    seed: str
    days: int = 30
    start: int = NOW

    @property
    def data(self) -> bytes:
        return shake_256(self.seed.encode()).digest(LENGTH)

    @property
    def terms(self) -> Agreement:
        tree = build_tree(self.data)
        return Agreement(
            renter=RENTER.node,
            farmer=FARMER.node,
            shard_length=LENGTH,
            leaf_count=tree.leaf_count,
            data_root=tree.root,
            step=step_price(OFFER.prices, LENGTH, OFFER.audit_interval),
            audit_interval=OFFER.audit_interval,
            response_deadline=OFFER.response_deadline,
            grace=OFFER.grace,
            download_price=OFFER.prices.download_per_gb,
            start=Timestamp(self.start),
            end=Timestamp(NOW + self.days * DAY),
        )

    @property
    def name(self) -> bytes:
        return agreement_id(DEPLOYMENT.domain, self.terms)


class Barn:
    """A farmer with one renter; its clock is moved by hand."""

    def __init__(self, folder: Path, chain: Chain) -> None:
        self.now = NOW
        books = open_books(folder / "money.db", None, lambda: FARMER.node, DEPLOYMENT.folder)
        store, stats = ShardStore(folder / "shards"), Statistics(folder / "stats.db")
        self.farm = Farm(FARMER, CONFIG, books, store, chain, stats, lambda: self.now)
        self.offers = Offers(self.farm, ())

    @classmethod
    @asynccontextmanager
    async def at(cls, folder: Path) -> "AsyncIterator[Barn]":
        """Open what is in a folder; nothing is looked after yet."""
        rpc = await Rpc.open(DEPLOYMENT.url)
        barn = cls(folder, Chain(rpc, DEPLOYMENT))
        try:
            yield barn
        finally:
            barn.farm.stats.close()
            barn.farm.database.close()
            await rpc.close()

    async def wake(self) -> None:
        """Be where a start would have brought it, with nothing left to tidy."""
        self.farm.store.marker.claim(FARMER.node)
        self.farm.store.trash.count()
        self.farm.store.quarantine.count()
        await self.offers.quote()

    async def meet(self) -> None:
        """Take a channel of the renter's, as if the chain had told of it."""
        terms = Terms(PAYEE, SIGNER.address, PAYEE, DEPLOYMENT.token, Seconds(60), bytes(32))

        def work(conn: Connection) -> None:
            channel, _ = apply(record_channel(conn, DEPLOYMENT.domain, terms), Funded(Amount(10**18)))
            save_channel(conn, channel)
            add_book(conn, Book(channel.id, RENTER.node, Timestamp(NOW), Earnings()))

        await self.farm.database.write(work)

    async def store(self, shard: Shard) -> None:
        """Take a shard with its proposal, as the route does."""

        async def chunks() -> AsyncIterator[bytes]:
            yield shard.data[:3_000]
            yield shard.data[3_000:]

        terms = shard.terms
        proposal = agreements.Proposal(terms, sign_agreement(DEPLOYMENT.domain, terms, SIGNER))
        upload = agreements.Upload(shard.name, LENGTH, chunks())
        view = await agreements.accept(self.farm, self.offers, RENTER.node, proposal, upload)
        assert view.state is AgreementState.STORED

    async def renew(self, shard: Shard) -> None:
        """Sign for bytes that are here already."""
        terms = shard.terms
        signature = sign_agreement(DEPLOYMENT.domain, terms, SIGNER)
        view = await renewals.propose(self.farm, self.offers, RENTER.node, terms, signature)
        assert view.state is AgreementState.STORED

    async def delete(self, shard: Shard) -> None:
        """End an agreement at the renter's wish."""
        await agreements.remove(self.farm, RENTER.node, shard.name)

    def state(self, shard: Shard) -> AgreementState | None:
        """How an agreement stands in the books."""
        record = self.farm.database.read(lambda conn: load_agreement(conn, shard.name))
        return record.state if record else None

    def damage(self, shard: Shard, suffix: str = ".shard") -> None:
        """Let a bit of a file rot."""
        path = self.farm.store.path(shard.name).with_suffix(suffix)
        path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])


OLD, KEPT, NEW, AGAIN, SHORT, GONE = (
    Shard("old"),
    Shard("kept"),
    Shard("new"),
    Shard("kept", days=60),
    Shard("short", days=1),
    Shard("gone"),
)


async def begin(barn: Barn) -> None:
    await upkeep.reconcile(barn.farm)


async def begin_again(barn: Barn) -> None:
    await upkeep.reconcile(barn.farm)


async def store_in_place_of_trash(barn: Barn) -> None:
    await barn.store(NEW)


async def renew(barn: Barn) -> None:
    await barn.renew(AGAIN)


async def delete(barn: Barn) -> None:
    await barn.delete(OLD)


async def delete_for_good(barn: Barn) -> None:
    barn.farm.config = replace(CONFIG, trash_seconds=Seconds(0))
    await barn.delete(OLD)


async def expire(barn: Barn) -> None:
    barn.now += DAY
    await upkeep.sweep(barn.farm)


async def empty_trash(barn: Barn) -> None:
    barn.now += 9 * DAY
    await upkeep.empty_trash(barn.farm)


async def take_back(barn: Barn) -> None:
    farm = barn.farm
    (done,) = await trash.take_back(farm.database, farm.store, farm.now(), [GONE.name])
    assert done.refusal is None


async def scan(barn: Barn) -> None:
    await Scanner(barn.farm.hoard).hurry()
    await barn.farm.stats.flush()


async def mend_tree(barn: Barn) -> None:
    terms = OLD.terms
    barn.farm.store.prove(OLD.name, (0, 4), LENGTH, terms.data_root)


DEEDS: Final[dict[str, Callable[[Barn], Awaitable[None]]]] = {
    deed.__name__: deed
    for deed in (
        begin,
        begin_again,
        store_in_place_of_trash,
        renew,
        delete,
        delete_for_good,
        expire,
        empty_trash,
        take_back,
        scan,
        mend_tree,
    )
}


def fork_server() -> ForkServerContext:
    """The context whose processes are forks of one that has imported this."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "pytest"])
    return context


def do(deed: str, folder: Path, fatal: int) -> None:
    """Be a farmer that does one thing, and dies at the step of this number, if there are so many."""

    async def work() -> None:
        async with Barn.at(folder) as barn:
            if deed not in {begin.__name__, begin_again.__name__}:
                await barn.wake()
            taken = _Steps(str(folder / "shards"), fatal)
            taken.watch()
            await DEEDS[deed](barn)
            (folder / TAKEN).write_text("\n".join(taken.names))

    asyncio.run(work())
    os._exit(0)


class _Steps:
    """Counts steps, and ends the process at one of them."""

    def __init__(self, folder: str, fatal: int) -> None:
        self._folder = folder
        self._fatal = fatal
        self._files: dict[int, str] = {}
        self.names: list[str] = []

    def watch(self) -> None:
        """Stand between the farmer and its disk from now on."""
        for name in ("mkdir", "rmdir", "rename", "replace", "link", "unlink"):
            self._stand_before(name)
        self._stand_before_open()
        self._stand_before_files()
        steps.reach = self._commit

    def _pass(self, name: str) -> bool:
        """Count a step; whether it is the fatal one."""
        self.names.append(name)
        return len(self.names) == self._fatal

    def _stand_before(self, name: str) -> None:
        real = getattr(os, name)

        def call(path: Any, *rest: Any, **options: Any) -> Any:  # noqa: ANN401 - as os has them
            there = os.path.lexists(path)
            changes = not there and os.path.isdir(os.path.dirname(path)) if name == "mkdir" else there  # noqa: PTH112, PTH120 - Path calls what stands here
            if self._mine(path) and changes and self._pass(name):
                die()
            return real(path, *rest, **options)

        setattr(os, name, call)

    def _stand_before_open(self) -> None:
        real = os.open

        def call(path: Any, flags: int, *rest: Any, **options: Any) -> int:  # noqa: ANN401 - as os has them
            mine = self._mine(path)
            if mine and flags & os.O_CREAT and self._pass("make"):
                die()
            file = real(path, flags, *rest, **options)
            self._files.pop(file, None)  # of a file that was closed
            if mine:
                self._files[file] = "sync_folder" if flags & os.O_DIRECTORY else "sync"
            return file

        os.open = call

    def _stand_before_files(self) -> None:
        write, fsync, fdopen = os.write, os.fsync, os.fdopen

        def perhaps_write(file: int, data: Any) -> None:  # noqa: ANN401 - a buffer
            if file in self._files:
                if self._pass("write"):
                    die()
                if self._pass("half"):
                    write(file, memoryview(data)[: len(data) // 2])
                    die()

        def writes(file: int, data: Any) -> int:  # noqa: ANN401 - a buffer
            perhaps_write(file, data)
            return write(file, data)

        def syncs(file: int) -> None:
            if file in self._files and self._pass(self._files[file]):
                die()
            fsync(file)

        def opens(file: int, *rest: Any, **options: Any) -> Any:  # noqa: ANN401 - as os has it
            perhaps_write(file, b"torn")  # whoever opens it so writes it all at once
            return fdopen(file, *rest, **options)

        for name, call in (("write", writes), ("fsync", syncs), ("fdopen", opens)):
            setattr(os, name, call)

    def _mine(self, path: Any) -> bool:  # noqa: ANN401 - str or Path
        return str(path).startswith(self._folder)

    def _commit(self, kind: steps.Kind, moment: steps.Moment, *_: object) -> None:
        if kind is steps.Kind.COMMIT and moment is steps.Moment.BEFORE and self._pass("commit"):
            die()


def die() -> None:
    """End at once."""
    os.kill(os.getpid(), signal.SIGKILL)
