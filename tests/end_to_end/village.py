"""A Village: a real Anvil, farmers that are processes behind relays, and the folder of a renter.

What a test needs to kill somebody at a chosen moment, and to read afterwards what everybody has on disk.
"""

import asyncio
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from node.api.owner import StatusMessage
from node.audit import Outcome
from node.db import farmer as farmer_tables
from node.db.farmer import list_books
from node.db.renter_audits import count_outcomes
from node.db.renter_shards import load_shard
from node.demo.offers import farmer_config
from node.demo.processes import ProcessFarmer
from node.farmer.config import FarmerConfig
from node.home import Home, read_json, write_json
from node.identity import NodeKey
from node.renter.money import list_accounts
from node.renter.reports import AuditReport
from node.transport import Target, Transport
from payments.policy import ClaimPolicy
from payments.types import MAX_AMOUNT, Address, Amount, NodeId, Seconds
from settlement.children import spawn
from settlement.client import Chain
from settlement.database import Database
from settlement.deployment import deploy
from settlement.local_chain import ChainKind, LocalChain, dev_keys, give
from settlement.rpc import Rpc
from settlement.tables import TABLES as CHAIN_TABLES
from settlement.wallet import new_key
from tests.end_to_end.relay import Relay
from tests.end_to_end.renter_child import OpenRenter, make_renter, open_renter

ROOT = Path(__file__).parents[2]
TITHE = Path(sys.executable).with_name("tithe")
PATIENCE = 120.0
POLL = 0.05
DEPOSIT = Amount(10 * 10**18)
GAS_MONEY = 10**18
NEVER = ClaimPolicy(min_amount=MAX_AMOUNT, max_age=Seconds(2**62))
"""Claims are made when the test says so."""

T = TypeVar("T")


