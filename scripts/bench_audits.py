#!/usr/bin/env python3
"""Measure an audit round over many shards at many farmers, and what the proof of one shard costs.

    scripts/bench_audits [--shards 10000] [--farmers 80] [--rounds 3] [--processes 2] [--json FILE]

Round: a real renter over real HTTP, channels funded on a fresh Anvil, SQLite with synchronous=FULL on both
sides; the farmers have a daemon, a socket, books and a store each, several of them in one process. Shards
have the size of one of 29 of 64 MiB; those of one farmer are hard links to one, so the room is that of 80.
One farmer then loses shards: the round in which it declines is measured too. Proof: `ShardStore.prove`
alone. Medians over the rounds; CPU time is of the processes, whatever else the machine does.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, fields
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection

from node.agreement import Agreement, agreement_id, sign_agreement
from node.db.farmer_agreements import FarmerAgreement
from node.db.renter_files import FileRecord, FileState, insert_file
from node.db.renter_shards import ShardRecord, ShardState, insert_shards
from node.identity import NodeKey
from node.master_key import MasterKey
from node.merkle import build_tree, leaf_count
from node.messages import AgreementState
from node.renter import TABLES, Keys, Renter
from node.shard_store import ShardStore
from payments.prices import step_price
from payments.types import Amount, NodeId, Timestamp
from scripts.audits.host import Meter, Spot, Usage, host
from settlement.client import Chain
from settlement.database import Database
from settlement.deployment import deploy
from settlement.local_chain import ChainKind, LocalChain, dev_keys
from settlement.rpc import Rpc
from settlement.wallet import new_key

SHARD: Final = 2_314_099
"""Bytes of one of 29 shards of 64 MiB."""
GOAL_MS: Final = 0.2
DEPOSIT: Final = Amount(10**16)
PROOFS: Final = 2_000
LOST: Final = 20
"""Shards that one farmer loses."""


@dataclass(frozen=True, slots=True)
class Round:
    """One round: seconds in all and of CPU, challenges, commits on both sides, outcomes."""

    seconds: float
    renter_cpu: float
    farmers_cpu: float
    challenges: int
    renter_commits: int
    farmer_commits: int
    passed: int
    failed: int


class Farmers:
    """Processes with farmers in them."""

    def __init__(self, folder: Path, record: Any, farmers: int, processes: int) -> None:  # noqa: ANN401
        context = multiprocessing.get_context("spawn")
        shares = [farmers // processes + (at < farmers % processes) for at in range(processes)]
        self._pipes: list[Pipe] = []
        self._children = []
        for at, share in enumerate(shares):
            ours, theirs = context.Pipe()
            arguments = (theirs, folder / f"host-{at}", record, share, SHARD)
            child = context.Process(target=host, args=arguments, daemon=True)
            child.start()
            self._pipes.append(ours)
            self._children.append(child)
        self.spots: list[tuple[int, int, Spot]] = []
        for at, pipe in enumerate(self._pipes):
            self.spots += [(at, number, spot) for number, spot in enumerate(pipe.recv())]

    def store(self, at: int, number: int, agreements: Sequence[FarmerAgreement]) -> list[bytes]:
        """Have one farmer store shards; its signatures."""
        self._pipes[at].send((number, agreements))
        signatures: list[bytes] = self._pipes[at].recv()
        return signatures

    def usage(self) -> Usage:
        """Tell what all of them have used since."""
        found = []
        for pipe in self._pipes:
            pipe.send("usage")
            found.append(pipe.recv())
        return Usage(sum(one.cpu for one in found), sum(one.commits for one in found))

    def stop(self) -> None:
        """End them."""
        for pipe in self._pipes:
            pipe.send("stop")
        for child in self._children:
            child.join()


async def measure(options: argparse.Namespace, folder: Path) -> list[Round]:
    """Set everything up, audit some rounds, let one farmer lose shards, audit once more."""
    async with AsyncExitStack() as stack:
        local = await asyncio.to_thread(LocalChain.start, ChainKind.ANVIL)
        stack.callback(local.stop)
        rpc = await Rpc.open(local.url)
        stack.push_async_callback(rpc.close)
        payer = dev_keys(1)[0]
        record = await deploy(rpc, payer, "bench")
        farmers = Farmers(folder, record, options.farmers, options.processes)
        stack.callback(farmers.stop)
        chain = await stack.enter_async_context(await Chain.connect(record.url, record))
        options.domain = chain.domain
        database = stack.enter_context(closing(Database.at(folder / "renter.db", TABLES)))
        keys = Keys(NodeKey(os.urandom(32)), new_key(), MasterKey(os.urandom(32)), payer.address, payer)
        renter = await stack.enter_async_context(await Renter.open(database, chain, keys))
        for _, _, spot in farmers.spots:
            await renter.peers.add(spot.url)
        await renter.funding.fund(await renter.funding.plan(amount=DEPOSIT))
        for info in renter.channels.list():
            await renter.channels.present(info.channel.id)
        for at, number, spot in farmers.spots:
            await seed(Parts(renter, database, keys, farmers), (at, number, spot), options)
        meter = Meter()
        meter.watch(database._writer_engine)  # noqa: SLF001 - nothing else counts them
        await renter.audits.audit([])  # nothing yet, but what is imported late
        rounds = [await one_round(renter, database, farmers, meter) for _ in range(options.rounds)]
        lose(folder, farmers.spots[0])
        rounds.append(await one_round(renter, database, farmers, meter))
        return rounds


@dataclass(frozen=True, slots=True)
class Parts:
    """Who takes part."""

    renter: Renter
    database: Database
    keys: Keys
    farmers: Farmers


async def seed(parts: Parts, where: tuple[int, int, Spot], options: argparse.Namespace) -> None:
    """Store a farmer's share of the shards as a put leaves them, without its work."""
    (at, number, spot), keys = where, parts.keys
    peer, now = parts.renter.peers.find(NodeId(spot.node)), int(time.time())
    if peer is None:
        raise RuntimeError("a farmer was not met")
    quote, domain = peer.quote, options.domain
    share = options.shards // options.farmers
    agreements = []
    for one in range(share):
        terms = Agreement(
            renter=keys.node.node,
            farmer=NodeId(spot.node),
            shard_length=SHARD,
            leaf_count=leaf_count(SHARD),
            data_root=spot.data_root,
            step=step_price(quote.prices, SHARD, quote.audit_interval),
            audit_interval=quote.audit_interval,
            response_deadline=quote.response_deadline,
            grace=quote.grace,
            download_price=quote.prices.download_per_gb,
            start=Timestamp(now - one),
            end=Timestamp(now + 90 * 86_400),
        )
        agreements.append(
            FarmerAgreement(
                agreement_id(domain, terms),
                terms,
                sign_agreement(domain, terms, keys.signer),
                AgreementState.PROPOSED,
                Timestamp(now),
                Timestamp(now + 3600),
            )
        )
    signatures = await asyncio.to_thread(parts.farmers.store, at, number, agreements)
    file_id = os.urandom(16)

    def work(conn: Connection) -> None:
        insert_file(conn, FileRecord(file_id, file_id.hex(), FileState.STORED, 29, 80, Timestamp(now)))
        insert_shards(
            conn,
            [
                ShardRecord(
                    agreement_id=one.id,
                    file_id=file_id,
                    segment=segment,
                    index=0,
                    state=ShardState.STORED,
                    agreement=one.agreement,
                    renter_signature=one.renter_signature,
                    paid_until=one.agreement.start,
                    farmer_signature=signature,
                )
                for segment, (one, signature) in enumerate(zip(agreements, signatures, strict=True))
            ],
        )

    await parts.database.write(work)


