"""A World: one chain, one farmer, one renter, their folders, and the judge's eye on all of it.

It lasts for the whole matrix: whoever dies leaves its folder, the next process goes on from it.
"""

import asyncio
import secrets
import sqlite3
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from node.demo.offers import farmer_config
from node.demo.processes import ProcessFarmer
from node.farmer.config import FarmerConfig
from node.home import Home
from node.identity import NodeKey
from payments.types import MAX_AMOUNT, Address, Amount, Seconds
from payments.vouchers import SigningKey, channel_salt
from settlement.client import Chain
from settlement.copies import copy_database
from settlement.deployment import Deployment, deploy
from settlement.errors import Reverted
from settlement.local_chain import ChainKind, LocalChain, dev_keys, give
from settlement.rpc import Rpc
from settlement.transactions import send_now
from settlement.wallet import new_key
from tests.end_to_end.village import lasting_port
from tests.judge.books import Books, Signed, read_farmer, read_renter
from tests.judge.chain import Chain as SeenChain
from tests.judge.laws import AT_ALL_TIMES, Evidence, Law, judge
from tests.kill_matrix.actors import COLD, Deed, Role, farm, fork_server, rent, wait, watch
from tests.kill_matrix.daemons import DaemonProcess

TOKEN: Final = 10**18
GAS_MONEY: Final = 10**21