def run(story: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(story)


async def until(condition: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Wait for something to become true; what it became."""
    deadline = time.monotonic() + PATIENCE
    while not (found := await condition()):
        assert time.monotonic() < deadline, "it does not happen"
        await asyncio.sleep(POLL)
    return found


@dataclass(frozen=True)
class Evidence:
    """What a farmer has on disk of one channel: totals of its newest vouchers, 0 where there is none."""

    paid: Amount
    proven: Amount

    @property
    def earned(self) -> Amount:
        return Amount(max(self.paid, self.proven))


@dataclass(frozen=True)
class Side:
    """What a renter has on disk of one channel. `paid`: signed, no condition; `delivered`: acknowledged."""

    deposit: Amount
    promised: Amount
    earned: Amount
    claimed: Amount
    paid: Amount
    delivered: Amount


class Farmer(ProcessFarmer):
    """A farmer whose process always comes back on the same port; renters reach it by its relay only."""

    def __init__(self, name: str, folder: Path, chain: Chain, relay: Relay) -> None:
        self.gas_key = new_key()
        super().__init__(name, folder, chain, new_key().address, self.gas_key)
        self.relay = relay
        self.home = Home(folder)
        self._deployment = chain.deployment.folder
        config = farmer_config(self.payee, chain.deployment)
        replace(config, port=relay.target, urls=(relay.url,), claims=NEVER).save(self.home.farm_config)

    def set_rules(self, *, grace: int, gas_price: int) -> None:
        """Change what its owner decides."""
        config = FarmerConfig.load(self.home.farm_config)
        offer = replace(config.offer, grace=Seconds(grace))
        replace(config, offer=offer, gas_price=Amount(gas_price)).save(self.home.farm_config)

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def give_away_process_id(self) -> None:
        """Let the id of the dead process be that of a living one, as after a reboot or in a container."""
        said = read_json(self.home.farm_running)
        write_json(self.home.farm_running, said | {"pid": os.getpid()})

    def evidence(self) -> Evidence:
        """Read the books beside the process, or without it."""
        money = self.home.farm_state(self._deployment).money
        with closing(Database.at(money, [*CHAIN_TABLES, *farmer_tables.TABLES])) as database:
            books = database.read(list_books)
        assert len(books) <= 1
        paid = [book.earnings.paid.total for book in books if book.earnings.paid]
        proven = [book.earnings.proven.total for book in books if book.earnings.proven]
        return Evidence(max(paid, default=Amount(0)), max(proven, default=Amount(0)))

    async def status(self) -> StatusMessage:
        """Ask the daemon itself, as its owner."""
        key = NodeKey(bytes.fromhex(self.home.farm_node_key.read_text()))
        async with Transport(key, lambda: int(time.time())) as transport:
            return await transport.get(Target(self.node, (self.url,)), "/v1/owner/status", StatusMessage)

    async def tithe(self, *arguments: str, expect: int = 0) -> dict[str, Any]:
        """Run one of the owner's commands and read its JSON."""
        process = await asyncio.create_subprocess_exec(
            TITHE,
            *arguments,
            "--json",
            env={**os.environ, "TITHE_HOME": str(self.home.root)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, complaint = await process.communicate()
        assert process.returncode == expect, complaint.decode()
        found: dict[str, Any] = json.loads(out)
        return found


@dataclass(frozen=True)
class Village:
    """All of it. `wire` is the relay by which all speak to the chain, `chain` the test's own client."""

    chain: Chain
    anvil: LocalChain
    wire: Relay
    farmers: tuple[Farmer, ...]
    renter: Path

    def open_renter(self) -> AbstractAsyncContextManager[OpenRenter]:
        return open_renter(self.renter, self.chain)

    def child(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start the renter as a process."""
        command = [sys.executable, "-m", "tests.end_to_end.renter_child", str(self.renter), *arguments]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with (self.renter / "log").open("ab") as log:
            return spawn(command, log, environment=environment)

    def last_words(self) -> str:
        """What the renter's process said in the end."""
        return (self.renter / "log").read_text()[-2_000:]

    async def balance(self, payee: Address) -> int:
        return await self.chain.token_balance(payee)

    async def start(self, farmers: Sequence[Farmer] | None = None) -> None:
        """Start those of these farmers, or of all, that are dead."""
        dead = [one for one in (self.farmers if farmers is None else farmers) if not one.alive]
        await asyncio.gather(*(farmer.start() for farmer in dead))


@asynccontextmanager
async def build_village(folder: Path, farmers: int) -> AsyncIterator[Village]:
    """Found a village with funded channels, and end all of it afterwards."""
    async with AsyncExitStack() as stack:
        anvil = await asyncio.to_thread(LocalChain.start, ChainKind.ANVIL, block_time=0.2)
        stack.callback(anvil.stop)
        wire = await stack.enter_async_context(Relay.open(port_of(anvil)))
        rpc = await Rpc.open(wire.url)
        stack.push_async_callback(rpc.close)
        chain = await Chain.connect(rpc, await deploy(rpc, dev_keys(1)[0], "village"))
        built = []
        for number in range(farmers):
            place = folder / f"farmer-{number}"
            place.mkdir()
            relay = await stack.enter_async_context(Relay.open(lasting_port()))
            farmer = Farmer(f"farmer {number}", place, chain, relay)
            await give(chain.rpc, farmer.gas_key.address, GAS_MONEY)
            stack.push_async_callback(farmer.kill)
            built.append(farmer)
        village = Village(chain, anvil, wire, tuple(built), folder / "renter")
        await village.start()
        make_renter(village.renter, chain.deployment)
        async with village.open_renter() as opened:
            for farmer in built:
                await opened.renter.peers.add(farmer.relay.url)
            funding = opened.renter.funding
            await funding.fund(await funding.plan(amount=DEPOSIT))
        yield village


def port_of(chain: LocalChain) -> int:
    return int(chain.url.rpartition(":")[2])


def lasting_port() -> int:
    """Choose a free port below those that systems hand out: nobody takes it while its farmer is dead."""
    for port in random.SystemRandom().sample(range(20_000, 30_000), 1_000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


def sides(opened: OpenRenter) -> dict[NodeId, Side]:
    """Read the renter's side of all channels."""
    return {
        account.farmer: Side(
            deposit=account.channel.deposit,
            promised=account.channel.promised,
            earned=account.channel.earned,
            claimed=account.channel.claimed,
            paid=account.purse.paid_total,
            delivered=account.purse.delivered,
        )
        for account in opened.database.read(list_accounts)
    }


def check_money(mine: Side, its: Evidence) -> None:
    """What holds at every moment, whoever has died: nothing signed is unknown, nothing acknowledged lost."""
    assert mine.claimed <= mine.promised <= mine.deposit
    assert mine.earned <= mine.promised
    assert its.paid <= mine.paid
    assert its.proven <= mine.promised
    assert its.paid >= mine.delivered
    assert its.earned >= mine.earned


def check_all(opened: OpenRenter, farmers: Sequence[Farmer]) -> dict[NodeId, Side]:
    found = sides(opened)
    for farmer in farmers:
        check_money(found[farmer.node], farmer.evidence())
    return found


def check_risen(before: dict[NodeId, Side], after: dict[NodeId, Side]) -> None:
    """No total is lower than it was."""
    for node, side in before.items():
        for name in Side.__dataclass_fields__:
            assert getattr(after[node], name) >= getattr(side, name), name


def passed(opened: OpenRenter) -> dict[bytes, int]:
    """How many audits each agreement has passed."""
    counts = opened.database.read(count_outcomes)
    assert all(set(found) == {Outcome.PASSED} for found in counts.values()), counts
    return {agreement: found[Outcome.PASSED] for agreement, found in counts.items()}


def worth(opened: OpenRenter) -> dict[NodeId, int]:
    """What each farmer's passed audits are worth by their agreements, each paid once."""
    times = passed(opened)
    shards = opened.database.read(lambda conn: [load_shard(conn, name) for name in times])
    earned: dict[NodeId, int] = {}
    for shard in shards:
        assert shard is not None
        terms = shard.agreement
        earned[terms.farmer] = earned.get(terms.farmer, 0) + times[shard.agreement_id] * terms.step
    return earned


def undecided(report: AuditReport) -> set[NodeId]:
    """Farmers whose challenge stays open."""
    return {result.farmer for result in report.results if not result.decided}
