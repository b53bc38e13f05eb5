"""The soak: renters and farmers as processes on Anvil, killed and cut off from each other all the time.

`scripts/soak --seed N --minutes M`. Every process is told at its start to die at so many commits, messages,
answers or broadcasts; besides, some are killed from outside. Farmers and chain are reached through relays,
which are cut at times; the chain is reorganised, its fees spike, its clock jumps. Renters ask for channels
back and go on in new ones. In the end everybody catches up, one renter leaves with all it has, and a
separate program judges (tests.soak.judge).
"""

import argparse
import asyncio
import json
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

from node.daemon import Rhythm
from node.demo.offers import farmer_config
from node.demo.processes import ProcessFarmer
from node.home import Home
from node.tasks import end
from payments.policy import ClaimPolicy
from payments.types import Amount, Seconds
from payments.vouchers import SigningKey
from settlement.client import Chain
from settlement.deployment import deploy
from settlement.local_chain import ChainKind, LocalChain, dev_keys, give, warp
from settlement.rpc import Rpc
from settlement.transactions import send_now
from settlement.wallet import new_key
from tests.end_to_end.relay import Relay
from tests.end_to_end.village import lasting_port, port_of
from tests.judge.chain import Chain as SeenChain
from tests.kill_matrix.actors import REFUSED, Deed, Role, farm, fork_server, rent
from tests.soak import lives

FARMERS: Final = 3
RENTERS: Final = 2
TOKEN: Final = 10**18
PURSE: Final = 1_000_000 * TOKEN
GAS_MONEY: Final = 10**22
BLOCK_SECONDS: Final = 0.3
CONFIRMATIONS: Final = 2
CHALLENGE_PERIOD: Final = Seconds(4 * 3_600)
"""On the chain's clock; its jumps make a minute or two of it."""
LONGEST_JUMP: Final = 3_600
LONGEST_LIFE: Final = 300
"""Steps after which a process dies at the latest."""
RHYTHM: Final = Rhythm(follow=0.5, collect=3.0, sweep=3.0, reload=10.0**6)
START_SECONDS: Final = 120.0
PEACE_SECONDS: Final = 240.0
CEILING: Final = 400 * 10**9
TROUBLES: Final = ("kill", "kill", "cut", "cut", "chain", "reorg", "fees", "clock")


@dataclass
class Node:
    """One node: its folder, and its process as long as one lives."""

    name: str
    folder: Path
    gas_key: SigningKey | None = None
    process: BaseProcess | None = None
    orders: Connection | None = None
    armed: bool = False
    wake_at: float = 0.0


