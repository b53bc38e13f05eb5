"""A farmer to be measured: its books on a real disk, renters with funded channels, vouchers taken from them.

Also the two limits its figures are held against: what libsecp256k1 verifies and what the bare sqlite3 module
commits on the same disk.
"""

import asyncio
import itertools
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from coincurve import PrivateKey, PublicKey
from sqlalchemy import Connection

from node.db.farmer import TABLES as FARMER_TABLES
from node.db.farmer import Book, add_book
from node.db.stats import Statistics
from node.farmer.config import FarmerConfig
from node.farmer.farm import Farm
from node.farmer.vouchers import VoucherQueue
from node.identity import NodeKey
from node.shard_store import ShardStore
from payments.channel import Funded, apply
from payments.eip712 import Domain
from payments.ledger import Earnings
from payments.types import ZERO32, Address, Amount, ChannelId, NodeId, Seconds, Timestamp
from payments.vouchers import SignedVoucher, SigningKey, Terms, Voucher, channel_id, sign_voucher
from settlement.client import Chain
from settlement.database import Database
from settlement.deployment import Deployment
from settlement.rpc import Rpc
from settlement.tables import TABLES as SETTLEMENT_TABLES
from settlement.tables import record_channel, save_channel

TABLES: Final = [*SETTLEMENT_TABLES, *FARMER_TABLES]
DOMAIN: Final = Domain(31337, Address(b"\x0c" * 20))
SIGNER: Final = SigningKey(b"\x02" * 32)
NODE_KEY: Final = NodeKey(b"\x0f" * 32)
PAYEE: Final = Address(b"\x04" * 20)
DEPOSIT: Final = Amount(10**18)
IN_FLIGHT: Final = 500
VERIFY_LIMIT: Final = "verify, libsecp256k1's limit"


@dataclass
class Series:
    """One thing measured: its rates per second, the limit it is held against, the goal."""

    name: str
    limit: str | None = None
    goal: int | None = None
    rates: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The rate to report."""
        ordered = sorted(self.rates)
        return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def burst(work: Callable[[], object], seconds: float) -> float:
    """Run `work` for a moment; its rate per second."""
    for _ in range(20):
        work()
    done, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        for _ in range(50):
            work()
        done += 50
    return done / elapsed


def bare_verification() -> Callable[[], object]:
    """Recover one fixed signature by libsecp256k1 and nothing else."""
    digest = os.urandom(32)
    signature = PrivateKey(SIGNER.secret).sign_recoverable(digest, hasher=None)
    return lambda: PublicKey.from_signature_and_message(signature, digest, hasher=None)


def bare_commits(folder: Path, rows: int, seconds: float) -> Iterator[float]:
    """Commits of `rows` rows each by the sqlite3 module, synchronous=FULL: rows per second, run by run."""
    conn = sqlite3.connect(folder / f"bare-{rows}.db", isolation_level=None)
    conn.execute("PRAGMA journal_mode=WAL")
    conn.execute("PRAGMA synchronous=FULL")
    conn.execute("CREATE TABLE vouchers (channel BLOB PRIMARY KEY, total BLOB, signature BLOB)")
    upsert = "INSERT OR REPLACE INTO vouchers VALUES (?, ?, ?)"
    numbers = itertools.count(1)
    while True:
        done, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < seconds:
            conn.execute("BEGIN")
            values = ((os.urandom(32), next(numbers).to_bytes(12), bytes(64)) for _ in range(rows))
            conn.executemany(upsert, values)
            conn.execute("COMMIT")
            done += rows
        yield done / elapsed


async def open_farm(folder: Path) -> Farm:
    """A farmer on disk. Its chain is recorded but never asked: taking vouchers does not need it."""
    deployment = Deployment(
        name="bench",
        url="http://127.0.0.1:1",
        chain_id=DOMAIN.chain_id,
        genesis_hash=bytes(32),
        contract=DOMAIN.contract,
        token=Address(b"\x07" * 20),
        deployed_block=0,
        challenge_period=Seconds(60),
        confirmations=1,
        local=True,
    )
    return Farm(
        key=NODE_KEY,
        config=FarmerConfig(payee=PAYEE, tokens=(deployment.token,)),
        database=Database.at(folder / "money.db", TABLES),
        store=ShardStore(folder / "shards"),
        chain=Chain(await Rpc.open(deployment.url), deployment),
        stats=Statistics(None),
        clock=lambda: int(time.time()),
    )


@dataclass(frozen=True)
class Payer:
    """One renter with one channel: its node, its signer, its channel."""

    node: NodeId
    key: SigningKey
    channel: ChannelId

    def pay(self, total: int) -> SignedVoucher:
        """Sign the next voucher."""
        return sign_voucher(DOMAIN, Voucher(self.channel, Amount(total)), self.key)


async def open_channels(farm: Farm, count: int) -> list[Payer]:
    """Record `count` funded channels, every one of another renter and signer."""
    opened = []
    for _ in range(count):
        key = SigningKey(os.urandom(32))
        token = farm.chain.deployment.token
        terms = Terms(key.address, key.address, farm.config.payee, token, Seconds(86_400), ZERO32)
        opened.append((Payer(NodeId(os.urandom(32)), key, channel_id(DOMAIN, terms)), terms))

    def work(conn: Connection) -> None:
        for payer, terms in opened:
            record(conn, terms, payer.node)

    await farm.database.write(work)
    return [payer for payer, _ in opened]


def record(conn: Connection, terms: Terms, node: NodeId) -> None:
    """Put one funded channel and its book on disk."""
    channel, _ = apply(record_channel(conn, DOMAIN, terms), Funded(DEPOSIT))
    save_channel(conn, channel)
    add_book(conn, Book(channel.id, node, Timestamp(0), Earnings()))


def sign_in_turn(
    payers: list[Payer], totals: Iterator[int], count: int
) -> list[tuple[NodeId, SignedVoucher]]:
    """`count` vouchers, of one payer after the other, round by round; each round takes the next total."""
    rounds = ((next(totals), payer) for _ in range(-(-count // len(payers))) for payer in payers)
    return [(payer.node, payer.pay(total)) for total, payer in itertools.islice(rounds, count)]


async def take_all(
    queue: VoucherQueue, batch: Iterable[tuple[NodeId, SignedVoucher]], in_flight: int
) -> float:
    """Take every voucher of the batch, so many at a time; vouchers per second until the last is on disk."""
    waiting, taken = iter(batch), 0

    async def one_by_one() -> None:
        nonlocal taken
        for node, signed in waiting:
            await queue.count(node, signed)
            taken += 1

    start = time.perf_counter()
    await asyncio.gather(*(one_by_one() for _ in range(in_flight)))
    return taken / (time.perf_counter() - start)