async def one_round(renter: Renter, database: Database, farmers: Farmers, meter: Meter) -> Round:
    """Audit everything once."""
    farmers.usage()
    meter.read()
    before = database.read(count_audits)
    start = time.perf_counter()
    report = await renter.audits.audit()
    seconds = time.perf_counter() - start
    ours, theirs = meter.read(), farmers.usage()
    outcomes = [result.outcome.value for result in report.results]
    if report.faults:
        print(report.faults[0])
    return Round(
        seconds,
        ours.cpu,
        theirs.cpu,
        database.read(count_audits) - before,
        ours.commits,
        theirs.commits,
        outcomes.count("PASSED"),
        outcomes.count("FAILED"),
    )


def count_audits(conn: Connection) -> int:
    """Count the challenges ever sent."""
    count: int = conn.exec_driver_sql("SELECT count(*) FROM renter_audit").scalar_one()
    return count


def lose(folder: Path, where: tuple[int, int, Spot]) -> None:
    """Remove some shards of one farmer."""
    at, number, _ = where
    shards = sorted((folder / f"host-{at}" / f"farmer-{number}").rglob("*.shard"))
    for path in [one for one in shards if set(one.stem) != {"0"}][:LOST]:
        path.unlink()


def prove(folder: Path) -> dict[str, float]:
    """Milliseconds of CPU for the proof of one shard, by the number of leaves asked for."""
    store = ShardStore(folder / "one")
    store.prepare()
    data = os.urandom(SHARD)
    tree, name = build_tree(data), os.urandom(32)
    incoming = store.receive()
    incoming.write(data)
    incoming.keep(name, tree)
    found = {}
    for leaves in (1, 4):
        times = []
        for at in range(PROOFS):
            indices = tuple(sorted({(at * 7919 + each * 601) % tree.leaf_count for each in range(leaves)}))
            start = time.process_time_ns()
            store.prove(name, indices, SHARD, tree.root)
            times.append((time.process_time_ns() - start) / 1e6)
        found[f"{leaves} of its leaves"] = statistics.median(times)
    return found


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder on a real disk, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="tithe-audits-", dir=os.environ.get("TMPDIR")) as name:
        yield Path(name)


def show(rounds: list[Round]) -> None:
    """Print the median round, and the one after the loss."""
    *sound, last = rounds
    kinds = fields(Round)
    median = {kind.name: statistics.median([getattr(one, kind.name) for one in sound]) for kind in kinds}
    for name, found in ((f"median of {len(sound)} rounds", median), (f"{LOST} shards lost", asdict(last))):
        print(f"{name}: " + ", ".join(f"{what.replace('_', ' ')} {value:g}" for what, value in found.items()))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shards", type=int, default=10_000)
    parser.add_argument("--farmers", type=int, default=80)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with scratch() as folder:
        proofs = prove(folder)
        for what, milliseconds in proofs.items():
            print(f"proof of one {SHARD:,} B shard, {what}: {milliseconds:.3f} ms CPU (goal {GOAL_MS})")
        rounds = asyncio.run(measure(options, folder))
    show(rounds)
    if options.json:
        options.json.write_text(json.dumps({"proofs": proofs, "rounds": [asdict(one) for one in rounds]}))


if __name__ == "__main__":
    main()