class Soak:
    """One run."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.random = random.Random(seed)
        self.context = fork_server()
        self.counts = Counter[str]()
        self.nodes: list[Node] = []
        self.relays: list[Relay] = []
        self.held: dict[str, int] = {}
        self.crashes: list[str] = []
        self.deck: list[str] = []
        self.mining = asyncio.Lock()
        self.enough = asyncio.Event()
        self.minutes = 0.0

    # Before and after

    async def found(self, stack: AsyncExitStack) -> None:
        """Make chain, farmers and renters."""
        self.anvil = await asyncio.to_thread(LocalChain.start, ChainKind.ANVIL, block_time=0)
        stack.callback(self.anvil.stop)
        stack.push_async_callback(self.end)
        self.rpc = await stack.enter_async_context(await Rpc.open(self.anvil.url))
        await self.rpc.request("evm_setAutomine", False)
        stack.push_async_callback(end, [asyncio.create_task(self.mine())])
        record = await deploy(
            self.rpc, dev_keys(1)[0], "soak", confirmations=CONFIRMATIONS, challenge_period=CHALLENGE_PERIOD
        )
        self.wire = await stack.enter_async_context(Relay.open(port_of(self.anvil)))
        self.record = replace(record, url=self.wire.url)
        self.record.save(self.folder / "chain.json")
        self.seen = SeenChain(self.anvil.url, record.chain_id, record.contract, record.token)
        self.chain = await Chain.connect(self.rpc, record)
        for number in range(FARMERS):
            relay = await stack.enter_async_context(Relay.open(lasting_port()))
            self.relays.append(relay)
            await self.found_farmer(number, relay)
        for number in range(RENTERS):
            await self.found_renter(number)
        self.write_case()
        await asyncio.to_thread(self.import_everything)

    def import_everything(self) -> None:
        """Have the first process born: what all are forked from takes seconds to import what they need."""
        first = self.context.Process(target=int)
        first.start()
        first.join()

    async def mine(self) -> None:
        """Mine a block now and then. Anvil's own clock does so in the midst of a reorganisation, and then its
        chain lacks blocks for ever."""
        while True:
            async with self.mining:
                await self.rpc.request("evm_mine")
            await asyncio.sleep(BLOCK_SECONDS)

    async def found_farmer(self, number: int, relay: Relay) -> None:
        node = Node(f"farmer-{number}", self.folder / f"farmer-{number}", new_key())
        node.folder.mkdir()
        assert node.gas_key
        payee = new_key().address
        ProcessFarmer(node.name, node.folder, self.chain, payee, node.gas_key)
        config = farmer_config(payee, self.record)
        claims = ClaimPolicy(min_amount=Amount(TOKEN // 10), max_age=Seconds(10))
        replace(config, port=relay.target, urls=(relay.url,), claims=claims).save(
            Home(node.folder).farm_config
        )
        await give(self.rpc, node.gas_key.address, GAS_MONEY)
        self.held[payee.hex()] = 0
        self.exposure, self.read_price = config.max_exposure, config.offer.prices.download_per_gb
        self.nodes.append(node)

    async def found_renter(self, number: int) -> None:
        node = Node(f"renter-{number}", self.folder / f"renter-{number}")
        node.folder.mkdir()
        payer = new_key()
        (node.folder / "keys").write_text(
            " ".join([*(secrets.token_hex(32) for _ in range(3)), payer.secret.hex()])
        )
        await give(self.rpc, payer.address, GAS_MONEY)
        move = bytes.fromhex("a9059cbb") + payer.address.rjust(32, b"\0") + PURSE.to_bytes(32)
        await send_now(self.rpc, dev_keys(1)[0], self.record.token, move)
        self.held[payer.address.hex()] = PURSE
        self.nodes.append(node)

    def write_case(self) -> None:
        """Tell the judge where everything is."""
        farmers = [node for node in self.nodes if node.gas_key]
        books = [
            str(Home(node.folder).farm_state(self.record.folder).money.relative_to(self.folder))
            for node in farmers
        ]
        case = {
            "url": self.anvil.url,
            "chain_id": self.record.chain_id,
            "contract": self.record.contract.hex(),
            "token": self.record.token.hex(),
            "renters": [node.name for node in self.nodes if not node.gas_key],
            "farmers": books,
            "max_exposure": self.exposure,
            "read_price": self.read_price,
            "held_at_first": self.held,
        }
        (self.folder / "case.json").write_text(json.dumps(case))

    async def end(self) -> None:
        """End every process."""
        for node in self.nodes:
            await asyncio.to_thread(kill, node)

    # Life and death

    def start(self, node: Node, *, armed: bool = False, deed: Deed = lives.live) -> None:
        """Start a node, perhaps with a step at which it dies; a renter for this deed."""
        die_at = f"* * * - {self.random.randint(5, LONGEST_LIFE)}" if armed else None
        role = Role(node.folder, self.folder / "chain.json", die_at, rhythm=RHYTHM)
        if node.gas_key is not None:
            node.orders, theirs = self.context.Pipe()
            arguments: tuple[Any, ...] = (role, node.gas_key.secret, theirs)
            node.process = self.context.Process(target=farm, args=arguments, daemon=True)
            node.process.start()
            theirs.close()
        else:
            urls = tuple(relay.url for relay in self.relays)
            node.process = self.context.Process(target=rent, args=(role, deed, (urls,)), daemon=True)
            node.process.start()
        node.armed = armed

    def look_after(self, node: Node, now: float) -> None:
        """Start a dead node again after a while; count how it died."""
        if node.process is not None and node.process.exitcode is not None:
            code, node.process = node.process.exitcode, None
            if code == -9:
                self.counts["kills"] += 1
                self.counts["kills_in_flight"] += node.armed
            elif code != REFUSED:  # a chain that cannot be reached keeps nodes from starting
                self.crashes.append(f"{node.name} ended with {code}")
            node.wake_at = now + self.random.uniform(0, 1)
        if node.process is None and now >= node.wake_at:
            self.start(node, armed=True)

    async def trouble(self) -> None:
        """Do something to somebody."""
        if not self.deck:
            self.deck = self.random.sample(TROUBLES, len(TROUBLES))
        what = self.deck.pop()
        self.counts[what] += 1
        match what:
            case "kill":
                node = self.random.choice(self.nodes)
                if node.process is not None:
                    node.armed = False
                    node.process.kill()
            case "cut":
                await self.cut(self.random.choice(self.relays))
            case "chain":
                await self.cut(self.wire)
            case "reorg":
                depth = self.random.randint(1, 2 * CONFIRMATIONS)
                async with self.mining:
                    await asyncio.to_thread(self.seen.ask, "anvil_reorg", depth, [])
            case "fees":
                await self.rpc.request("anvil_setNextBlockBaseFeePerGas", CEILING)
            case "clock":
                await self.rpc.request("evm_increaseTime", self.random.randint(1, LONGEST_JUMP))

    async def cut(self, relay: Relay) -> None:
        """Let nothing through for a while."""
        await relay.cut()
        asyncio.get_running_loop().call_later(self.random.uniform(0.2, 2), relay.mend)

    async def rage(self, seconds: float) -> None:
        """Let everybody live and die, for so long or until it is enough."""
        began = time.monotonic()
        next_trouble = began + 2
        while (now := time.monotonic()) < began + seconds and not self.enough.is_set():
            for node in self.nodes:
                self.look_after(node, now)
            if now >= next_trouble:
                await self.trouble()
                next_trouble = now + self.random.uniform(0.3, 3)
            await asyncio.sleep(0.05)
        self.minutes = round((now - began) / 60, 1)

    async def make_peace(self) -> None:
        """Mend everything, let all catch up, pay and claim; then end them."""
        await self.end()
        await asyncio.sleep(2)
        for relay in (*self.relays, self.wire):
            relay.mend()
        await self.rpc.request("anvil_setNextBlockBaseFeePerGas", 10**9)
        farmers = [node for node in self.nodes if node.gas_key]
        for node in farmers:
            self.start(node)
            await self.answer(node)
        renters = [node for node in self.nodes if not node.gas_key]
        for _ in range(2):
            for node in renters:
                await self.rest(node, lives.become_quiet)
            await self.claim(farmers)
        await self.rest(renters[0], lives.leave)
        await self.claim(farmers)
        async with self.mining:
            await warp(self.rpc, CHALLENGE_PERIOD)
        for node in renters:
            await self.rest(node, lives.take_back)
        await asyncio.sleep(3 * CONFIRMATIONS * BLOCK_SECONDS)
        for node in farmers:
            await self.order(node, "follow")
        for node in renters:
            await self.rest(node, lives.catch_up)

    async def claim(self, farmers: list[Node]) -> None:
        """Have farmers claim all there is."""
        for node in farmers:
            for order in ("follow", "claim_all", "follow"):
                await self.order(node, order)

    async def rest(self, node: Node, deed: Deed) -> None:
        """Have a renter do something in peace."""
        self.start(node, deed=deed)
        assert node.process
        await asyncio.to_thread(node.process.join, PEACE_SECONDS)
        if node.process.exitcode != 0:
            self.crashes.append(f"{node.name} finds no rest: {node.process.exitcode}")

    async def order(self, node: Node, what: str) -> None:
        """Have a farmer do something by itself."""
        assert node.orders
        node.orders.send(what)
        await self.answer(node)

    async def answer(self, node: Node) -> None:
        """Wait until a farmer has carried out what it was told."""
        assert node.orders
        if not await asyncio.to_thread(node.orders.poll, START_SECONDS):
            self.crashes.append(f"{node.name} does not answer")
            return
        node.orders.recv()


def kill(node: Node) -> None:
    """End a node's process by SIGKILL."""
    if node.process is not None:
        node.process.kill()
        node.process.join()
        node.process = None