class World:
    """Everything of one matrix. Not for several threads."""

    def __init__(self, folder: Path, challenge_period: Seconds | None = None) -> None:
        self.folder = folder
        self.context = fork_server()
        self.anvil = LocalChain.start(ChainKind.ANVIL, block_time=0)
        self.renter = folder / "renter"
        self.renter.mkdir()
        self.chain_file = folder / "chain.json"
        self.gas_key = new_key()
        self.payer = new_key()
        self.stranger = COLD
        self.skew = 0
        self.extras = 0
        self.robbed = frozenset[bytes]()
        self.disturbed = False
        self.life = 0
        self.newest = ""
        self.gifts = 0
        self.withdrawn = False
        self.days = 0
        self.watching = folder / "tower"
        self.watching.mkdir()
        self.tower = DaemonProcess(self.context, watch)
        self.tower_key = NodeKey(secrets.token_bytes(32))
        self.tower_gas_key = new_key()
        self.tower_port = lasting_port()
        self.tower_skew = 0
        self.spare = ""
        self.deployment = asyncio.run(self._found(challenge_period))
        self.seen = SeenChain(
            self.anvil.url, self.deployment.chain_id, self.deployment.contract, self.deployment.token
        )
        keys = (secrets.token_hex(32) for _ in range(3))
        (self.renter / "keys").write_text(" ".join([*keys, self.payer.secret.hex()]))
        self.home = Home(folder / "farmer")
        self.money = self.home.farm_state(self.deployment.folder).money
        config = farmer_config(self.payee, self.deployment)
        offer = replace(config.offer, min_deposit=Amount(1))  # so that it lends three intervals, no more
        towers = (f"0x{self.tower_key.node.hex()}@http://127.0.0.1:{self.tower_port}",)
        self.config = replace(
            config, offer=offer, towers=towers, port=lasting_port(), metrics_port=lasting_port()
        )
        self.config.save(self.home.farm_config)
        self.url = ""
        self.before: Evidence | None = None
        self._farmer = DaemonProcess(self.context, farm)
        self._spare = DaemonProcess(self.context, farm)
        self._signatures: set[tuple[Signed, bytes]] = set()

    def close(self) -> None:
        """End all processes."""
        self.stop_farmer()
        self.tower.stop()
        self._spare.stop()
        self.anvil.stop()

    # The farmer

    def start_farmer(self, die_at: str | None = None, *, meddler: bytes | None = None) -> bool:
        """Start the farmer anew; whether it lives to say where it listens."""
        role = Role(self.home.root, self.chain_file, die_at, self.skew)
        url = self._farmer.start(role, self.gas_key.secret, meddler=meddler)
        self.url = url or self.url
        return url is not None

    def start_spare(self) -> str:
        """Start another farmer, which nobody kills; where it listens."""
        home = Home(self.folder / "spare")
        home.root.mkdir(exist_ok=True)
        asyncio.run(self._set_up(home, new_key().address))
        replace(FarmerConfig.load(home.farm_config), port=lasting_port()).save(home.farm_config)
        role = Role(home.root, self.chain_file, None, self.skew)
        url = self._spare.start(role, self.gas_key.secret)
        assert url is not None
        return url

    def order(self, what: str) -> bool:
        """Have the farmer do something by itself; whether it has lived to say that it is done."""
        return self._farmer.order(what)

    def stop_farmer(self) -> None:
        """End the farmer, in the middle of whatever it does."""
        self._farmer.stop()

    def farmer_died(self) -> int:
        """How the farmer has ended; it must."""
        return self._farmer.died()

    def keep_books(self) -> None:
        """Copy the books of a farmer that does not run."""
        copy_database(self.money, self.folder / "kept.db")

    def lose_books(self) -> None:
        """Put that copy in the place of its books, which know more."""
        for path in self.money.parent.glob(f"{self.money.name}*"):
            path.unlink()
        (self.folder / "kept.db").rename(self.money)
        self.disturbed, self.before = True, None

    # The watchtower

    def start_tower(self, die_at: str | None = None) -> bool:
        """Start the watchtower anew, its clock ahead by `tower_skew` more; whether it lives to say so."""
        role = Role(self.watching, self.chain_file, die_at, self.skew + self.tower_skew)
        keys = self.tower_key.seed, self.tower_gas_key.secret
        return self.tower.start(role, *keys, self.tower_port) is not None

    def watched(self) -> dict[bytes, tuple[int, int]]:
        """What the tower's file holds of each channel: the totals of its two vouchers."""
        path = self.watching / "tower.db"
        if not _complete(path, "tower_channel"):
            return {}
        with closing(sqlite3.connect(path)) as conn:
            rows = conn.execute("SELECT channel_id, paid_total, proven_total FROM tower_channel")
            return {row[0]: (int.from_bytes(row[1] or b""), int.from_bytes(row[2] or b"")) for row in rows}

    # The renter

    def rent(self, deed: Deed, *arguments: Any, die_at: str | None = None) -> int:  # noqa: ANN401
        """Have the renter do something; how that process has ended."""
        role = Role(self.renter, self.chain_file, die_at, self.skew)
        process = self.context.Process(target=rent, args=(role, deed, arguments), daemon=True)
        process.start()
        return wait(process)

    def log(self) -> str:
        """What the two have said lately."""
        parts = [folder / "log" for folder in (self.renter, self.home.root)]
        return "\n".join(part.read_text()[-1_500:] for part in parts if part.exists())

    # The chain

    def on_chain(self, *requests: tuple[Any, ...]) -> None:
        """Send requests to the chain."""
        for method, *parameters in requests:
            self.seen.ask(method, *parameters)

    def fund_coldly(self, life: int) -> None:
        """Have its owner's cold wallet fund a channel from the renter to the farmer."""
        asyncio.run(self._fund_coldly(life))

    def withdraw_coldly(self) -> None:
        """Have that wallet take what is left of the channels whose close it has requested."""
        self.on_chain(("evm_increaseTime", 2 * self.deployment.challenge_period), ("evm_mine",))
        asyncio.run(self._withdraw_coldly())

    # The judge

    def look(self) -> Evidence:
        """Read everything."""
        return Evidence(
            chain=self.seen,
            events=self.seen.replay(),
            renters=tuple(self._renters()),
            farmers=tuple(self._farmers()),
            max_exposure=self.config.max_exposure,
            read_price=self.config.offer.prices.download_per_gb // 900,
            extras=self.extras,
            robbed=self.robbed,
            before=self.before,
            disturbed=self.disturbed,
            signatures=self._signatures,
        )

    def judge(self, laws: tuple[Law, ...] = AT_ALL_TIMES) -> list[str]:
        """The breaches of these laws by what there is now, which is remembered."""
        evidence = self.look()
        found = judge(evidence, laws)
        self.before = Evidence(
            self.seen, {}, evidence.renters, evidence.farmers, evidence.max_exposure, evidence.read_price
        )
        return found

    def _renters(self) -> list[Books]:
        path = self.renter / "money.db"
        return [read_renter(path)] if _complete(path, "renter_shard") else []

    def _farmers(self) -> list[Books]:
        spare = Home(self.folder / "spare").farm_state(self.deployment.folder).money
        books = {"farmer": self.money, "spare": spare}
        return [
            replace(read_farmer(path), name=name)
            for name, path in books.items()
            if _complete(path, "farmer_agreement")
        ]

    def tamper(self, path: Path, statement: str, *values: object) -> int:
        """Change a node's books behind its back; how many rows."""
        with closing(sqlite3.connect(path)) as conn, conn:
            return conn.execute(statement, values).rowcount

    async def _found(self, challenge_period: Seconds | None) -> Deployment:
        async with await Rpc.open(self.anvil.url) as rpc:
            record = await deploy(rpc, dev_keys(1)[0], "matrix", challenge_period=challenge_period)
            record.save(self.chain_file)
            chain = await Chain.connect(rpc, record)
            self.payee = new_key().address
            (self.folder / "farmer").mkdir()
            ProcessFarmer("farmer", self.folder / "farmer", chain, self.payee, self.gas_key)
            for key in (self.gas_key, self.payer, self.tower_gas_key):
                await give(rpc, key.address, GAS_MONEY)
            await self.give_tokens(chain, self.payer)
            return record

    async def _set_up(self, home: Home, payee: Address) -> None:
        async with await Chain.connect(self.deployment.url, self.deployment) as chain:
            ProcessFarmer(home.root.name, home.root, chain, payee, self.gas_key)

    async def _fund_coldly(self, life: int) -> None:
        signer = SigningKey(bytes.fromhex((self.renter / "keys").read_text().split()[1]))
        record, stranger = self.deployment, self.stranger
        async with await Chain.connect(record.url, record) as chain:
            if not await chain.allowance(stranger.address, record.token):
                await self.give_tokens(chain, stranger)
                approval = chain.calls.approve(MAX_AMOUNT, record.token)
                await send_now(chain.rpc, stranger, approval.to, approval.data)
            salt = channel_salt(record.genesis_hash, life)
            rows = [(self.payee, Amount(10 * TOKEN))]
            call = chain.calls.fund(signer.address, record.challenge_period, salt, rows, record.token)
            await send_now(chain.rpc, stranger, call.to, call.data)

    async def _withdraw_coldly(self) -> None:
        signer = SigningKey(bytes.fromhex((self.renter / "keys").read_text().split()[1]))
        record = self.deployment
        async with await Chain.connect(record.url, record) as chain:
            for life in range(1, self.life + 1):
                salt = channel_salt(record.genesis_hash, life)
                call = chain.calls.withdraw(
                    signer.address, record.challenge_period, salt, payees=[self.payee], token=record.token
                )
                with suppress(Reverted):  # not closing
                    await send_now(chain.rpc, self.stranger, call.to, call.data)

    async def give_tokens(self, chain: Chain, to: SigningKey) -> None:
        call = bytes.fromhex("a9059cbb") + to.address.rjust(32, b"\0") + (10_000 * TOKEN).to_bytes(32)
        await send_now(chain.rpc, dev_keys(1)[0], chain.deployment.token, call)


def _complete(path: Path, last_table: str) -> bool:
    """Whether a process has lived long enough to create its tables."""
    if not path.exists():
        return False
    with closing(sqlite3.connect(path)) as conn:
        query = "SELECT 1 FROM sqlite_master WHERE name = ?"
        return conn.execute(query, (last_table,)).fetchone() is not None