async def soak(folder: Path, seed: int, minutes: float) -> dict[str, Any]:
    """Run, then have it judged."""
    run = Soak(folder, seed)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, run.enough.set)
    async with AsyncExitStack() as stack:
        await run.found(stack)
        await run.rage(minutes * 60)
        await run.make_peace()
        await run.end()
        judge = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.soak.judge", str(folder), stdout=subprocess.PIPE
        )
        said, _ = await judge.communicate()
    verdict = json.loads(said)
    breaches = run.crashes + verdict.pop("breaches")
    counts = {
        "seed": seed,
        "minutes": run.minutes,
        "kills": run.counts["kills"],
        "kills_in_flight": run.counts["kills_in_flight"],
        "reorgs": run.counts["reorg"],
        "partitions": run.counts["cut"] + run.counts["chain"],
        "fee_spikes": run.counts["fees"],
        "clock_jumps": run.counts["clock"],
    }
    return {**counts, **verdict, "breaches": breaches}


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="chooses who dies when")
    parser.add_argument(
        "--minutes", type=float, default=10.0, help="how long to rage before peace (SIGTERM: no longer)"
    )
    parser.add_argument("--keep", type=Path, help="a new folder that keeps everything, to look into")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        found = asyncio.run(soak(folder.resolve(), given.seed, given.minutes))
    breaches = found.pop("breaches")
    for breach in breaches:
        print(breach, file=sys.stderr)  # noqa: T201
    print(json.dumps(found))  # noqa: T201
    sys.exit(1 if breaches else 0)


if __name__ == "__main__":
    main()
